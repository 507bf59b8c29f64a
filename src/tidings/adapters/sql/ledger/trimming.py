"""Trimming, erasing and holding, each step a transaction under the locks of the archives' heads.

The search's own lock is taken after the heads and before the ledger's row, which no step holds while it
waits.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from tidings.adapters.sql.ledger import search
from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.conversations import Stretch, find, stretches
from tidings.adapters.sql.ledger.encoding import (
    COUNTABLE,
    ERASED,
    GONE,
    HELD,
    OFFLINE_ONLY,
    PER_FEED,
    SENT,
    UNREAD,
    decode_places,
)
from tidings.adapters.sql.ledger.outbox import release_messages
from tidings.adapters.sql.ledger.reader import Addresses, Reader
from tidings.adapters.sql.ledger.rows import ArchiveRow
from tidings.adapters.sql.ledger.statements import Rows, Sql
from tidings.adapters.sql.tables import DIGEST_OCTETS
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import EntryId

_LEFT: Final = f"AND e.flags & {ERASED | HELD} = 0 ORDER BY e.position LIMIT "  # and a number
_OCTETS: Final = "(SELECT LENGTH(m.body) FROM messages m WHERE m.id = e.message)"
"""Of the content of an entry `e`: octets, in all databases, since it is binary."""

_COLUMNS: Final = f"e.position, e.message, e.peer, e.flags, e.target, e.kind, {_OCTETS}"
_ENTRIES: Final = f"SELECT {_COLUMNS} FROM entries e WHERE e.archive = ? AND "  # noqa: S608  # ours

_CORRECTIONS: Final = (
    "SELECT e.position FROM message_links p CROSS JOIN entries e WHERE p.archive = ? AND p.target = ? "
    "AND e.archive = p.archive AND e.position = p.position AND e.kind = ?"
)


class Trimming:
    """One step of forgetting in archives, a transaction; see the port `Ledger`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._run = sql.run
        self._reader = Reader(sql, Addresses())
        self.archives = Archives(sql, Caches())

    def hold(self, archive: Jid, positions: Iterable[int], *, is_held: bool) -> int:
        """Mark entries as held, or not any more."""
        head = self.archives.lock_one(archive)
        rows = self.at(head, positions)
        flags = f"flags | {HELD}" if is_held else f"flags & ~{HELD}"
        statement = f"UPDATE entries SET flags = {flags} WHERE archive = ? AND position = ?"  # noqa: S608  # ours
        for entry in rows:
            self._run(statement, head.archive, entry[0])
        return len(rows)

    def hold_archive(self, archive: Jid, *, is_held: bool) -> None:
        """Hold an archive as a whole, or not any more."""
        head = self.archives.lock_one(archive)
        head.held = int(is_held)
        self.archives.save(head)

    def erase(self, archive: Jid, positions: Iterable[int]) -> int:
        """Turn entries, and what corrects them, into tombstones."""
        head = self.archives.lock_one(archive)
        return self.bury({head.archive: self._with_corrections(head, positions)})

    def erase_everywhere(self, at: EntryId, archive: Jid) -> int:
        """Turn every entry of one message into a tombstone."""
        number, head = self._reader.head(archive)
        if not head.has(at):
            return 0
        message = self._run(f"{_ENTRIES}e.position = ?", number, at.position).first()
        found = message and self._run("SELECT places FROM messages WHERE id = ?", message[1]).first()
        if not found:
            return 0
        places: dict[int, list[int]] = defaultdict(list)
        for each, _, position in decode_places(bytes(found[0])).places:
            places[each].append(position)
        self.archives.lock(places)
        rows = self.archives.rows
        return self.bury({each: self._with_corrections(rows[each], places[each]) for each in places})

    def erase_conversation(self, archive: Jid, peer: Jid, limit: int) -> int:
        """Turn the oldest entries of a conversation into tombstones; with the last it leaves the inbox."""
        self.archives.intern({archive, peer})
        head = self.archives.lock_one(archive)
        number = self.archives.ids[peer]
        parts = stretches(self._sql, head.archive, number, head.first, head.position)
        rows = self._of_conversation(parts, f"e.flags & {ERASED | HELD} = 0", limit + 1)
        count = self.bury({head.archive: rows[:limit]})
        is_over = len(rows) <= limit and not head.held
        if is_over and not self._of_conversation(parts, f"e.flags & {HELD} <> 0", 1):
            self.take_out(head.archive, [number])
        return count

    def _of_conversation(self, parts: Sequence[Stretch], condition: str, limit: int) -> Rows:
        return find(self._sql, parts, _COLUMNS, condition=condition, limit=limit)

    def trim(
        self,
        archive: Jid,
        keep: int | None,
        octets: int | None,
        before: int | None,
        unread_from: int | None,
        limit: int,
    ) -> int:
        """Forget the oldest entries."""
        head = self.archives.lock_one(archive)
        last = head.first - 1
        if keep is not None:
            last = max(last, head.position - keep)
        if octets is not None:
            last = max(last, self._last_beyond(head, octets, limit))
        number, state = self._reader.head(archive)
        if before is not None:
            last = max(last, self._reader.first_at(number, state, "time", before) - 1)
        if unread_from is not None:
            unread = self._reader.first_at(number, state, "message", unread_from * PER_FEED)
            last = min(last, unread - 1)
        return self.trim_to(head, last, limit)

    def _last_beyond(self, head: ArchiveRow, octets: int, limit: int) -> int:
        """Give the last entry behind which an archive has no more than so many octets.

        With more than `limit` entries before it that can go, gives the last one of as many.
        """
        last, excess, free = head.first - 1, head.octets - octets, 0
        condition = f"e.position > ? AND e.flags & {ERASED} = 0 ORDER BY e.position LIMIT {int(limit)}"
        while excess > 0 and free < limit and not head.held:
            rows = self._run(_ENTRIES + condition, head.archive, last).all()
            if not rows:
                break
            for last, _, _, flags, _, _, length in rows:  # noqa: B007  # where it ends is what is wanted
                excess -= length or 0
                free += not flags & HELD
                if excess <= 0 or free >= limit:
                    break
        return last

    # -- steps

    def trim_to(self, head: ArchiveRow, last: int, limit: int) -> int:
        """Cut the entries up to a position, as far as none is held; behind that make tombstones."""
        if head.held or last < head.first:
            return 0
        end = min(last, head.first + limit - 1)
        condition = f"e.position BETWEEN ? AND ? AND e.flags & {HELD} <> 0 ORDER BY e.position LIMIT 1"
        held = self._run(_ENTRIES + condition, head.archive, head.first, end).first()
        if held is not None:
            end = held[0] - 1
        if end >= head.first:
            return self._cut(head, end)
        condition = f"e.position <= ? {_LEFT}{int(limit)}"
        return self.bury({head.archive: self._run(_ENTRIES + condition, head.archive, last).all()})

    def bury(self, found: dict[int, Rows]) -> int:
        """Make tombstones of those entries of locked archives that are neither held nor buried."""
        left = {
            archive: [row for row in rows if not row[3] & (ERASED | HELD)]
            for archive, rows in found.items()
            if not self.archives.rows[archive].held
        }
        count = sum(map(len, left.values()))
        if count:
            search.lock(self._sql)
            self.take_number()
            for archive, rows in left.items():
                self._entomb(archive, rows)
                self._let_go(self.archives.rows[archive], [row[6] for row in rows])
            release_messages(self._sql, {row[1] for rows in left.values() for row in rows})
        return count

    def _entomb(self, archive: int, rows: Rows) -> None:
        statement = (
            f"UPDATE entries SET flags = (flags | {ERASED}) & ~{OFFLINE_ONLY}, target = ?, resource = ? "  # noqa: S608  # ours
            "WHERE archive = ? AND position = ?"
        )
        forgetting = "DELETE FROM message_links WHERE archive = ? AND target = ? AND position = ?"
        for position, _, peer, flags, target, kind, _ in rows:
            # A retraction holds without its content: what it took back stays out of sight.
            target_left = target if kind == EntryKind.RETRACTION else 0
            self._run(statement, target_left, b"", archive, position)
            search.forget(self._sql, archive, position, position)
            if target and not target_left:
                self._run(forgetting, archive, target, position)
            if peer == archive:  # a room's
                self._run("DELETE FROM mentions WHERE archive = ? AND position = ?", archive, position)
            if flags & OFFLINE_ONLY:
                self._run("DELETE FROM offline_only WHERE archive = ? AND position = ?", archive, position)
        unread = [(archive, row[2], row[0]) for row in rows if row[3] & (COUNTABLE | SENT) == COUNTABLE]
        self._sql.add("uncounted", sorted(unread))
        self._sql.insert("erasures", [(self.archives.feed, archive, row[0]) for row in rows])
        self._note_change(archive, {row[2] for row in rows})

    def _cut(self, head: ArchiveRow, end: int) -> int:
        """Delete the entries up to a position; nothing among them is held."""
        archive = head.archive
        search.lock(self._sql)
        self.take_number()
        columns = f"e.position, e.message, e.peer, e.count, e.flags, {_OCTETS}"
        select = f"SELECT {columns} FROM entries e WHERE e.archive = ? AND e.position <= ?"  # noqa: S608  # ours
        rows = self._run(select, archive, end).all()
        # In order, so that the last entry of each conversation is what remains.
        lasts = {row[2]: (row[0], row[3]) for row in sorted(rows)}
        pointer = (
            "UPDATE inbox SET read_position = ?, read_count = ? "
            "WHERE owner = ? AND peer = ? AND read_position < ? AND source = owner"
        )
        for peer, (position, count) in lasts.items():
            self._run(pointer, position, count, archive, peer, position)
            for table in ("uncounted", "conversations"):
                statement = f"DELETE FROM {table} WHERE archive = ? AND peer = ? AND position <= ?"  # noqa: S608  # ours
                self._run(statement, archive, peer, end)
        self._run("DELETE FROM entries WHERE archive = ? AND position <= ?", archive, end)
        # What refers to them from behind tells a correction that its original was retracted.
        links = "DELETE FROM message_links WHERE archive = ? AND target <= ? AND position <= ?"
        self._run(links, archive, end, end)
        self._run("DELETE FROM offline_only WHERE archive = ? AND position <= ?", archive, end)
        self._run("DELETE FROM mentions WHERE archive = ? AND position <= ?", archive, end)
        search.forget(self._sql, archive, head.first, end)
        self._note_change(archive, lasts)
        release_messages(self._sql, {row[1] for row in rows})
        head.first = end + 1
        self._let_go(head, [row[5] for row in rows if not row[4] & ERASED])
        return len(rows)

    def _let_go(self, head: ArchiveRow, lengths: Iterable[int | None]) -> None:
        """Write the row of an archive from which bodies of these lengths have gone."""
        head.octets -= sum(length or 0 for length in lengths)
        self.archives.save(head)

    def take_out(self, owner: int, peers: Sequence[int]) -> None:
        """Take conversations that are in the inbox out of it until they have a newer message."""
        select = (
            "SELECT i.peer, s.count FROM inbox i "  # noqa: S608  # ours
            "LEFT JOIN inbox s ON s.owner = i.source AND s.peer = i.peer "
            f"WHERE i.owner = ? AND i.peer = ? AND i.flags & {GONE} = 0"
        )
        change = (
            f"UPDATE inbox SET flags = (flags | {GONE}) & ~{UNREAD}, boxed_count = ? "  # noqa: S608  # ours
            "WHERE owner = ? AND peer = ?"
        )
        for peer in peers:
            for number, count in self._run(select, owner, peer).all():
                self.take_number()
                self._run(change, count or 0, owner, number)
                self._note_change(owner, [number])

    def _note_change(self, archive: int, peers: Iterable[int]) -> None:
        """Let the inbox rows of these conversations carry the feed number."""
        statement = "UPDATE inbox SET feed = ? WHERE owner = ? AND peer = ?"
        for peer in sorted(peers):
            self._run(statement, self.archives.feed, archive, peer)

    # -- what steps stand on

    def take_number(self) -> None:
        """Take the number of the feed that this step has, once."""
        if not self.archives.feed:
            self.archives.take_feed(secrets.token_bytes(DIGEST_OCTETS))

    def _with_corrections(self, head: ArchiveRow, positions: Iterable[int]) -> Rows:
        """Give the entries at these positions, and those that correct them: they are the same message."""
        found = set(positions)
        for position in sorted(found):
            corrections = self._run(_CORRECTIONS, head.archive, position, +EntryKind.CORRECTION)
            found.update(row[0] for row in corrections.all())
        return self.at(head, found)

    def at(self, head: ArchiveRow, positions: Iterable[int]) -> Rows:
        """Give the entries at these positions."""
        statement = f"{_ENTRIES}e.position = ?"
        found = (self._run(statement, head.archive, position).first() for position in sorted(set(positions)))
        return [row for row in found if row is not None]
