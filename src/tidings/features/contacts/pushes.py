"""Roster pushes: a change goes to every device that has asked for the roster (RFC 6121 §2.1.6)."""

from __future__ import annotations

from enum import Enum, auto

from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.contacts.book import BOOK
from tidings.kernel.account import Account
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.ports.roster import RosterEntry
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem, RosterQuery
from tidings.wire.xmpp.stanza import Stanza


class Interest(Enum):
    """What a session wants to hear of the roster (§2.2)."""

    NONE = auto()
    """It never asked for the roster."""
    PLAIN = auto()
    VERSIONED = auto()
    """It keeps the roster by version (§2.6)."""


INTEREST: Slot[Interest] = Slot("contacts.interest", default=Interest.NONE)


def push(account: Account, contact: Jid, entry: RosterEntry | None) -> None:
    """Tell the interested sessions that this is the contact's entry now, None: that it is gone."""
    interested = interested_sessions(account)
    if not interested:
        return
    item = RosterItem(contact, subscription=ItemSubscription.REMOVE) if entry is None else item_of(entry)
    version = account[BOOK].version
    for session in interested:
        send_push(session, item, version if session[INTEREST] is Interest.VERSIONED else None)


def send_push(session: Session, item: RosterItem, version: str | None) -> None:
    """Send one item to one session.

    A push has no `from`, which means the account itself (§2.1.6); what anybody else sends has one.
    """
    query = RosterQuery(version, (item,)).encode()
    session.send(Stanza.build("iq", kind="set", to=session.jid, id=token(6), content=(query,)))


def interested_sessions(account: Account) -> list[Session]:
    """Give the sessions that have asked for the roster."""
    return [session for session in account.sessions.values() if session[INTEREST] is not Interest.NONE]


def item_of(entry: RosterEntry) -> RosterItem:
    """Give an entry as clients see it."""
    return RosterItem(
        entry.jid,
        entry.name,
        ItemSubscription(entry.subscription.value),
        entry.ask,
        entry.approved,
        tuple(sorted(entry.groups)),
    )
