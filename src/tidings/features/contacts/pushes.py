"""Roster pushes: a change goes to every device that has asked for the roster (RFC 6121 §2.1.6)."""

from __future__ import annotations

from typing import Final

from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.contacts.book import BOOK, ContactBook
from tidings.kernel.account import Account
from tidings.kernel.audience import Audience
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.slots import Slot
from tidings.ports.roster import RosterEntry
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem, RosterQuery
from tidings.wire.xmpp.stanza import Stanza

HAS_ASKED: Slot[bool] = Slot("contacts.has_asked", default=False)
"""Whether a session has asked for the roster (§2.2), and so hears of its changes."""

INTERESTED: Final = Audience("contacts.interested", lambda session: session[HAS_ASKED])
"""The sessions that have asked for the roster."""


def push(sessions: SessionManager, account: Account, contact: Jid) -> None:
    """Tell the interested devices what the contact's entry is now, or that it is gone."""
    if not sessions.has_devices(account, INTERESTED):
        return
    book = account[BOOK]
    sessions.to_devices(account, INTERESTED, _push_of(shown_item(book, contact), book.version))


def shown_item(book: ContactBook, contact: Jid) -> RosterItem:
    """Give a contact as clients are told of it: its entry, or that there is none."""
    entry = book.shown(contact)
    return RosterItem(contact, subscription=ItemSubscription.REMOVE) if entry is None else item_of(entry)


def send_push(session: Session, item: RosterItem, version: str) -> None:
    """Send one item to one session."""
    session.send(_push_of(item, version), session.jid)


def _push_of(item: RosterItem, version: str) -> Stanza:
    """Write one item with the version that the roster has after it, asked for or not (§2.6.3).

    A push has no `from`, which means the account itself (§2.1.6); what anybody else sends has one.
    """
    query = RosterQuery(version, (item,)).encode()
    return Stanza.build("iq", kind="set", id=token(6), content=(query,))


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
