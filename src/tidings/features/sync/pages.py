"""Pages of sync: what every door tells of what has happened to an account (docs/specs/sync.md).

The marks § point at the sections of that page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, Self

import msgspec

from tidings.base.jid import Jid
from tidings.features.sync.cursor import SyncCursor, SyncRun
from tidings.messages.known_as import KnownAs
from tidings.messages.shown import shown_body
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Direction
from tidings.ports.ledger.reading import (
    ROOMS_OF_PAGE,
    Archived,
    EntryId,
    Head,
    InboxQuery,
    InboxRow,
    RoomChange,
)
from tidings.wire.xmpp.payloads.arrival import with_archive_id
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.sync import (
    SyncConversation,
    SyncEntry,
    SyncErased,
    SyncFin,
    SyncGap,
    SyncItem,
)

DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 250
PAGE_OCTETS: Final = 1_048_576


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

    def less(self, entries: Sequence[Archived]) -> Self | None:
        """Give what is left when a page has these entries; None for nothing."""
        parts = self.parts - len(entries)
        octets = self.octets - sum(len(entry.body or b"") for entry in entries)
        return type(self)(parts, octets) if parts > 0 and octets > 0 else None


async def read_page(
    ledger: Ledger, owner: Jid, since: str | None, limits: PageLimits, known: KnownAs
) -> SyncPage:
    """Read the page after a cursor; a first one where there is none, or one that is worth nothing any more.

    Raises `BackendError`.
    """
    if since is None:
        return await _first_page(ledger, owner, limits, known)
    cursor = SyncCursor.parse(since)
    if cursor is None:
        return await _first_page(ledger, owner, limits, known, is_reset=True)
    incarnation, feed = await ledger.feed()
    if not cursor.incarnation:  # nothing had been written yet: all there is has happened since
        cursor = msgspec.structs.replace(cursor, incarnation=incarnation)
    end = cursor.feed if cursor.run is None else cursor.run.top
    if cursor.incarnation != incarnation or end > feed:
        return await _first_page(ledger, owner, limits, known, is_reset=True)
    if cursor.listed is not None:
        return await _list_page(ledger, owner, cursor, limits, known)
    return await _changes_page(ledger, owner, cursor, limits, known, feed)


async def _first_page(
    ledger: Ledger, owner: Jid, limits: PageLimits, known: KnownAs, *, is_reset: bool = False
) -> SyncPage:
    """§6: the point in time first, then the state."""
    head = await ledger.head(owner)
    incarnation, feed = await ledger.feed()
    cursor = SyncCursor(incarnation, feed, _id_at(head, head.position))
    return await _list_page(ledger, owner, cursor, limits, known, is_reset=is_reset)


async def _list_page(
    ledger: Ledger,
    owner: Jid,
    cursor: SyncCursor,
    limits: PageLimits,
    known: KnownAs,
    *,
    is_reset: bool = False,
) -> SyncPage:
    query = InboxQuery(all_boxes=True, after=cursor.listed, limit=limits.parts, octets=0)
    inbox = await ledger.inbox(owner, query)
    rows: Sequence[InboxRow] = inbox.rows[: _with_rooms(inbox.rows, owner)]
    if rows:
        rows = await ledger.last_messages(rows, limits.octets)
    heads = await _heads(ledger, owner, rows)
    is_complete = inbox.is_complete and len(rows) == len(inbox.rows)
    last = rows[-1] if rows and not is_complete else None
    cursor = msgspec.structs.replace(cursor, listed=None if last is None else (last.time, last.peer))
    items = tuple(_conversation(row, owner, heads, with_message=True) for row in known.rows(rows))
    first = _id_at(heads[owner], heads[owner].first)
    return SyncPage(
        items=items,
        fin=SyncFin(cursor=str(cursor), is_reset=is_reset, first=None if first is None else str(first)),
    )


async def _changes_page(
    ledger: Ledger, owner: Jid, cursor: SyncCursor, limits: PageLimits, known: KnownAs, newest: int
) -> SyncPage:
    """§7: what happened up to a fixed end, the account's own first, then its rooms."""
    base = cursor.feed
    run = cursor.run or SyncRun(top=newest, own=base)
    changes = await ledger.changes(owner, run.own, limits.parts, limits.octets, upto=run.top)
    head = changes.head
    if changes.incarnation != cursor.incarnation or not goes_on(head, cursor.at):
        return await _first_page(ledger, owner, limits, known, is_reset=True)
    items: list[SyncItem] = [_entry(entry, owner, head) for entry in changes.entries]
    items += ranges(changes.erased, head)
    heads = {owner: head}
    items += (_conversation(row, owner, heads, with_message=False) for row in changes.rows)
    items += (SyncConversation(peer=peer, is_gone=True) for peer in changes.gone)
    run = msgspec.structs.replace(run, own=changes.feed)
    is_through = False
    left = limits.less(changes.entries)
    if changes.is_complete and left is not None:
        rooms = await ledger.room_changes(owner, base, run.top, run.room, left.parts, left.octets)
        items += _rooms_items(rooms.rooms, owner, known)
        run = msgspec.structs.replace(run, room=rooms.place)
        is_through = rooms.is_complete
    at = changes.entries[-1].id if changes.entries else cursor.at
    first = _id_at(head, head.first)
    if is_through:
        after = SyncCursor(changes.incarnation, run.top, at)
    else:
        after = SyncCursor(changes.incarnation, base, at, run=run)
    fin = SyncFin(
        cursor=str(after),
        is_complete=is_through and run.top >= newest,
        first=None if first is None else str(first),
    )
    return SyncPage(items=tuple(items), fin=fin)


def _with_rooms(rows: Sequence[InboxRow], owner: Jid) -> int:
    """Tell how many conversations from the first one on have no more rooms than a page may have."""
    rooms = 0
    for number, row in enumerate(rows):
        rooms += row.source != owner
        if rooms > ROOMS_OF_PAGE:
            return number
    return len(rows)


def _rooms_items(rooms: Sequence[RoomChange], owner: Jid, known: KnownAs) -> Iterator[SyncItem]:
    """Give what is told of rooms: gap and entries of each, then what was erased, then how they stand."""
    for change in rooms:
        archive = change.row.shown_source
        if change.gap is not None:
            after, before = (_id_at(change.head, position) for position in change.gap)
            if before is not None:
                yield SyncGap(
                    archive=archive, after=None if after is None else str(after), before=str(before)
                )
        for entry in change.entries:
            yield _room_entry(known.entry(change.row, entry), change, owner)
    for change in rooms:
        for each in ranges(change.erased, change.head):
            yield msgspec.structs.replace(each, archive=change.row.shown_source)
    for change in rooms:
        row = known.row(change.row)
        yield _conversation(row, owner, {row.source: change.head}, with_message=True)


def _room_entry(entry: Archived, change: RoomChange, owner: Jid) -> SyncEntry:
    target, row = _id_at(change.head, entry.target), change.row
    return SyncEntry(
        id=str(entry.id),
        peer=row.shown_peer,
        is_sent=entry.sender == owner,
        kind=entry.kind.name.lower(),
        target=None if target is None else str(target),
        archive=row.shown_source,
        forwarded=_forwarded(entry, row.source, row.shown_source),
    )


async def _heads(ledger: Ledger, owner: Jid, rows: Iterable[InboxRow]) -> dict[Jid, Head]:
    """Give the heads of all archives whose ids the rows name."""
    return {archive: await ledger.head(archive) for archive in {owner, *(row.source for row in rows)}}


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
    """Give positions as ranges of ids; one never goes from one epoch to another (§4.3)."""
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
        peer=row.shown_peer,
        unread=row.unread,
        mentions=row.mentions,
        time=row.time,
        last=None if last is None else str(last),
        read=None if read is None else str(read),
        box=row.box,
        muted_until=row.muted_until,
        pinned=row.pinned,
        archive=None if row.source == owner else row.shown_source,
        forwarded=_forwarded(row.last, row.source, row.shown_source)
        if with_message and row.last is not None
        else None,
    )


def _forwarded(entry: Archived, archive: Jid, known_as: Jid | None = None) -> Forwarded | None:
    """Give a message with its id; `known_as` is the address under which the device knows the archive."""
    body = shown_body(entry, archive)
    if body is None:
        return None
    return Forwarded(with_archive_id(body, known_as or archive, str(entry.id)), Delay(entry.time))
