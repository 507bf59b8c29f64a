"""Reactions: who feels what about a message, from the entries that refer to it.

Each sender has one set of reactions, the newest: how often somebody has changed his mind costs no more than
a look at the key of each entry, and the bodies of the newest ones alone are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.adapters.sql.ledger.encoding import HIDDEN
from tidings.adapters.sql.ledger.reader import ENTRY, Reader, Room, listed
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import EntryId, Head, NoSuchEntry, ReactionsPage

_TAKEN_BACK: Final = (
    "SELECT 1 FROM message_links r CROSS JOIN entries x WHERE r.archive = e.archive "  # noqa: S608  # ours
    "AND r.target = e.position AND x.archive = r.archive AND x.position = r.position "
    f"AND x.kind = {EntryKind.RETRACTION:d}"
)
_LINKED: Final = (
    "FROM message_links p CROSS JOIN entries e JOIN messages m ON m.id = e.message "
    f"WHERE e.archive = p.archive AND e.position = p.position AND e.kind = {EntryKind.REACTIONS:d} "
    f"AND e.flags & {HIDDEN} = 0 AND NOT EXISTS ({_TAKEN_BACK}) AND p.archive = ? AND p.position > ? "
)
_NEWEST: Final = f"SELECT MAX(e.position) {_LINKED}AND p.target IN LIST GROUP BY p.target, m.sender"
_BODIES: Final = f"SELECT {ENTRY}WHERE e.archive = ? AND e.position IN LIST ORDER BY e.position"
_TARGETS: Final = f"SELECT DISTINCT p.target {_LINKED}AND p.target BETWEEN ? AND ? ORDER BY p.target LIMIT "
_READ_AT_ONCE: Final = 1_024


class ReactionsReader:
    """Answers who has reacted to what."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def reactions(self, room: Jid, ids: Sequence[EntryId], after: int, octets: int) -> ReactionsPage:
        """Give the newest reactions of each sender to these entries, in their order, behind a position."""
        number, head = self._reader.head(room)
        for each in ids:
            if not head.has(each):
                raise NoSuchEntry(each, head)
        wanted = {each.position for each in ids}
        wanted -= self._reader.retracted(number, sorted(wanted)).keys()
        rows = self._reader.among(_NEWEST, sorted(wanted), number, after)
        positions = sorted(row[0] for row in rows)
        part, space = positions[:_READ_AT_ONCE], Room(octets)
        found = (
            self._reader.run_within(space, *listed(_BODIES, part, (number,)))[: space.taken] if part else []
        )
        entries = tuple(self._reader.archived(number, head, found, retracted={}))
        return ReactionsPage(entries, is_complete=len(entries) == len(positions))

    def reacted_to(self, room: Jid, first: int, last: int, limit: int) -> tuple[EntryId, ...]:
        """List the entries between two positions to which somebody has reacted."""
        number, head = self._reader.head(room)
        low, high = max(first, head.first), min(last, head.position)
        rows = self._reader.run(f"{_TARGETS}{int(limit)}", number, 0, low, high)
        return tuple(_id_of(head, row[0]) for row in rows)


def _id_of(head: Head, position: int) -> EntryId:
    return EntryId(head.epoch_at(position), position)
