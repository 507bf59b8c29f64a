"""The archives of one transaction: numbers of addresses, locks in one order, and the number of the feed.

Everything that two transactions may want is locked in this order: JIDs that are new (by digest), archives
(by number), streams (by key), the ledger's row last. What a row of `entries`, `inbox`, `members` or `devices`
says is changed only under the lock of its archive. A position and a feed number are taken under a lock that
is held until the commit, so nobody sees one before a smaller one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.conversations import list_entries
from tidings.adapters.sql.ledger.encoding import new_epoch
from tidings.adapters.sql.ledger.rows import ArchiveRow
from tidings.adapters.sql.ledger.statements import COLUMNS, Asked, Sql
from tidings.adapters.sql.tables import key_of

_SELECT: Final = f"SELECT {', '.join(COLUMNS['archives'])} FROM archives "  # noqa: S608  # ours
_TAKE: Final = "UPDATE ledger SET feed = feed + 1 WHERE id = 1"
_KEPT_COMMITS: Final = 100_000
_PRUNED_EVERY: Final = 1024


class NumbersChanged(Exception):  # noqa: N818  # a fact, after which the transaction is run again
    """An address has got another number since those were learnt that this transaction uses."""


class Archives:
    """The archives that a transaction has locked; used once for each attempt.

    `caches` is what is known before; a transaction of which nothing is kept has empty ones.
    """

    def __init__(self, sql: Sql, caches: Caches) -> None:
        self._sql = sql
        self._caches = caches
        self._epochs: list[Any] = []
        self._found: dict[str, int] = {}
        """Numbers that this transaction looked up or made, surely committed when it is."""
        self.ids: dict[str, int] = {}
        """The numbers of all addresses that were asked for."""
        self.rows: dict[int, ArchiveRow] = {}
        """The archives that are locked, by number."""
        self.feed = 0
        """The number of the transaction, once it is taken."""
        self.incarnation = 0

    # -- addresses

    def check_numbers(self) -> None:
        """Find out how often addresses were renamed, before any number is learnt."""
        if self._caches.renames is None:
            self._caches.renames = int(self._sql.run("SELECT renames FROM ledger WHERE id = 1").scalar() or 0)

    def intern(self, jids: Iterable[str]) -> None:
        """Find the numbers of these addresses; those that are new get theirs."""
        known, ids = self._caches.jids, self.ids
        missing: dict[bytes, str] = {}
        for jid in jids:
            number = known.get(jid)
            if number is None:
                missing[key_of(jid)] = jid
            else:
                ids[jid] = number
        if not missing:
            return
        self._find(sorted(missing), missing)
        new = [(digest, jid.encode()) for digest, jid in sorted(missing.items()) if jid not in ids]
        if new:
            self._sql.add("jids", new)
            self._find([digest for digest, _ in new], missing)

    def look_up(self, jids: Iterable[str]) -> None:
        """Find the numbers of these addresses, of those that have one."""
        missing = {key_of(jid): jid for jid in jids if jid not in self.ids}
        if missing:
            self._find(sorted(missing), missing)

    def _find(self, digests: list[bytes], names: dict[bytes, str]) -> None:
        for digest, number in self._sql.find("SELECT digest, id FROM jids WHERE digest IN LIST", digests):
            jid = names[bytes(digest)]
            self.ids[jid] = self._found[jid] = number

    def names_of(self, numbers: Iterable[int]) -> dict[int, str]:
        """Give the addresses that have these numbers."""
        found = self._sql.find("SELECT id, jid FROM jids WHERE id IN LIST", sorted(numbers))
        return {number: bytes(jid).decode() for number, jid in found}

    # -- locks

    def lock(self, archives: Collection[int]) -> None:
        """Lock archives; those that are new are made."""
        self.take(self.ask(archives))

    def lock_one(self, archive: str) -> ArchiveRow:
        """Lock the archive of this address."""
        self.intern({archive})
        number = self.ids[archive]
        self.lock({number})
        return self.rows[number]

    def ask(self, archives: Collection[int]) -> Asked:
        """Begin to lock archives; `take` ends it. Rows that are remembered need no lock in SQLite."""
        caches, rows = self._caches, self.rows
        missing = [archive for archive in archives if archive not in caches.made]
        if missing:
            self._make(sorted(missing))
        remembered = caches.archives
        unknown = []
        for archive in archives:
            row = remembered.get(archive)
            if row is None:
                unknown.append(archive)
            else:
                rows[archive] = row
        unknown.sort()
        return self._sql.ask(f"{_SELECT}WHERE archive IN LIST ORDER BY archive{self._sql.locked}", unknown)

    def take(self, asked: Asked) -> None:
        """Wait for the locks."""
        for values in self._sql.answer(asked):
            self.rows[values[0]] = ArchiveRow(*values)

    def _make(self, archives: list[int]) -> None:
        there = {
            row[0] for row in self._sql.find("SELECT archive FROM archives WHERE archive IN LIST", archives)
        }
        rows: list[tuple[Any, ...]] = [
            (archive, 1, 0, 0, 0, 0, 0, 0, 0, 0) for archive in archives if archive not in there
        ]
        if rows:
            self._sql.add("archives", rows)

    # -- the feed

    def take_feed(self, batch: bytes) -> None:
        """Lock the ledger's row and take the next number; `batch` names the transaction for a look-up."""
        remembered = self._caches.ledger
        if remembered is not None:
            feed, incarnation = remembered[0] + 1, remembered[1]
            self._sql.run("UPDATE ledger SET feed = ? WHERE id = 1", feed)
        else:
            row = self._next_feed()
            if row is None:
                self._sql.add("ledger", [(1, 0, new_epoch(), 0)])
                row = self._next_feed()
            assert row is not None
            feed, incarnation, renames = row
            if self._caches.renames not in {None, renames}:
                self._caches.forget_numbers()
                raise NumbersChanged
        self.feed, self.incarnation = feed, incarnation
        if self._sql.is_sqlite:  # its commit always has an answer
            return
        self._sql.insert("commits", [(feed, batch)])
        if feed % _PRUNED_EVERY == 0:
            self._sql.run("DELETE FROM commits WHERE feed < ?", feed - _KEPT_COMMITS)

    def _next_feed(self) -> tuple[Any, ...] | None:
        if self._sql.is_postgresql:
            return self._sql.run(f"{_TAKE} RETURNING feed, incarnation, renames").first()
        if not self._sql.run(_TAKE).rowcount:
            return None
        return self._sql.run("SELECT feed, incarnation, renames FROM ledger WHERE id = 1").one()

    # -- changes

    def open_epoch(self, row: ArchiveRow) -> None:
        """Let another epoch begin with the next entry of an archive."""
        row.incarnation, row.epoch = self.incarnation, new_epoch()
        self._epochs += (row.archive, row.position + 1, row.epoch)

    def save(self, row: ArchiveRow) -> None:
        """Write one row at once."""
        self._sql.put("archives", [row.values()])

    def write(self) -> None:
        """Write the rows that were changed, and list the entries that are due; they are written before."""
        self._sql.insert_flat("epochs", self._epochs)
        values: list[Any] = []
        for row in self.rows.values():
            if row.is_changed:
                list_entries(self._sql, row)
                row.is_changed = False
                values += row.values()
        self._sql.put_flat("archives", values)

    def keep(self) -> None:
        """Remember what is surely committed now."""
        caches = self._caches
        caches.learn(self._found)
        caches.made.update(self.rows)
        if self._sql.is_sqlite:
            caches.archives.update(self.rows)
            caches.ledger = self.feed, self.incarnation
