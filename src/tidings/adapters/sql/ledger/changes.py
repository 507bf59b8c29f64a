"""What happened to one account since a number of the feed, but for its rooms (`room_changes.py`).

A cursor is a number of the feed that was read before anything else, or one that the page ends with: what a
transaction writes that commits meanwhile has a higher number and is left to the next page. A transaction is
never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.adapters.sql.ledger.encoding import PER_FEED, epoch_text
from tidings.adapters.sql.ledger.inbox_pages import InboxPages
from tidings.adapters.sql.ledger.reader import ENTRY, Reader, Room
from tidings.adapters.sql.ledger.statements import Rows
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import Changes

_ERASURES: Final = 1000
_ROWS: Final = 500


class ChangesReader:
    """Answers sync."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._inbox = InboxPages(reader)

    def feed(self) -> tuple[str, int]:
        """Give the incarnation and the last feed number."""
        rows = self._reader.run("SELECT incarnation, feed FROM ledger WHERE id = 1")
        return (epoch_text(rows[0][0]), rows[0][1]) if rows else ("", 0)

    def changes(
        self, owner: Jid, since: int, limit: int, octets: int | None = None, upto: int | None = None
    ) -> Changes:
        """Give what happened to an account after a feed number, up to another one."""
        incarnation, newest = self.feed()
        last = newest = newest if upto is None else min(upto, newest)
        number, head = self._reader.head(owner)
        inbox_owner = number or self._reader.number_of(owner)
        start = self._reader.first_at(number, head, "message", (since + 1) * PER_FEED)
        room = Room(octets)
        rows = self._entries(number, start, head.position, last, limit, room)
        limit = min(limit, max(room.taken, 1))
        if len(rows) > limit and rows[0][1] // PER_FEED == rows[-1][1] // PER_FEED:
            last = rows[0][1] // PER_FEED  # one transaction is more than a page: all of it
            end = self._reader.first_at(number, head, "message", (last + 1) * PER_FEED) - 1
            rows = self._entries(number, start, end, last, end - start, Room(None))
            limit = len(rows)
        erased = self._erased(number, since, last, start)
        changed = sorted(self._inbox.changed(inbox_owner, since), key=lambda row: row.feed)
        gone = sorted(self._inbox.gone(inbox_owner, since))
        end = min(
            _cut([row[1] // PER_FEED for row in rows], limit, last),
            _cut([feed for feed, _ in erased], _ERASURES, last),
            _cut([row.feed for row in changed if row.feed <= last], _ROWS, last),
            _cut([feed for feed, _ in gone if feed <= last], _ROWS, last),
        )
        rows = [row for row in rows if row[1] // PER_FEED <= end]
        return Changes(
            entries=tuple(self._reader.archived(number, head, rows)),
            erased=tuple(sorted(position for feed, position in erased if feed <= end)),
            rows=tuple(row for row in changed if row.feed <= end),
            incarnation=incarnation,
            feed=max(end, min(since, last)),
            is_complete=end >= newest,
            head=head,
            gone=tuple(peer for feed, peer in gone if feed <= end),
        )

    def _entries(self, archive: int, start: int, end: int, last: int, limit: int, room: Room) -> Rows:
        """Give entries between two positions, up to a feed number: one more than there is room for."""
        statement = (
            f"SELECT {ENTRY}WHERE e.archive = ? AND e.position BETWEEN ? AND ? AND e.message < ? "
            f"ORDER BY e.position LIMIT {int(limit) + 1}"
        )
        return self._reader.run_within(room, statement, archive, start, end, (last + 1) * PER_FEED)

    def _erased(self, archive: int, since: int, last: int, start: int) -> Rows:
        """Give (feed, position) of older entries that were erased: some more than a page has, none cut."""
        statement = (
            "SELECT feed, position FROM erasures WHERE archive = ? AND feed > ? AND feed <= ? "
            "AND position < ? ORDER BY feed "
        )
        rows = self._reader.run(f"{statement}LIMIT {_ERASURES + 1}", archive, since, last, start)
        if len(rows) > _ERASURES and rows[0][0] == rows[-1][0]:
            rows = self._reader.run(statement, archive, since, rows[0][0], start)
        return rows


def _cut(feeds: Sequence[int], limit: int, last: int) -> int:
    """Give the last feed number of a page of at most so many, which are ascending; at least the first one."""
    if len(feeds) <= limit:
        return last
    beyond = feeds[limit]
    return beyond if feeds[0] == beyond else beyond - 1
