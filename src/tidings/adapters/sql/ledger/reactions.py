"""Reactions: who feels what about a message, from the entries that refer to it.

Each sender has one set of reactions, the newest: how often somebody has changed his mind costs no more than
a look at the key of each entry, and the bodies of the newest ones alone are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.adapters.sql.ledger.encoding import HIDDEN
from tidings.adapters.sql.ledger.reader import Reader
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived, EntryId, Head, NoSuchEntry

_TAKEN_BACK: Final = (
    "SELECT 1 FROM message_links r CROSS JOIN entries x WHERE r.archive = e.archive AND r.target = e.position "
    f"AND x.archive = r.archive AND x.position = r.position AND x.kind = {EntryKind.RETRACTION:d}"
)
_LINKED: Final = (
    "FROM message_links p CROSS JOIN entries e JOIN messages m ON m.id = e.message "  # noqa: S608  # ours
    f"WHERE e.archive = p.archive AND e.position = p.position AND e.kind = {EntryKind.REACTIONS:d} "
    f"AND e.flags & {HIDDEN} = 0 AND NOT EXISTS ({_TAKEN_BACK}) AND p.archive = ? AND p.target "
)
_NEWEST: Final = f"SELECT MAX(e.position) {_LINKED}IN LIST GROUP BY p.target, m.sender"
_TARGETS: Final = f"SELECT DISTINCT p.target {_LINKED}BETWEEN ? AND ? ORDER BY p.target LIMIT "
_READ_AT_ONCE: Final = 1_024


class ReactionsReader:
    """Answers who has reacted to what."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def reactions(self, room: Jid, ids: Sequence[EntryId]) -> tuple[Archived, ...]:
        """Give the newest reactions of each sender to each of these entries, in their order."""
        number, head = self._reader.head(room)
        for each in ids:
            if not head.has(each):
                raise NoSuchEntry(each, head)
        rows = self._reader.among(_NEWEST, sorted({each.position for each in ids}), number)
        found: list[Archived] = []
        for positions in _in_parts(sorted(row[0] for row in rows)):
            found += self._reader.entries_at(number, head, positions)
        return tuple(found)

    def reacted_to(self, room: Jid, first: int, last: int, limit: int) -> tuple[EntryId, ...]:
        """List the entries between two positions to which somebody has reacted."""
        number, head = self._reader.head(room)
        low, high = max(first, head.first), min(last, head.position)
        rows = self._reader.run(f"{_TARGETS}{int(limit)}", number, low, high)
        return tuple(_id_of(head, row[0]) for row in rows)


def _in_parts(positions: Sequence[int]) -> list[Sequence[int]]:
    """Give positions in as many parts as statements take."""
    return [positions[at : at + _READ_AT_ONCE] for at in range(0, len(positions), _READ_AT_ONCE)]


def _id_of(head: Head, position: int) -> EntryId:
    return EntryId(head.epoch_at(position), position)
