"""Forgetting by what it is about: removed accounts, the bin, what is for devices only, what is stale."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.encoding import ERASED, GONE, HELD, PER_FEED
from tidings.adapters.sql.ledger.feed_rows import forget_feed_rows
from tidings.adapters.sql.ledger.inboxes import Inboxes
from tidings.adapters.sql.ledger.members import Members
from tidings.adapters.sql.ledger.outbox import forget_outbound
from tidings.adapters.sql.ledger.references import References
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.ledger.trimming import Trimming
from tidings.adapters.sql.tables import key_of
from tidings.base.jid import Jid

BIN: Final = b"bin"

_ARCHIVES: Final = 64
"""How many archives one step may lock."""

_OF_ACCOUNT: Final = (
    ("inbox", "owner"),
    ("devices", "archive"),
    ("uncounted", "archive"),
    ("mentions", "archive"),
    ("properties", "archive"),
)
_MEMBERS: Final = "SELECT room, member FROM members WHERE "
_SOME: Final = f"LIMIT {_ARCHIVES // 2}"

_UNNEEDED: Final = (
    "SELECT p.archive, p.position FROM offline_only p CROSS JOIN entries e CROSS JOIN archives h "  # noqa: S608  # ours
    "WHERE e.archive = p.archive AND e.position = p.position AND h.archive = p.archive "
    f"AND h.held = 0 AND e.flags & {ERASED | HELD} = 0 AND (p.time < ? OR ("
    "EXISTS (SELECT 1 FROM devices d WHERE d.archive = p.archive) AND NOT EXISTS ("
    "SELECT 1 FROM devices d WHERE d.archive = p.archive AND d.pulls = 0 AND d.position < p.position))) "
    "ORDER BY p.archive, p.position LIMIT "  # and a number
)


class Removal:
    """One step of forgetting by what it is about, a transaction; see the port `Ledger`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._run = sql.run
        self._trimming = Trimming(sql)
        self._archives = self._trimming.archives

    def empty_bin(self, owner: Jid, before: int | None) -> int:
        """Take the conversations of the bin out of the inbox."""
        head = self._archives.lock_one(owner)
        condition, values = ("", ()) if before is None else (" AND boxed_time < ?", (before,))
        select = f"SELECT peer FROM inbox WHERE owner = ? AND box = ? AND flags & {GONE} = 0{condition}"  # noqa: S608  # ours
        peers = [row[0] for row in self._run(select, head.archive, BIN, *values)]
        self._trimming.take_out(head.archive, peers)
        return len(peers)

    def forget_account(self, archive: Jid, limit: int, unless_owned: bool) -> int:
        """Forget memberships, then entries, and when none is left all else that belongs to the account."""
        gone = self._forget_members(archive, unless_owned)
        if gone:
            return gone
        head = self._archives.lock_one(archive)
        if unless_owned and self._is_owned(archive):
            return 0
        if head.incarnation:
            head.incarnation = 0  # the next append opens another epoch
            self._archives.save(head)
        gone = self._trimming.trim_to(head, head.position, limit)
        for table, key in _OF_ACCOUNT if not gone else ():
            condition = f"FROM {table} WHERE {key} = ?"
            gone += int(self._run(f"SELECT COUNT(*) {condition}", head.archive).scalar())
            self._run(f"DELETE {condition}", head.archive)
        return gone

    def _is_owned(self, archive: Jid) -> bool:
        """Tell, under the lock of an archive, whether there is an account of its address."""
        select = "SELECT account FROM accounts WHERE account = ?"
        return self._run(select, key_of(archive)).first() is not None

    def _forget_members(self, jid: Jid, unless_owned: bool) -> int:
        """Take a room out of the inboxes of some of its members, or an account out of some of its rooms."""
        archives = self._archives
        archives.intern({jid})
        number = archives.ids[jid]
        # Whom it concerns is asked before the locks, which are taken in one order.
        pairs = [(row[0], row[1]) for row in self._run(f"{_MEMBERS}room = ? {_SOME}", number).all()]
        rooms = [(row[0], row[1]) for row in self._run(f"{_MEMBERS}member = ? {_SOME}", number).all()]
        pairs += rooms
        if not pairs:
            return 0
        archives.lock({each for pair in pairs for each in pair})
        if unless_owned and self._is_owned(jid):
            return 0
        self._trimming.take_number()
        inboxes = Inboxes(self._sql, archives, References(self._sql, archives))
        members = Members(self._sql, archives, inboxes)
        inboxes.take(inboxes.ask({(member, room) for room, member in pairs}, Caches()))
        for room, member in pairs:
            members.remove(room, member)
        for room, _ in rooms:
            row = archives.rows[room]
            row.version += 1
            archives.save(row)
        inboxes.write()
        members.write()
        return len(pairs)

    def forget_offline_only(self, before: int, limit: int) -> int:
        """Erase offline-only entries that nobody waits for, or that are too old."""
        wanted: dict[int, list[int]] = defaultdict(list)
        for archive, position in self._run(f"{_UNNEEDED}{int(limit)}", before):
            if archive in wanted or len(wanted) < _ARCHIVES:
                wanted[archive].append(position)
        if not wanted:
            return 0
        self._archives.lock(wanted)
        return self._trimming.bury(
            {each: self._trimming.at(self._archives.rows[each], wanted[each]) for each in wanted}
        )

    def forget_stale(self, before: int, limit: int) -> int:
        """Forget devices, streams and notes of commits that were last used before this time."""
        gone = self._forget_devices(before, limit)
        select = "SELECT stream FROM streams WHERE seen < ? ORDER BY stream LIMIT "
        for (stream,) in self._run(f"{select}{int(limit)}", before):
            gone += self._run("DELETE FROM streams WHERE stream = ? AND seen < ?", stream, before).rowcount
        feed = self._first_feed(before)
        select = "SELECT feed FROM commits WHERE feed < ? ORDER BY feed LIMIT "
        for (each,) in self._run(f"{select}{int(limit)}", feed):
            gone += self._run("DELETE FROM commits WHERE feed = ?", each).rowcount
        gone += forget_feed_rows(self._sql, feed, limit)
        return gone + forget_outbound(self._sql, feed, limit)

    def _forget_devices(self, before: int, limit: int) -> int:
        select = "SELECT archive, device FROM devices WHERE seen < ? ORDER BY archive, device LIMIT "
        stale = [(archive, bytes(device)) for archive, device in self._run(f"{select}{int(limit)}", before)]
        archives = sorted({archive for archive, _ in stale})[:_ARCHIVES]
        self._archives.lock(archives)
        statement = "DELETE FROM devices WHERE archive = ? AND device = ? AND seen < ?"
        return sum(
            self._run(statement, archive, device, before).rowcount
            for archive, device in stale
            if archive in self._archives.rows
        )

    def _first_feed(self, since: int) -> int:
        """Find the first transaction with a message that is not before this time, or the last one."""
        newest = int(self._run("SELECT feed FROM ledger WHERE id = 1").scalar() or 0)
        low, high = 0, newest
        select = "SELECT id, time FROM messages WHERE id >= ? ORDER BY id LIMIT 1"
        while low < high:
            middle = (low + high) // 2
            row = self._run(select, middle * PER_FEED).first()
            if row is None or row[1] >= since:
                high = middle
            else:
                low = max(middle + 1, row[0] // PER_FEED + 1)
        return low
