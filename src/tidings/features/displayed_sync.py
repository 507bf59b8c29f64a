"""Displayed synchronization: what one device of a user has shown, the others know to be read.

Implements XEP-0490 1.0.1; the marks § point at its sections. The node `urn:xmpp:mds:displayed:0` is a view of
the inbox's read pointers: an item is published by moving one, and a marker or a change of the inbox shows as
an item. Of chats that the inbox does not have, such as rooms elsewhere, the position is kept, each by itself.

Where the document leaves a choice, Tidings decides:

- The server does not look up which `+notify` a client's capabilities contain. Notifications go to the
  sessions that have asked for the items, as every client that synchronizes does after its initial presence
  (§4.4), or have published one.
- A position that the archive does not have, or that is read already, changes nothing and is no error (§5.1).
- Of what is kept, the oldest leaves where an account has too much, as items of a full node do (XEP-0060
  §7.1.4): the chats that people read now go on working.

Left out: server assist (§4.5.1), a MAY, which is not announced.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid, JidError
from tidings.base.shares import OLDEST_LEAVES, share
from tidings.kernel.account import Account
from tidings.kernel.audience import Audience
from tidings.kernel.current import Current
from tidings.kernel.events import ConversationRead, DiscoInfo
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.refreshing import Refresher
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.slots import Slot
from tidings.kernel.supervisor import Supervisor
from tidings.messages.known_as import KnownAs
from tidings.messages.router import Router
from tidings.ports.displayed import Displayed, DisplayedStore
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import EntryRef, LedgerBatch, ReadMove
from tidings.ports.ledger.reading import EntryId, Head, InboxQuery, InboxRow
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.displayed_sync import DisplayedUpTo
from tidings.wire.xmpp.payloads.pubsub import PubSubEvent, PubSubItem, unfit_payload
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId
from tidings.wire.xmpp.stanza import Stanza

LISTENS: Final[Slot[bool]] = Slot("displayed_sync.listens", default=False)
"""Whether a session has used the node."""

LISTENERS: Final = Audience("displayed_sync.listeners", lambda session: session[LISTENS])
"""The sessions that have used the node."""


class DisplayedSyncOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How many chats that the inbox does not have one account may keep a position of."""

    max_chats: Annotated[
        int, share("Chats whose position is kept beside the inbox; the oldest leaves.", OLDEST_LEAVES)
    ] = 1_000
    max_octets: Annotated[
        int, share("Octets that these positions may have together.", OLDEST_LEAVES, ge=16_384)
    ] = 262_144


class DisplayedSync(Feature):
    """Shows the read pointers of an account as a node, and moves them."""

    spec = Spec.xep(490, version="1.0.1")
    serves_archives = True
    Options = DisplayedSyncOptions
    node = ns.DISPLAYED_SYNC
    audiences = (LISTENERS,)

    def __init__(
        self,
        host: Host,
        sessions: SessionManager,
        ledger: Ledger,
        store: DisplayedStore,
        supervisor: Supervisor,
        router: Router,
        options: Current[DisplayedSyncOptions],
    ) -> None:
        self._known = KnownAs(router.hosts)
        self._host = host
        self._sessions = sessions
        self._ledger = ledger
        self._store = store
        self._options = options
        self._read = Refresher(supervisor, "displayed sync", self._notify_read)

    @listens(DiscoInfo)  # §8: what clients look for before they publish
    def describe(self, event: DiscoInfo) -> None:
        """Announce on the own account what publishing to the node needs."""
        if event.entity is not None and not event.node and event.asker.bare == event.entity.jid:
            event.features += (ns.DISPLAYED_SYNC, ns.PUBSUB_PUBLISH_OPTIONS, ns.PUBSUB_CONFIG_NODE_MAX)

    async def publish(self, account: Account, item: PubSubItem, by: Session) -> str:  # §4.2
        """Move the read pointer of the chat that the item names."""
        if item.payload is None:
            raise unfit_payload("payload-required")
        if (item.payload.namespace, item.payload.name) != DisplayedUpTo.TAG:
            raise unfit_payload("invalid-payload")
        position = DisplayedUpTo.decode(item.payload).stanza_id
        by[LISTENS] = True
        chat = _chat(item.id)
        row = None if chat is None else await self._conversation(account.jid, chat)
        entry = EntryId.parse(position.id)
        if row is None:
            await self._keep(account, item.id, position)
        elif entry is not None and row.source == self._known.canonical(position.by):
            await self._move(account, row, entry, by)
        return item.id or ""

    async def items(
        self, account: Account, ids: Sequence[str], maximum: int | None, by: Session
    ) -> tuple[PubSubItem, ...]:  # §4.4
        """Give how far each chat has been read."""
        by[LISTENS] = True
        rows = await self._rows(account.jid, ids)
        heads = {source: await self._ledger.head(source) for source in {row.source for row in rows}}
        shown = [item for row in rows if (item := item_of(row, heads[row.source])) is not None]
        names = {item.id for item in shown}
        kept = [item for item in await self._kept(account.jid, ids) if item.id not in names]
        return (*shown, *reversed(kept))[:maximum]

    @listens(ConversationRead)  # §4.3, §4.5
    def on_read(self, event: ConversationRead) -> None:
        """Have the devices notified, by whatever means the conversation was read."""
        if self._sessions.has_devices(event.account, LISTENERS):
            self._read.ask((event.account.jid, event.peer))

    async def _move(self, account: Account, row: InboxRow, entry: EntryId, by: Session) -> None:
        place = EntryRef(row.source, entry.epoch, entry.position)
        source = None if row.source == account.jid else row.source
        move = ReadMove(owner=account.jid, peer=row.peer, upto=(place,), source=source)
        committed = await self._ledger.commit(LedgerBatch(reads=(move,)))
        if committed.moved[0]:
            read = ConversationRead(account, row.peer, entry.position, by)
            await until_done(self._host.hooks.tell(read))

    async def _conversation(self, owner: Jid, chat: Jid) -> InboxRow | None:
        return await self._ledger.conversation(owner, self._known.canonical(chat))

    async def _rows(self, owner: Jid, ids: Sequence[str]) -> list[InboxRow]:
        if not ids:
            query = InboxQuery(all_boxes=True, octets=0)
            return list((await self._ledger.inbox(owner, query)).rows)
        chats = [chat for each in ids if (chat := _chat(each)) is not None]
        found = [await self._conversation(owner, chat) for chat in chats]
        return [row for row in found if row is not None]

    async def _notify_read(self, key: tuple[Jid, Jid]) -> None:
        owner, peer = key
        row = await self._ledger.conversation(owner, peer)
        account = self._host.directory.get(owner)
        if row is None or account is None:
            return
        item = item_of(row, await self._ledger.head(row.source))
        if item is not None:
            self._notify(account, item)

    # --- chats that the inbox does not have

    async def _kept(self, owner: Jid, ids: Sequence[str]) -> list[PubSubItem]:
        chats = {chat for each in ids if (chat := _address(each)) is not None}
        if ids and not chats:
            return []
        return [_kept_item(each) for each in await self._store.list(owner, chats)]

    async def _keep(self, account: Account, item_id: str | None, position: StanzaId) -> None:
        chat = _address(item_id)
        if chat is None:
            raise StanzaError("bad-request", "the item names no chat")
        displayed = Displayed(chat, position.id, position.by)
        await self._store.put(
            account.jid, displayed, chats=self._options.now.max_chats, octets=self._options.now.max_octets
        )
        self._notify(account, _kept_item(displayed))

    def _notify(self, account: Account, item: PubSubItem) -> None:
        news = PubSubEvent(ns.DISPLAYED_SYNC, (item,)).encode()
        message = Stanza.build("message", kind="headline", id=token(6), sender=account.jid, content=(news,))
        self._sessions.to_devices(account, LISTENERS, message)


def item_of(row: InboxRow, head: Head) -> PubSubItem | None:
    """Give the item of a chat; None where nothing of it is read."""
    if not 0 < row.read_position <= head.position or not head.epochs:
        return None
    if row.read_position < head.epochs[0][1]:
        return None
    read = EntryId(head.epoch_at(row.read_position), row.read_position)
    return PubSubItem(str(row.shown_peer), DisplayedUpTo(StanzaId(str(read), row.shown_source)).encode())


def _kept_item(displayed: Displayed) -> PubSubItem:
    payload = DisplayedUpTo(StanzaId(displayed.id, displayed.by)).encode()
    return PubSubItem(displayed.chat.text, payload)


def _chat(item_id: str | None) -> Jid | None:
    """Give the account or room that an item is about; private messages of a room are none of the inbox."""
    chat = _address(item_id)
    return chat if chat is not None and chat.is_bare else None


def _address(item_id: str | None) -> Jid | None:
    try:
        return Jid(item_id or "")
    except JidError:
        return None
