"""Sync: a device that comes back asks once for everything that has happened since it was there last.

Implements docs/specs/sync.md; the marks § point at its sections. A page is made by `read_page`, for this and
every other door.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo
from tidings.kernel.feature import Feature, Spec, handles, listens
from tidings.kernel.iq import Iq
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import Pacing
from tidings.kernel.pulling import pulled
from tidings.messages.shown import shown_body
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Direction
from tidings.ports.ledger.reading import Archived, EntryId, Head, InboxQuery, InboxRow
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import with_archive_id
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.inbox import format_page_id, read_page_id
from tidings.wire.xmpp.payloads.sync import (
    SyncConversation,
    SyncEntry,
    SyncErased,
    SyncFin,
    SyncItem,
    SyncRequest,
)

DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 250
PAGE_OCTETS: Final = 1_048_576


class SyncOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much one answer tells."""

    page: Annotated[
        int,
        Meta(
            description="Entries or conversations in a page whose size the client leaves to the server.",
            ge=1,
            le=LARGEST_PAGE,
        ),
    ] = DEFAULT_PAGE
    page_bytes: Annotated[
        int,
        Meta(
            description="Bytes of messages in a page: it ends before it has more, but never within what one "
            "transaction wrote.",
            ge=10_000,
        ),
    ] = PAGE_OCTETS


class SyncCursor(msgspec.Struct, frozen=True):
    """How far a device is: the last transaction it knows of, the last entry, and where a list goes on (§3).

    `incarnation` is empty while the ledger is, `at` is None while the archive is. `listed` is the last
    conversation of a first list that is not at its end, by the time of its last message and its peer.
    """

    incarnation: str
    feed: int
    at: EntryId | None = None
    listed: tuple[int, Jid] | None = None

    def __str__(self) -> str:
        text = f"{self.incarnation}.{self.feed}.{self.at or ''}"
        return text if self.listed is None else f"{text}.{format_page_id(*self.listed)}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what a device gives back; None when it is none of ours."""
        parts = text.split(".", 3)
        if len(parts) < 3:
            return None
        incarnation, feed, at, *listed = parts
        entry = EntryId.parse(at)
        if not _is_number(feed) or bool(at) is not bool(entry) or not (incarnation or int(feed) == 0):
            return None
        try:
            return cls(incarnation, int(feed), entry, read_page_id(listed[0]) if listed else None)
        except StanzaError:
            return None


class SyncPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page, as every door tells it."""

    items: tuple[SyncItem, ...]
    fin: SyncFin


class PageLimits(msgspec.Struct, frozen=True):
    """How much a page may have."""

    parts: int
    """Entries or conversations."""
    octets: int = PAGE_OCTETS
    """Of messages, but one part at least."""


async def read_page(ledger: Ledger, owner: Jid, since: str | None, limits: PageLimits) -> SyncPage:
    """Read the page after a cursor; a first one where there is none, or one that is worth nothing any more.

    Raises `BackendError`.
    """
    if since is None:
        return await _first_page(ledger, owner, limits)
    cursor = SyncCursor.parse(since)
    if cursor is None:
        return await _first_page(ledger, owner, limits, is_reset=True)
    incarnation, feed = await ledger.feed()
    if not cursor.incarnation:  # nothing had been written yet: all there is has happened since
        cursor = msgspec.structs.replace(cursor, incarnation=incarnation)
    if cursor.incarnation != incarnation or cursor.feed > feed:
        return await _first_page(ledger, owner, limits, is_reset=True)
    if cursor.listed is not None:
        return await _list_page(ledger, owner, cursor, limits)
    return await _changes_page(ledger, owner, cursor, limits)


async def _first_page(ledger: Ledger, owner: Jid, limits: PageLimits, *, is_reset: bool = False) -> SyncPage:
    """§6: the point in time first, then the state."""
    head = await ledger.head(owner)
    incarnation, feed = await ledger.feed()
    cursor = SyncCursor(incarnation, feed, _id_at(head, head.position))
    return await _list_page(ledger, owner, cursor, limits, is_reset=is_reset)


async def _list_page(
    ledger: Ledger, owner: Jid, cursor: SyncCursor, limits: PageLimits, *, is_reset: bool = False
) -> SyncPage:
    query = InboxQuery(all_boxes=True, after=cursor.listed, limit=limits.parts, octets=limits.octets)
    inbox = await ledger.inbox(owner, query)
    rows = inbox.rows[: inbox.with_last]
    heads = await _heads(ledger, owner, rows)
    is_complete = inbox.is_complete and len(rows) == len(inbox.rows)
    last = rows[-1] if rows and not is_complete else None
    cursor = msgspec.structs.replace(cursor, listed=None if last is None else (last.time, last.peer))
    items = tuple(_conversation(row, owner, heads, with_message=True) for row in rows)
    first = _id_at(heads[owner], heads[owner].first)
    return SyncPage(
        items=items,
        fin=SyncFin(cursor=str(cursor), is_reset=is_reset, first=None if first is None else str(first)),
    )


async def _changes_page(ledger: Ledger, owner: Jid, cursor: SyncCursor, limits: PageLimits) -> SyncPage:
    changes = await ledger.changes(owner, cursor.feed, limits.parts, limits.octets)
    head = changes.head
    if changes.incarnation != cursor.incarnation or not goes_on(head, cursor.at):
        return await _first_page(ledger, owner, limits, is_reset=True)
    heads = await _heads(ledger, owner, changes.rows)
    items: list[SyncItem] = [_entry(entry, owner, head) for entry in changes.entries]
    items += ranges(changes.erased, head)
    items += (_conversation(row, owner, heads, with_message=row.source != owner) for row in changes.rows)
    items += (SyncConversation(peer=peer, is_gone=True) for peer in changes.gone)
    at = changes.entries[-1].id if changes.entries else cursor.at
    first = _id_at(head, head.first)
    fin = SyncFin(
        cursor=str(SyncCursor(changes.incarnation, changes.feed, at)),
        is_complete=changes.is_complete,
        first=None if first is None else str(first),
    )
    return SyncPage(items=tuple(items), fin=fin)


async def _heads(ledger: Ledger, owner: Jid, rows: Iterable[InboxRow]) -> dict[Jid, Head]:
    """Give the heads of all archives whose ids the rows name."""
    return {archive: await ledger.head(archive) for archive in {owner, *(row.source for row in rows)}}


class Sync(Feature):
    """Answers what has happened since a cursor."""

    spec = Spec(ns.TIDINGS_SYNC, advertises=(ns.TIDINGS_SYNC,), note="docs/specs/sync.md")  # §2
    serves_archives = True
    Options = SyncOptions

    def __init__(self, ledger: Ledger, pacing: Pacing, options: Current[SyncOptions]) -> None:
        self._ledger = ledger
        self._pacing = pacing
        self._options = options

    @listens(DiscoInfo)  # §2
    def advertise(self, event: DiscoInfo) -> None:
        """Tell the owner of an account that it can be asked."""
        if event.entity is not None and not event.node and event.asker.bare == event.target:
            event.features.append(ns.TIDINGS_SYNC)

    @handles(SyncRequest, kind="get")  # §3
    async def sync(self, request: Iq[SyncRequest]) -> Element:
        """Send the parts of the page, then its end."""
        session, account = request.own_session, request.own_account.jid
        await pulled(session)
        payload = request.payload
        parts = min(payload.maximum or self._options.now.page, LARGEST_PAGE)
        limits = PageLimits(parts, self._options.now.page_bytes)
        page = await read_page(self._ledger, account, payload.since, limits)

        def written(item: SyncItem) -> Outgoing:
            named = msgspec.structs.replace(item, query_id=payload.query_id) if payload.query_id else item
            return Outgoing(named.message(to=session.jid, account=account))

        await self._pacing.send(session, map(written, page.items))
        return page.fin.encode()


# --- pure


def goes_on(head: Head, at: EntryId | None) -> bool:
    """Tell whether an archive has every entry after this one, which is of its history (§6)."""
    if at is None:
        return head.first == 1
    if head.position < at.position or head.first > at.position + 1:
        return False
    epochs = [epoch for epoch, start in head.epochs if start <= at.position]
    return bool(epochs) and epochs[-1] == at.epoch


def ranges(positions: Iterable[int], head: Head) -> Iterator[SyncErased]:
    """Give positions as ranges of ids; one never goes from one epoch to another (§4.2)."""
    starts = {start for _, start in head.epochs}
    ordered = sorted(set(positions))
    cuts = [
        index
        for index, (one, other) in enumerate(pairwise(ordered), 1)
        if other != one + 1 or other in starts
    ]
    for begin, end in pairwise([0, *cuts, len(ordered)] if ordered else []):
        first, last = _id_at(head, ordered[begin]), _id_at(head, ordered[end - 1])
        if first is not None and last is not None:
            yield SyncErased(str(first), str(last))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _id_at(head: Head, position: int) -> EntryId | None:
    """Give the id of a position; None for one that never was."""
    epochs = [epoch for epoch, start in head.epochs if start <= position]
    return EntryId(epochs[-1], position) if epochs and 0 < position <= head.position else None


def _entry(entry: Archived, owner: Jid, head: Head) -> SyncEntry:
    target = _id_at(head, entry.target)
    return SyncEntry(
        id=str(entry.id),
        peer=entry.peer,
        is_sent=entry.direction is Direction.SENT,
        kind=entry.kind.name.lower(),
        target=None if target is None else str(target),
        forwarded=_forwarded(entry, owner),
    )


def _conversation(
    row: InboxRow, owner: Jid, heads: dict[Jid, Head], *, with_message: bool
) -> SyncConversation:
    head = heads[row.source]
    read = _id_at(head, row.read_position)
    last = _id_at(head, row.position)
    return SyncConversation(
        peer=row.peer,
        unread=row.unread,
        time=row.time,
        last=None if last is None else str(last),
        read=None if read is None else str(read),
        box=row.box,
        muted_until=row.muted_until,
        pinned=row.pinned,
        archive=None if row.source == owner else row.source,
        forwarded=_forwarded(row.last, row.source) if with_message and row.last is not None else None,
    )


def _forwarded(entry: Archived, archive: Jid) -> Forwarded | None:
    body = shown_body(entry, archive)
    if body is None:
        return None
    return Forwarded(with_archive_id(body, archive, str(entry.id)), Delay(entry.time))
