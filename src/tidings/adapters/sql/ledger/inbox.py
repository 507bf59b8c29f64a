"""The inbox as it is read: which conversations are where, in which order, and how much of them is unread."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tidings.adapters.sql.ledger.locks import GONE, UNREAD
from tidings.adapters.sql.ledger.reader import ENTRY, Reader
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Kind
from tidings.ports.ledger.reading import Archived, Inbox, InboxQuery, InboxRow, Order

INBOX: Final = "inbox"
ARCHIVE: Final = "archive"
BIN: Final = "bin"

# `s` is the conversation in the archive that holds it, which is `i` itself for a conversation of two. Its own
# pointer is moved over what is trimmed.
_BEYOND: Final = "CASE WHEN s.{0} > i.{0} THEN s.{0} ELSE i.{0} END"
_ROWS: Final = (
    f"SELECT i.peer, i.source, s.position, s.time, s.count, s.count - {_BEYOND.format('read_count')} - "  # noqa: S608  # ours
    "(SELECT COUNT(*) FROM withdrawn w WHERE w.archive = i.source AND w.peer = i.peer "
    f"AND w.position > {_BEYOND.format('read_position')}), i.read_position, i.flags, i.box, i.boxed_count, "
    "i.muted_until, i.pinned, CASE WHEN s.feed > i.feed THEN s.feed ELSE i.feed END "
    "FROM inbox i LEFT JOIN inbox s ON s.owner = i.source AND s.peer = i.peer WHERE i.owner = ? "
)


class _Row(NamedTuple):
    """A row of `_ROWS`."""

    peer: int
    source: int
    position: int | None
    time: int | None
    received: int | None
    unread: int | None
    read_position: int
    flags: int
    box: bytes | None
    boxed_count: int | None
    muted_until: int | None
    pinned: int | None
    feed: int

    def is_newer(self) -> bool:
        """Tell whether messages came since it was put where it is."""
        return (self.received or 0) > (self.boxed_count or 0)


class InboxReader(Reader):
    """Answers `InboxQuery`."""

    def inbox(self, owner: Jid, query: InboxQuery) -> Inbox:
        """Give a page of an inbox and the sums over all of it."""
        rows = self._rows(self.number_of(owner))
        outside = [row for row in rows if row.box != BIN]
        page, is_complete = _page(query, [row for row in rows if _matches(query, row)])
        return Inbox(
            tuple(self.with_last(page)),
            is_complete,
            unread=sum(row.unread for row in outside),
            unread_conversations=sum(row.unread > 0 for row in outside),
            conversations=len(outside),
        )

    def conversation(self, owner: Jid, peer: Jid) -> InboxRow | None:
        """Give one conversation."""
        rows = self._rows(self.number_of(owner), "AND i.peer = ?", self.number_of(peer))
        return next(iter(self.with_last(rows)), None)

    def changed(self, owner: int, since: int) -> list[InboxRow]:
        """Give the conversations that changed after a feed number, without their last messages."""
        return self._rows(owner, "AND (i.feed > ? OR s.feed > ?)", since, since)

    def gone(self, owner: int, since: int) -> list[tuple[int, Jid]]:
        """Give the conversations that were taken out after a feed number, with the number that did."""
        condition = f"AND i.feed > ? AND i.flags & {GONE} <> 0"
        found = [_Row(*row) for row in self._run(_ROWS + condition, owner, since)]
        names = self.names_of(row.peer for row in found)
        return [(row.feed, names[row.peer]) for row in found if not row.is_newer()]

    def _rows(self, owner: int, condition: str = "", *values: object) -> list[InboxRow]:
        found = [_Row(*row) for row in self._run(_ROWS + condition, owner, *values)]
        names = self.names_of(number for row in found for number in (row.peer, row.source))
        return [
            InboxRow(
                peer=names[row.peer],
                source=names[row.source],
                last=None,
                position=row.position or 0,
                time=row.time or 0,
                unread=max(row.unread or 0, row.flags & UNREAD),
                read_position=row.read_position,
                box=_box(row),
                muted_until=row.muted_until or 0,
                pinned=row.pinned or 0,
                feed=row.feed,
            )
            for row in found
            if not row.flags & GONE or row.is_newer()
        ]

    # -- last messages

    def with_last(self, rows: Sequence[InboxRow]) -> list[InboxRow]:
        """Complete the rows with their last messages, archive by archive."""
        by_source: dict[Jid, list[int]] = defaultdict(list)
        for row in rows:
            by_source[row.source].append(row.position)
        last = {
            (source, entry.id.position): entry
            for source, positions in by_source.items()
            for entry in self.lasts(source, positions)
        }
        return [
            msgspec.structs.replace(row, last=last.get((row.source, row.position))) if row.position else row
            for row in rows
        ]

    def lasts(self, source: Jid, positions: Sequence[int]) -> list[Archived]:
        """Give the entries at these positions, with what says how they read now."""
        archive, head = self.head(source)
        statement = f"SELECT {ENTRY}WHERE e.archive = ? AND e.position IN LIST"
        rows = self._among(statement, [position for position in positions if position], archive)
        return [
            msgspec.structs.replace(entry, pointers=entry.pointers[-1:]) if entry.pointers else entry
            for entry in self.archived(archive, head, rows, folded=(Kind.CORRECTION,))
        ]


def _box(row: _Row) -> str:
    """Give the box in which a conversation stands now."""
    box = bytes(row.box).decode() if row.box else INBOX
    return INBOX if row.flags & GONE or (box == ARCHIVE and row.is_newer()) else box


def _matches(query: InboxQuery, row: InboxRow) -> bool:
    if not query.all_boxes and (row.box == BIN if query.boxes is None else row.box not in query.boxes):
        return False
    return (
        (query.peer is None or row.peer == query.peer)
        and (query.start is None or row.time >= query.start)
        and (query.end is None or row.time <= query.end)
        and (row.unread > 0 or not query.unread_only)
    )


def _page(query: InboxQuery, rows: list[InboxRow]) -> tuple[list[InboxRow], bool]:
    """Cut the page out of all rows that match, and tell whether nothing is beyond it in its direction."""
    sign = -1 if query.order is Order.NEWEST else 1

    def place(time: int, peer: Jid) -> tuple[int, Jid]:
        return sign * time, peer

    rows = sorted(rows, key=lambda row: place(row.time, row.peer))
    places = [place(row.time, row.peer) for row in rows]
    start = 0 if query.after is None else bisect_right(places, place(*query.after))
    end = len(rows) if query.before is None else bisect_left(places, place(*query.before))
    limit = len(rows) if query.limit is None else query.limit
    is_complete = end - start <= limit
    if query.last_page or (query.before is not None and query.after is None):
        return rows[max(start, end - limit) : end], is_complete
    return rows[start : min(end, start + limit)], is_complete
