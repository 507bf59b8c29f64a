"""Pulling: a client that asks for archive, inbox or sync fetches by itself what its device has missed.

So does one that binds by XEP-0386. What comes after that it is sent again: at once while it is available or
takes copies (XEP-0280), else when it becomes available. Whether a session is sent what is archived, or finds
it later, is asked here alone.
"""

from __future__ import annotations

from typing import Final

from tidings.kernel.events import ArchivePulled
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot

HAS_PULLED: Final[Slot[bool]] = Slot("pulling.has_pulled", default=False)
"""Whether the client of a session has pulled; written by `pulled` alone."""

WANTS_COPIES: Final[Slot[bool]] = Slot("pulling.wants_copies", default=False)
"""Whether a session gets copies of what is for others of its account; written by the feature of XEP-0280."""


async def pulled(session: Session) -> None:
    """Note that the client pulls; features are told of the first time in a session, and while it is away.

    It is noted before anything is read for the client: what had come before is in what the client reads.
    """
    if not session[HAS_PULLED] or _is_away(session):
        session[HAS_PULLED] = True
        await until_done(session.host.hooks.tell(ArchivePulled(session)))


def reads_later(session: Session) -> bool:
    """Tell whether the archive will bring a session what is for all devices, by a replay.

    So it is while the session is not available for such messages, as with a negative priority, or catches up.
    A client that has pulled may have read before the message came.
    """
    if session.is_catching_up:
        return True
    return _is_away(session) and not session[HAS_PULLED]


def misses(session: Session) -> bool:
    """Tell whether a session, whose client has pulled, is sent nothing now of what is for all devices."""
    return _is_away(session) and not session[WANTS_COPIES]


def _is_away(session: Session) -> bool:
    """Tell whether a session is not available for what is for all devices."""
    return session.priority is None or session.priority < 0
