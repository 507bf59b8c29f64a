"""Who gets a message: the delivery rules of RFC 6121 §8.5 as pure functions.

Where the document leaves a choice: a message to a bare JID goes to the available resources with the highest
non-negative priority (§8.5.2.1.1); a message of kind normal to a resource that is gone is refused rather than
dropped (§8.5.3.2.1), since senders shall know.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from tidings.kernel.account import Account
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.session import Session


class Undelivered(enum.Enum):
    """What becomes of a message that reaches no session."""

    IGNORE = "silently ignored"
    REFUSE = "answered with service-unavailable"


_OUTCOME = {
    # §8.5.2.2.1 and §8.5.3.2.1; until there is an archive, what would be stored is refused
    "": Undelivered.REFUSE,
    "normal": Undelivered.REFUSE,
    "chat": Undelivered.REFUSE,
    "groupchat": Undelivered.REFUSE,
    "headline": Undelivered.IGNORE,
    "error": Undelivered.IGNORE,
}


def recipients(message: Stanza, account: Account) -> list[Session]:
    """Give the sessions that get the message; an empty list where none does."""
    to = message.to
    if to is not None and to.resource:
        session = account.sessions.get(to.resource)
        if session is not None:
            return [session]  # §8.5.3.1
        if message.kind != "chat":
            return []  # §8.5.3.2.1
    return _for_bare(message.kind, account)


def outcome(kind: str) -> Undelivered:
    """Tell what becomes of a message of this kind that reached no session."""
    return _OUTCOME[kind]


def _for_bare(kind: str, account: Account) -> list[Session]:
    """§8.5.2.1.1."""
    if kind in {"groupchat", "error"}:
        return []
    best: list[Session] = []
    highest = 0
    for session in account.sessions.values():
        priority = session.priority
        if priority is None or priority < 0:
            continue
        if kind == "headline" or priority == highest:
            best.append(session)
        elif priority > highest:
            best = [session]
            highest = priority
    return best
