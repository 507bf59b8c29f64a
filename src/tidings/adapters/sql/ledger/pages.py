"""Pages of an archive: what matches, how many, and the part of it that is asked for.

Counting is not the price of a page. Positions are dense, so an archive is counted by subtraction; what
queries hide is listed in small tables. A conversation is counted over its list, up to `COUNTED` entries.
Other conditions are counted by looking.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tidings.adapters.sql.ledger.conversations import JOINED, WITHIN, Stretch, stretches
from tidings.adapters.sql.ledger.encoding import ERASED, GROUPCHAT, HIDDEN
from tidings.adapters.sql.ledger.reader import BODY, ENTRY, Reader, Room, entry_of
from tidings.adapters.sql.ledger.search import hits
from tidings.adapters.sql.ledger.statements import Rows
from tidings.ports.ledger.reading import (
    COUNTED,
    FOLDED_OCTETS,
    ArchivePage,
    EntryId,
    Head,
    NoSuchEntry,
    PageQuery,
)

_ENOUGH: Final = COUNTED + 1


class _Selection(NamedTuple):
    """What matches a query in a stretch of the archive, as text for statements."""

    source: str
    condition: str
    values: tuple[object, ...]
    order: str


class Pages:
    """Answers `PageQuery`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._sql = reader.sql

    def page(self, query: PageQuery, archive: int, head: Head) -> ArchivePage:
        """Give a page of an archive, whose number and state these are; raises `NoSuchEntry`."""
        low, high = self._bounds(query, archive, head)
        total = self._total(query, archive, low, high) if query.counted else None
        start = low if query.after is None else max(low, query.after.position + 1)
        end = high if query.before is None else min(high, query.before.position - 1)
        room = Room(query.octets)
        rows = self._rows(query, archive, start, end, room) if start <= end else []
        is_complete = len(rows) <= query.limit
        rows = rows[: query.limit]
        if query.words:
            statement = f"SELECT {ENTRY}WHERE e.archive = ? AND e.position IN LIST"
            found = self._reader.among(statement, [row[0] for row in rows], archive)
            rows = sorted(found, reverse=query.newest)
            room.fill(rows)
        if room.taken < len(rows):
            is_complete = False
            rows = rows[: room.taken]
        if query.folded and query.octets is not None and rows:
            taken = self._fitting(archive, rows, query.octets)
            is_complete = is_complete and taken == len(rows)
            rows = rows[:taken]
        if query.newest:
            rows.reverse()
        index = None
        if total is not None and query.newest and end == high:
            index = total - len(rows)
        elif total is not None:
            index = self._total(query, archive, low, (rows[0][0] if rows else start) - 1)
        entries = self._reader.archived(
            archive,
            head,
            rows,
            folded=(query.octets or FOLDED_OCTETS) if query.folded else 0,
            offline_only=query.offline_only,
        )
        if query.flipped:
            entries.reverse()
        return ArchivePage(tuple(entries), is_complete, total, index, head)

    def _fitting(self, archive: int, rows: Rows, octets: int) -> int:
        """Tell how many rows have room together with what is folded into them."""
        room = Room(octets)
        pointing = self._reader.pointing_octets(archive, [row[0] for row in rows])
        for row in rows:
            if not room.take(len(row[BODY] or b"") + pointing.get(row[0], 0)):
                break
        return room.taken

    def _bounds(self, query: PageQuery, archive: int, head: Head) -> tuple[int, int]:
        """Turn ids and times into the first and the last position of the selection."""
        bounds = (query.from_id, query.to_id, query.after_id, query.before_id, query.after, query.before)
        for entry in (*bounds, *(query.ids or ())):
            if entry is not None and not head.has(entry):
                raise NoSuchEntry(entry, head)
        low = max(head.first, query.above + 1, _at(query.from_id, 0), _at(query.after_id, -1) + 1)
        high = min(
            head.position, _at(query.to_id, head.position), _at(query.before_id, head.position + 1) - 1
        )
        if query.start is not None and low <= high:
            low = max(low, self._reader.first_at(archive, head, "time", query.start))
        if query.end is not None and low <= high and query.end < head.time:
            high = min(high, self._reader.first_at(archive, head, "time", query.end + 1) - 1)
        return low, high

    def _rows(self, query: PageQuery, archive: int, low: int, high: int, room: Room) -> Rows:
        """Give the rows of a page and one more, from its beginning; fewer where there is no room for them."""
        rows: Rows = []
        selections = self._select(query, archive, low, high)
        for found in reversed(selections) if query.newest else selections:
            # A search looks for positions first: the index may have to sort all that it finds.
            columns = f"h.position FROM {found.source} " if query.words else entry_of(found.source)
            statement = (
                f"SELECT {columns}WHERE {found.condition} ORDER BY {found.order} "
                f"{'DESC' if query.newest else 'ASC'} LIMIT {query.limit + 1 - len(rows)}"
            )
            if query.words:
                rows += self._reader.run(statement, *found.values)
            else:
                rows += self._reader.run_within(room, statement, *found.values)
            if len(rows) > query.limit or (not query.words and room.taken < len(rows)):
                break
        return rows

    def _select(self, query: PageQuery, archive: int, low: int, high: int) -> list[_Selection]:
        """Tell where to look between two positions, in their order."""
        if query.peer is not None and not query.words and query.ids is None:
            parts = self._stretches(query.peer, archive, low, high)
            condition = " AND ".join((WITHIN, JOINED, *_shown(query)))
            return [_Selection(part.entries, condition, part.values, "c.position") for part in parts]
        source, order = "entries e", "e.position"
        conditions, values = ["e.archive = ?", "e.position BETWEEN ? AND ?"], [archive, low, high]
        before: tuple[object, ...] = ()
        if query.words:
            found = hits(self._sql, archive, query.words, low, high)
            if query.peer is None and query.ids is None and query.groupchat and not query.without:
                # The index tells all.
                return [_Selection(f"({found.statement}) h", "1 = 1", found.values, "h.id")]
            source = f"({found.statement}) h CROSS JOIN entries e"
            conditions.append("e.position = h.position")
            order, before = "h.id", found.values
        if query.peer is not None:
            conditions.append("e.peer = ?")
            values.append(self._reader.number_of(query.peer))
        conditions += _shown(query)
        if query.ids is not None:
            positions = sorted({entry.position for entry in query.ids}) or [0]
            conditions.append(f"e.position IN ({', '.join('?' * len(positions))})")
            values += positions
        return [_Selection(source, " AND ".join(conditions), (*before, *values), order)]

    def _stretches(self, peer: str, archive: int, low: int, high: int) -> list[Stretch]:
        return stretches(self._sql, archive, self._reader.number_of(peer), low, high)

    # -- counting

    def _total(self, query: PageQuery, archive: int, low: int, high: int) -> int | None:
        """Count what matches between two positions; None for more than `COUNTED`."""
        if low > high:
            return 0
        if query.words or query.ids is not None or not query.groupchat or query.without:
            return self._looked(query, archive, low, high)
        if query.peer is not None:
            return self._of_conversation(query, archive, low, high)
        hidden = self._hidden(query, archive, low, high, None)
        if hidden is None:
            return self._looked(query, archive, low, high)
        total = high - low + 1 - hidden
        return total if total <= COUNTED else None

    def _of_conversation(self, query: PageQuery, archive: int, low: int, high: int) -> int | None:
        """Count over the list of conversations, which does not tell what is hidden."""
        assert query.peer is not None
        hidden = self._hidden(query, archive, low, high, self._reader.number_of(query.peer))
        if hidden is None:
            return self._looked(query, archive, low, high)
        total = -hidden
        for part in self._stretches(query.peer, archive, low, high):
            total += self._count(f"{part.table} c", WITHIN, part.values, _ENOUGH - total)
        return total if total <= COUNTED else None

    def _hidden(self, query: PageQuery, archive: int, low: int, high: int, peer: int | None) -> int | None:
        """Count the entries that the query does not show; None when there are too many to go through."""
        if query.tombstones:
            return 0
        joined = "" if peer is None else "JOIN entries e ON e.archive = x.archive AND e.position = x.position"
        condition, values = ("", ()) if peer is None else (" AND e.peer = ?", (peer,))
        hidden = 0
        for table in ("erasures",) if query.offline_only else ("erasures", "offline_only"):
            listed = f"SELECT archive, position FROM {table} WHERE archive = ? LIMIT {_ENOUGH}"  # noqa: S608  # ours
            statement = (
                f"SELECT COUNT(*), SUM(CASE WHEN x.position BETWEEN ? AND ?{condition} THEN 1 ELSE 0 END) "  # noqa: S608  # ours
                f"FROM ({listed}) x {joined}"
            )
            ((listed_count, count),) = self._reader.run(statement, low, high, *values, archive)
            if listed_count > COUNTED:
                return None
            hidden += int(count or 0)
        return hidden

    def _looked(self, query: PageQuery, archive: int, low: int, high: int) -> int | None:
        """Count by looking at entry after entry."""
        total = 0
        for found in self._select(query, archive, low, high):
            total += self._count(found.source, found.condition, found.values, _ENOUGH - total)
        return total if total <= COUNTED else None

    def _count(self, source: str, condition: str, values: tuple[object, ...], limit: int) -> int:
        """Count what is there, up to a limit."""
        counted = f"SELECT 1 FROM {source} WHERE {condition} LIMIT {limit}"  # noqa: S608  # ours
        return int(self._reader.run(f"SELECT COUNT(*) FROM ({counted}) AS counted", *values)[0][0])  # noqa: S608  # ours


def _shown(query: PageQuery) -> list[str]:
    """Give the conditions for entries that the query shows."""
    conditions = []
    if not query.tombstones:
        conditions.append(f"e.flags & {ERASED if query.offline_only else HIDDEN} = 0")
    if not query.groupchat:
        conditions.append(f"e.flags & {GROUPCHAT} = 0")
    if query.without:
        conditions.append(f"e.kind NOT IN ({', '.join(str(+kind) for kind in query.without)})")
    return conditions


def _at(entry: EntryId | None, otherwise: int) -> int:
    return otherwise if entry is None else entry.position
