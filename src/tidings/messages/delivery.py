"""Who gets a message: the delivery rules of RFC 6121 §8.5 as pure functions.

A node delivers to its own sessions (`recipients`); whether a message reaches anybody is asked of all nodes
(`reaches_somebody`).

Where the document leaves a choice:

- A message to a bare JID goes to all available resources of non-negative priority (§8.5.2.1.1), so that every
  device gets every message once.
- A message that can be kept for the devices of its recipient is kept (§8.5.2.2.1); one of kind chat to a
  resource that is gone is kept for all of them (§8.5.3.2.1).
- A message of kind normal to a resource that is gone is refused rather than dropped (§8.5.3.2.1), since
  senders shall know; that somebody was typing vanishes without a word.
"""

from __future__ import annotations

import enum
from collections.abc import Collection

from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.events import MessageDelivered
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.reasons import Reason
from tidings.kernel.session import Session
from tidings.kernel.traces import Traces
from tidings.ports.ledger.batch import Place
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import live_bytes
from tidings.wire.xmpp.stanza import Stanza


class Undelivered(enum.Enum):
    """What becomes of a message that reaches no session and is not kept."""

    IGNORE = "silently ignored"
    REFUSE = "answered with service-unavailable"


_IGNORED = frozenset({"headline", "error"})
_CHAT_STATE = f"{ns.CHAT_STATES} "


def recipients(message: Stanza, account: Account) -> list[Session]:
    """Give the sessions of this node that get the message; an empty list where none does."""
    to = message.to
    if to is not None and to.resource:
        session = account.sessions.get(to.resource)
        if session is not None:
            return [session]  # §8.5.3.1
        if message.kind != "chat" or to.resource in account.elsewhere:
            return []  # §8.5.3.2.1
    if message.kind in {"groupchat", "error"}:
        return []  # §8.5.2.1.1
    return available(account)


def available(account: Account) -> list[Session]:
    """Give the available sessions of this node that have a non-negative priority."""
    return [
        session
        for session in account.sessions.values()
        if session.priority is not None and session.priority >= 0
    ]


def reaches_somebody(message: Stanza, account: Account) -> bool:
    """Tell whether a session gets the message, on any node."""
    if recipients(message, account):
        return True
    if not account.elsewhere:
        return False
    to = message.to
    if to is not None and to.resource:
        if to.resource in account.elsewhere:
            return True  # §8.5.3.1
        if message.kind != "chat":
            return False  # §8.5.3.2.1
    if message.kind in {"groupchat", "error"}:
        return False  # §8.5.2.1.1
    return any(bound.priority is not None and bound.priority >= 0 for bound in account.elsewhere.values())


def is_stored(message: Stanza, account: Account, *, has_archive: bool) -> bool:
    """Tell whether a message that is worth storing is stored for the account, or reaches it at least.

    What is neither is refused, and then nobody keeps it.
    """
    if not account.exists:
        return reaches_somebody(message, account)
    to = message.to
    if to is not None and to.resource and message.kind != "chat" and not account.has(to.resource):
        return False  # §8.5.3.2.1
    return has_archive or reaches_somebody(message, account)


def outcome(message: Stanza) -> Undelivered:
    """Tell what becomes of a message that reached no session and is not kept."""
    if message.kind in _IGNORED:
        return Undelivered.IGNORE
    is_typing = any(tag.startswith(_CHAT_STATE) for tag, _ in message.index)
    return Undelivered.IGNORE if is_typing and not message.has(ns.CLIENT, "body") else Undelivered.REFUSE


def rule_of(kind: str, to: Jid | None, reached: Collection[Jid]) -> Reason:
    """Tell by which rule a message was for these sessions, or for none."""
    if reached:
        return Reason.TO_RESOURCE if to is not None and to in reached else Reason.TO_ALL
    if to is not None and to.resource and kind != "chat":
        return Reason.RESOURCE_GONE
    return Reason.NOT_FOR_ALL if kind in {"groupchat", "error"} else Reason.NONE_AVAILABLE


def send_live(delivered: MessageDelivered, body: bytes, place: Place, time: int, traces: Traces) -> None:
    """Send an archived message to the sessions that it is for and that are not reading the archive."""
    xml = live_bytes(body, delivered.account.jid, place.id, time)
    out = Outgoing(lambda: delivered.stanza, None, xml)
    for session in delivered.recipients:
        if session.is_catching_up or place.position <= session.replayed_upto:
            traces.note(delivered.traced, "not_sent", Reason.CATCHING_UP, session.jid)
            continue
        session.send_out(out)
