"""What happened in the rooms of one account between two numbers of the feed.

One join over the account's rows finds the rooms of which anything has changed; their entries are read for
those alone that have a place on the page. The page goes through the rooms in the order of their numbers, so
where it ends is one number, and nothing that is written meanwhile moves a room before it or behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from tidings.adapters.sql.ledger.encoding import PER_FEED
from tidings.adapters.sql.ledger.inbox_pages import InboxPages
from tidings.adapters.sql.ledger.reader import ENTRY, Reader, Room
from tidings.adapters.sql.ledger.statements import Rows
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import (
    NEWEST_OF_ROOM,
    ROOMS_OF_PAGE,
    Head,
    InboxRow,
    RoomChange,
    RoomChanges,
)

_LOOKED_BACK: Final = NEWEST_OF_ROOM + 1
_ERASURES: Final = 10_000
"""So many erasures a page tells of, but those of one room at least."""

_CHANGED: Final = (
    "SELECT i.peer, i.source FROM inbox i LEFT JOIN inbox s ON s.owner = i.source AND s.peer = i.peer "  # noqa: S608  # ours
    "LEFT JOIN archives h ON h.archive = i.source "
    "LEFT JOIN entries e ON e.archive = i.source AND e.position = h.position "
    "WHERE i.owner = ? AND i.peer > ? AND i.source <> i.owner "
    "AND (i.feed > ? OR s.feed > ? OR e.message >= ? "
    "OR EXISTS (SELECT 1 FROM erasures x WHERE x.archive = i.source AND x.feed > ?)) "
    f"ORDER BY i.peer LIMIT {ROOMS_OF_PAGE + 1}"
)
_NEWEST: Final = (  # CROSS JOIN tells SQLite, which has no statistics, what to begin with
    "SELECT e.archive, e.position, e.message FROM archives h CROSS JOIN entries e "  # noqa: S608  # ours
    f"WHERE e.message >= ? AND e.archive = h.archive AND e.position > h.position - {_LOOKED_BACK} "
    "AND h.archive IN LIST ORDER BY e.archive, e.position"
)
_JOINED: Final = "SELECT room, joined FROM members WHERE member = ? AND joined IS NOT NULL AND room IN LIST"
_ERASED: Final = "SELECT archive, position FROM erasures WHERE feed > ? AND feed <= ? AND archive IN LIST"
_BETWEEN: Final = f"SELECT {ENTRY}WHERE e.archive = ? AND e.position BETWEEN ? AND ? ORDER BY e.position DESC"


class RoomChangesReader:
    """Answers sync for rooms."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._inbox = InboxPages(reader)

    def changes(
        self, owner: Jid, base: int, top: int, after: int, limit: int, octets: int | None
    ) -> RoomChanges:
        """Give a page of what happened in rooms after `base` up to `top`."""
        number = self._reader.number_of(owner)
        first = (base + 1) * PER_FEED
        found = self._reader.run(_CHANGED, number, after, base, base, first, base)
        rooms, is_complete = found[:ROOMS_OF_PAGE], len(found) <= ROOMS_OF_PAGE
        erased = self._by_archive(_ERASED, rooms, base, top)
        if len(rooms) > 1 and sum(map(len, erased.values())) > _ERASURES:
            rooms, is_complete = rooms[:1], False
        rows = self._inbox.among(number, [peer for peer, _ in rooms])
        newest = self._by_archive(_NEWEST, rooms, first)
        joined = self._by_archive(_JOINED, rooms, number)
        page = _Page(self._reader, limit, Room(octets))
        for peer, source in rooms:
            row = rows.get(peer)
            if row is not None:  # else it was left, or put out of the inbox, which is told elsewhere
                head = self._reader.head(row.source)[1]
                new = self._new(source, head, newest[source], base, top)
                if joined[source]:
                    new = range(max(new.start, joined[source][0][0]), new.stop)
                if not page.take(row, source, head, new, [position for (position,) in erased[source]]):
                    is_complete = False
                    break
            after = peer
        return RoomChanges(tuple(self._with_last(page.taken)), after, is_complete)

    def _by_archive(self, statement: str, rooms: Rows, *values: int) -> dict[int, Rows]:
        """Run a statement for all rooms, and give the rest of its rows by their first column."""
        found: dict[int, Rows] = defaultdict(list)
        for archive, *rest in self._reader.among(statement, [source for _, source in rooms], *values):
            found[archive].append(tuple(rest))
        return found

    def _new(self, source: int, head: Head, newest: Rows, base: int, top: int) -> range:
        """Give the positions of the entries after `base` up to `top`; `newest` are (position, message)."""
        known = [position for position, message in newest if message < (top + 1) * PER_FEED]
        if len(newest) < _LOOKED_BACK:  # these are all after `base`
            return range(known[0], known[-1] + 1) if known else range(0)
        start = self._reader.first_at(source, head, "message", (base + 1) * PER_FEED)
        if known:
            return range(start, known[-1] + 1)
        return range(start, self._reader.first_at(source, head, "message", (top + 1) * PER_FEED))

    def _with_last(self, taken: Sequence[RoomChange]) -> list[RoomChange]:
        """Complete the conversations whose last messages are not among the entries that are told."""
        missing = [each.row for each in taken if not _has_last(each)]
        completed = {row.peer: row for row in self._inbox.with_last(missing)}
        return [msgspec.structs.replace(each, row=completed.get(each.row.peer, each.row)) for each in taken]


class _Page:
    """What has been taken for a page, and how much room it still has."""

    def __init__(self, reader: Reader, limit: int, room: Room) -> None:
        self._reader = reader
        self._left = limit
        self._room = room
        self.taken: list[RoomChange] = []

    def take(self, row: InboxRow, source: int, head: Head, new: range, erased: Sequence[int]) -> bool:
        """Take a room with its newest entries; false where there is no room for it."""
        wanted = min(len(new), NEWEST_OF_ROOM)
        if wanted > self._left:
            if self.taken:
                return False
            wanted = self._left
        rows: Rows = []
        if wanted > 0:
            before = self._room.taken
            rows = self._reader.run_within(self._room, _BETWEEN, source, new.stop - wanted, new.stop - 1)
            fitting = self._room.taken - before
            if fitting < len(rows):
                if self.taken:
                    return False
                rows = rows[:fitting]
            rows.reverse()
        self._left -= len(rows)
        first = rows[0][0] if rows else new.start
        self.taken.append(
            RoomChange(
                row=row,
                entries=tuple(self._reader.archived(source, head, rows)) if rows else (),
                gap=(new.start - 1, first) if first > new.start else None,
                erased=tuple(sorted(position for position in erased if not new or position < new.start)),
                head=head,
            )
        )
        return True


def _has_last(change: RoomChange) -> bool:
    """Tell whether the last message of a conversation is told already, or there is none."""
    position = change.row.position
    return not position or any(entry.id.position == position for entry in change.entries)
