"""Conversation: how one conversation of the inbox stands is asked, changed, and told to all devices.

Implements `erlang-solutions.com:xmpp:inbox:0#conversation` of MongooseIM 6.8; the marks § point at
docs/specs/inbox.md. Whatever moves a read pointer (a change here, a marker, a position of XEP-0490) is told
to the devices that use the inbox. What was asked for goes to every available device, as does the news that a
message has brought a conversation back from the archive.
"""

from typing import Final

import msgspec

from tidings.base.clock import SECOND, microseconds
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.inbox.results import properties_of, update_of
from tidings.features.inbox.service import HAS_ASKED, InboxOptions
from tidings.kernel.account import Account
from tidings.kernel.audience import Audience
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import ConversationRead, ConversationReturned, EntryReferenced
from tidings.kernel.feature import Feature, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.refreshing import Refresher
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.stored_copy import StoredCopy
from tidings.kernel.supervisor import Supervisor
from tidings.messages.entries import READING
from tidings.messages.known_as import KnownAs
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import InboxChange, LedgerBatch
from tidings.ports.ledger.reading import InboxRow
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.conversation import (
    ConversationChange,
    ConversationForm,
    ConversationQuery,
    ConversationReset,
    changed_entry_not_found,
    entry_not_found,
)
from tidings.wire.xmpp.payloads.inbox_state import Pin
from tidings.wire.xmpp.stanza import Stanza

READERS: Final = Audience("inbox.readers", lambda session: session[HAS_ASKED])
"""The sessions that use the inbox."""

DEVICES: Final = Audience(
    "inbox.devices",
    lambda session: session[HAS_ASKED] or (session.priority is not None and session.priority >= 0),
)
"""The sessions that a message to the account's bare JID is for, and those that use the inbox."""


class Conversations(Feature):
    """Tells and changes how a conversation stands."""

    Options = InboxOptions
    option_name = "inbox"
    serves_archives = True
    audiences = (READERS, DEVICES)

    def __init__(
        self,
        host: Host,
        sessions: SessionManager,
        ledger: Ledger,
        router: Router,
        clock: Clock,
        supervisor: Supervisor,
        options: Current[InboxOptions],
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._ledger = ledger
        self._known = KnownAs(router.hosts)
        self._clock = clock
        self._options = options
        self._told: list[ConversationRead] = []  # by a change here
        self._readers: dict[tuple[Jid, Jid], Session | None] = {}  # who knows already, if it is one alone
        self._returned = Refresher(supervisor, "inbox returned", self._tell_returned)
        self._read = Refresher(supervisor, "inbox read", self._tell_read)

    @handles(ConversationQuery, kind="get")  # §1.6
    async def show(self, request: Iq[ConversationQuery]) -> Element:
        """Answer how a conversation stands, or with the form."""
        query = request.payload
        if query.peer is None:
            return ConversationForm.offered(self._options.now.boxes).encode()
        request.own_session[HAS_ASKED] = True
        owner = request.own_account.jid
        row = await self._ledger.conversation(owner, self._known.canonical(query.peer))
        if row is None:
            raise entry_not_found()
        row, now = self._known.row(row), microseconds(self._clock.now())
        return properties_of(row, owner, now, is_complete=query.is_complete)

    @handles(ConversationChange, kind="set")  # §1.7
    async def change(self, request: Iq[ConversationChange]) -> None:
        """Change all that is asked for in one transaction, tell every device, then the one that asked."""
        wanted = request.payload
        wanted.check_box(self._options.now.boxes)
        change = change_of(wanted, request.own_account.jid, microseconds(self._clock.now()))
        await self._change(request.own_session, change, wanted.query_id, request.stanza.id)

    @handles(ConversationReset, kind="set")  # §1.8
    async def reset(self, request: Iq[ConversationReset]) -> Element:
        """Read all of a conversation."""
        change = change_of(request.payload.change(), request.own_account.jid, 0)
        await self._change(request.own_session, change, None, None)
        return ConversationReset().encode()

    @handles(Pin, kind="set")  # §4
    async def pin(self, request: Iq[Pin]) -> None:
        """Give a conversation its place above the others."""
        wanted = request.payload
        change = InboxChange(owner=request.own_account.jid, peer=wanted.peer, pinned=wanted.order)
        await self._change(request.own_session, change, None, request.stanza.id)

    @listens(ConversationReturned)  # §1.9
    def on_returned(self, event: ConversationReturned) -> None:
        """Have the devices that use the inbox told of a conversation that a message has brought back."""
        self._returned.ask((event.account.jid, event.peer))

    @listens(EntryReferenced)
    def on_referenced(self, event: EntryReferenced) -> MaybeAwaitable:
        """Notice that a message of the account's owner reads a conversation."""
        account, stored = event.account, event.stored
        if event.is_own and is_reading(stored, account):
            return self._host.hooks.tell(ConversationRead(account, event.peer, stored.target, event.by))
        return None

    @listens(ConversationRead)
    def on_read(self, event: ConversationRead) -> None:
        """Have the other devices that use the inbox told, unless a change here has told them."""
        if any(event is told for told in self._told):
            return
        if self._sessions.has_devices(event.account, READERS, event.by):
            key = event.account.jid, event.peer
            if self._readers.setdefault(key, event.by) is not event.by:
                self._readers[key] = None
            self._read.ask(key)

    async def _change(
        self, session: Session, change: InboxChange, query_id: str | None, request_id: str | None
    ) -> None:
        session[HAS_ASKED] = True
        await self._commit(session.account, change, session, query_id, request_id)

    async def read(self, account: Account, peer: Jid) -> None:
        """Read all of a conversation in the place of the account's owner; every device is told.

        Raises StanzaError `item-not-found` where there is no such conversation.
        """
        await self._commit(account, InboxChange(owner=account.jid, peer=peer, unread=False), None, None, None)

    async def _commit(
        self,
        account: Account,
        change: InboxChange,
        by: Session | None,
        query_id: str | None,
        request_id: str | None,
    ) -> None:
        """Change a conversation and tell every device; `by` is the session that has asked, if one has."""
        change = msgspec.structs.replace(change, peer=self._known.canonical(change.peer))
        # Asked before: a commit gives every address that it names a number for ever, made-up ones as well.
        if await self._ledger.conversation(account.jid, change.peer) is None:
            raise changed_entry_not_found()
        committed = await self._ledger.commit(LedgerBatch(changes=(change,)))
        row = await self._ledger.conversation(account.jid, change.peer) if committed.changed[0] else None
        if row is None:
            raise changed_entry_not_found()
        self._tell(account, row, DEVICES, query_id=query_id or request_id, message_id=request_id)
        if change.unread is False:
            read = ConversationRead(account, change.peer, row.read_position, by)
            self._told.append(read)
            try:
                await until_done(self._host.hooks.tell(read))
            finally:
                self._told = [told for told in self._told if told is not read]

    async def _tell_returned(self, key: tuple[Jid, Jid]) -> None:
        owner, peer = key
        account = self._host.directory.get(owner)
        if account is None or not self._sessions.has_devices(account, DEVICES):
            return
        row = await self._ledger.conversation(owner, peer)
        if row is not None:
            self._tell(account, row, DEVICES)

    async def _tell_read(self, key: tuple[Jid, Jid]) -> None:
        owner, peer = key
        reader = self._readers.pop(key, None)
        row = await self._ledger.conversation(owner, peer)
        account = self._host.directory.get(owner)
        if row is not None and account is not None:
            self._tell(account, row, READERS, skip=reader)

    def _tell(
        self,
        account: Account,
        row: InboxRow,
        audience: Audience,
        *,
        skip: Session | None = None,
        query_id: str | None = None,
        message_id: str | None = None,
    ) -> None:
        """Send `<x/>` as a message of the account to itself."""
        update = update_of(row, query_id, microseconds(self._clock.now()))
        message = Stanza.build(
            "message", id=message_id or token(6), to=account.jid, sender=account.jid, content=(update,)
        )
        self._sessions.to_devices(account, audience, message, skip)


def change_of(wanted: ConversationChange, owner: Jid, now: int) -> InboxChange:
    """Give what the ledger is asked to change; a mute lasts so many seconds from now, in microseconds."""
    return InboxChange(
        owner=owner,
        peer=wanted.peer,
        box=wanted.box,
        muted_until=None if wanted.mute is None else (now + wanted.mute * SECOND if wanted.mute else 0),
        unread=None if wanted.read is None else not wanted.read,
    )


def is_reading(stored: StoredCopy, account: Account) -> bool:
    """Tell whether this message of the account's owner has moved its read pointer by what it refers to."""
    reference = stored.classification.reference
    return stored.target > 0 and reference is not None and reference.kind in account[READING]
