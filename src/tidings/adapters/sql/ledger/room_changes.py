"""What happened in the rooms of one account between two numbers of the feed.

One join over the account's rows finds the rooms of which anything has changed; their entries are read for
those alone that have a place on the page. The page goes through the rooms in the order of their numbers, so
where it ends is one number, and nothing that is written meanwhile moves a room before it or behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import msgspec

from tidings.adapters.sql.ledger.encoding import PER_FEED, epoch_text
from tidings.adapters.sql.ledger.inbox_pages import InboxPages
from tidings.adapters.sql.ledger.reader import ENTRY, Reader, Room, retractable
from tidings.adapters.sql.ledger.statements import Rows
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import (
    NEWEST_OF_ROOM,
    ROOMS_OF_PAGE,
    Archived,
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
_HEADS: Final = (
    "SELECT h.archive, h.first, h.position, h.time, h.version, h.octets, e.epoch, e.start FROM archives h "
    "LEFT JOIN epochs e ON e.archive = h.archive WHERE h.archive IN LIST ORDER BY e.start"
)
_SIZES: Final = (
    "SELECT e.archive, e.position, LENGTH(m.body) FROM entries e LEFT JOIN messages m ON m.id = e.message "
    "WHERE (e.archive, e.position) IN PAIRS"
)
_ENTRIES: Final = (
    f"SELECT {ENTRY.replace('FROM', ', e.archive FROM', 1)}WHERE (e.archive, e.position) IN PAIRS"
)
_RETRACTED: Final = (
    "SELECT p.archive, p.target, MIN(e.time) FROM message_links p CROSS JOIN entries e "  # noqa: S608  # ours
    "WHERE (p.archive, p.target) IN PAIRS AND e.archive = p.archive AND e.position = p.position "
    f"AND e.kind = {EntryKind.RETRACTION:d} GROUP BY p.archive, p.target"
)


class _Room(NamedTuple):
    """A room that may have a place on the page."""

    peer: int
    source: int
    row: InboxRow
    head: Head
    new: range
    """The positions of its new entries."""
    wanted: int
    """How many of them, the newest, are to be told."""

    @property
    def gap(self) -> tuple[int, int] | None:
        """Between which positions entries are not told; None where all are."""
        if self.wanted == len(self.new):
            return None
        return self.new.start - 1, self.new.stop - self.wanted

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Archive and position of what is to be told, the newest first."""
        return [(self.source, self.new.stop - number) for number in range(1, self.wanted + 1)]


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
        found = self._reader.run(_CHANGED, number, after, base, base, (base + 1) * PER_FEED, base)
        rooms = found[:ROOMS_OF_PAGE]
        erased = self._by_archive(_ERASED, rooms, base, top)
        if len(rooms) > 1 and sum(map(len, erased.values())) > _ERASURES:
            rooms = rooms[:1]
        chosen, is_all = _chosen(self._with_new(number, rooms, base, top), limit)
        taken = self._fitting(chosen, Room(octets))
        is_all = is_all and len(taken) == len(chosen)
        entries = self._entries(taken)
        changes = [
            RoomChange(
                row=room.row,
                entries=entries[room.source],
                gap=room.gap,
                erased=tuple(sorted(_older(erased[room.source], room.new))),
                head=room.head,
            )
            for room in taken
        ]
        if not is_all:
            after = taken[-1].peer
        elif rooms:  # what is in the inbox no more is told elsewhere, and the page goes over it
            after = rooms[-1][0]
        return RoomChanges(tuple(self._with_last(changes)), after, is_all and len(rooms) == len(found))

    def _by_archive(self, statement: str, rooms: Rows, *values: int) -> dict[int, Rows]:
        """Run a statement for all rooms, and give the rest of its rows by their first column."""
        found: dict[int, Rows] = defaultdict(list)
        for archive, *rest in self._reader.among(statement, [source for _, source in rooms], *values):
            found[archive].append(tuple(rest))
        return found

    # -- which entries are new

    def _with_new(self, member: int, rooms: Rows, base: int, top: int) -> Iterator[_Room]:
        """Give the rooms of the inbox with their new entries, from joining on."""
        rows = self._inbox.among(member, [peer for peer, _ in rooms])
        newest = self._by_archive(_NEWEST, rooms, (base + 1) * PER_FEED)
        joined = self._by_archive(_JOINED, rooms, member)
        heads = {archive: _head(found) for archive, found in self._by_archive(_HEADS, rooms).items()}
        for peer, source in rooms:
            if peer in rows and source in heads:
                new = self._new(source, heads[source], newest[source], base, top)
                if joined[source]:
                    new = range(max(new.start, joined[source][0][0]), new.stop)
                yield _Room(peer, source, rows[peer], heads[source], new, min(len(new), NEWEST_OF_ROOM))

    def _new(self, source: int, head: Head, newest: Rows, base: int, top: int) -> range:
        """Give the positions of the entries after `base` up to `top`; `newest` are (position, message)."""
        known = [position for position, message in newest if message < (top + 1) * PER_FEED]
        if len(newest) < _LOOKED_BACK:  # these are all after `base`
            return range(known[0], known[-1] + 1) if known else range(0)
        start = self._reader.first_at(source, head, "message", (base + 1) * PER_FEED)
        if known:
            return range(start, known[-1] + 1)
        return range(start, self._reader.first_at(source, head, "message", (top + 1) * PER_FEED))

    # -- what has a place

    def _fitting(self, rooms: Sequence[_Room], room: Room) -> list[_Room]:
        """Give the first rooms whose messages have room; of one that has none alone, the newest that have."""
        found = self._reader.sql.find(_SIZES, [pair for each in rooms for pair in each.pairs])
        sizes = {(archive, position): octets or 0 for archive, position, octets in found}
        taken: list[_Room] = []
        for each in rooms:
            count = sum(1 for _ in takewhile(lambda pair: room.take(sizes.get(pair, 0)), each.pairs))
            if count < each.wanted and taken:
                break
            taken.append(each._replace(wanted=count))
        return taken

    def _entries(self, rooms: Sequence[_Room]) -> dict[int, tuple[Archived, ...]]:
        """Give what is told of each room, by archive."""
        rows: dict[int, Rows] = defaultdict(list)
        for *row, archive in self._reader.sql.find(_ENTRIES, [pair for each in rooms for pair in each.pairs]):
            rows[archive].append(tuple(row))
        pairs = [(archive, position) for archive, found in rows.items() for position in retractable(found)]
        retracted: dict[int, dict[int, int]] = defaultdict(dict)
        for archive, position, time in self._reader.sql.find(_RETRACTED, pairs):
            retracted[archive][position] = time
        return defaultdict(
            tuple,
            {
                each.source: tuple(
                    self._reader.archived(
                        each.source,
                        each.head,
                        sorted(set(rows[each.source])),
                        retracted=retracted[each.source],
                    )
                )
                for each in rooms
                if rows[each.source]
            },
        )

    def _with_last(self, taken: Sequence[RoomChange]) -> list[RoomChange]:
        """Complete the conversations whose last messages are not among the entries that are told."""
        missing = [each.row for each in taken if not _has_last(each)]
        completed = {row.peer: row for row in self._inbox.with_last(missing)}
        return [msgspec.structs.replace(each, row=completed.get(each.row.peer, each.row)) for each in taken]


def _chosen(rooms: Iterable[_Room], limit: int) -> tuple[list[_Room], bool]:
    """Give the first rooms that have no more entries than a page, and whether these are all.

    Of one that has more alone, the newest are to be told.
    """
    chosen: list[_Room] = []
    for room in rooms:
        if room.wanted > limit and chosen:
            return chosen, False
        chosen.append(room._replace(wanted=min(room.wanted, limit)))
        limit -= chosen[-1].wanted
    return chosen, True


def _older(erased: Rows, new: range) -> Iterator[int]:
    """Give the positions of erased entries that are not among the new ones."""
    return (position for (position,) in erased if not new or position < new.start)


def _head(rows: Rows) -> Head:
    """Make the state of an archive of rows of it and its epochs."""
    epochs = tuple((epoch_text(row[5]), row[6]) for row in rows if row[5] is not None)
    first, position, time, version, octets = rows[0][:5]
    return Head(first, position, time, version, epochs, octets)


def _has_last(change: RoomChange) -> bool:
    """Tell whether the last message of a conversation is told already, or there is none."""
    position = change.row.position
    return not position or any(entry.id.position == position for entry in change.entries)
