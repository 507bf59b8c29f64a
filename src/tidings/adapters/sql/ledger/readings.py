"""Readings: how far the members of a room have read, and so how many have seen a message.

A member's pointer is where he has read to, and it is written anyway. Of a message nothing is kept: it was
seen by those whose pointer is not before it, so neither a message nor a marker costs a row a member.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from tidings.adapters.sql.ledger.reader import Reader
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import EntryId, NoSuchEntry, Reading, Seen

# Joining moves the pointer, so none is before where its owner has joined.
_POINTER: Final = (
    "CASE WHEN i.source = m.room AND i.read_position > m.joined THEN i.read_position ELSE m.joined END"
)
_MEMBERS: Final = (
    f"SELECT m.member, {_POINTER}, CASE WHEN i.source = m.room THEN i.read_time ELSE 0 END, m.joined "  # noqa: S608  # ours
    "FROM members m LEFT JOIN inbox i ON i.owner = m.member AND i.peer = m.room "
    "WHERE m.room = ? AND m.joined IS NOT NULL "
)
_ENTRIES: Final = (
    "SELECT e.position, e.kind, m.sender FROM entries e LEFT JOIN messages m ON m.id = e.message "
    "WHERE e.archive = ? AND e.position IN LIST"
)
_CHANGES: Final = (EntryKind.MEMBERSHIP, EntryKind.CONFIGURATION)


class RoomReadings:
    """Answers who has read what of rooms."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def seen(self, room: Jid, ids: Sequence[EntryId]) -> tuple[Seen, ...]:
        """Tell how many members have seen each of these entries."""
        number, head = self._reader.head(room)
        rows = self._reader.among(_ENTRIES, sorted({each.position for each in ids if head.has(each)}), number)
        senders = {position: sender or 0 for position, kind, sender in rows if kind not in _CHANGES}
        for each in ids:
            if each.position not in senders or not head.has(each):
                raise NoSuchEntry(each, head)
        names = self._reader.names_of({sender for sender in senders.values() if sender})
        members = self._reader.run(_MEMBERS, number)
        pointers = {member: (pointer, joined) for member, pointer, _, joined in members}
        # Whose pointer is before an entry has joined before it, too.
        read, joined = sorted(row[1] for row in members), sorted(row[3] for row in members)
        found = []
        for each in ids:
            position, sender = each.position, senders[each.position]
            of = bisect_left(joined, position)
            seen = of - bisect_left(read, position)
            pointer, since = pointers.get(sender, (0, position))
            if since < position:
                of, seen = of - 1, seen - (pointer >= position)
            found.append(Seen(each, seen, of, names.get(sender)))
        return tuple(found)

    def readings(
        self, room: Jid, entry: Seen | None, has_read: bool, after: Jid | None, limit: int
    ) -> tuple[Reading, ...]:
        """Tell how far members have read, in the order of their numbers."""
        number_of = self._reader.number_of
        condition, values = "", [number_of(room)]
        if after is not None:
            condition += "AND m.member > ? "
            values.append(number_of(after))
        if entry is not None:
            position = entry.id.position
            condition += f"AND m.joined < ? AND {_POINTER} {'>=' if has_read else '<'} ? AND m.member <> ? "
            values += (position, position, 0 if entry.sender is None else number_of(entry.sender))
        rows = self._reader.run(f"{_MEMBERS}{condition}ORDER BY m.member LIMIT {int(limit)}", *values)
        names = self._reader.names_of({row[0] for row in rows})
        return tuple(Reading(names[member], pointer, time) for member, pointer, time, _ in rows)
