"""Pulling: a device that asks for the inbox fetches by itself, and hears of the inbox's changes."""

from typing import Final

from tidings.kernel.account import Account
from tidings.kernel.events import ArchivePulled
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot

HAS_ASKED: Final[Slot[bool]] = Slot("inbox.has_asked", default=False)
"""Whether a session has asked for anything of the inbox, so that it hears of every change."""

HAS_PULLED: Final[Slot[bool]] = Slot("inbox.has_pulled", default=False)
"""Whether a session has fetched the inbox."""


async def note_pull(session: Session) -> None:
    """Tell, once for each session, that it fetches by itself."""
    session[HAS_ASKED] = True
    if not session[HAS_PULLED]:
        session[HAS_PULLED] = True
        await until_done(session.host.hooks.tell(ArchivePulled(session)))


def devices_of(account: Account) -> list[Session]:
    """Give the sessions that a message to the account's bare JID is for, and those that use the inbox."""
    return [
        session
        for session in account.sessions.values()
        if session[HAS_ASKED] or (session.priority is not None and session.priority >= 0)
    ]
