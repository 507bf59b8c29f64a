"""What every transaction that writes into archives has: its locks, in one order, and its feed number.

Everything that two transactions may want is locked in this order: JIDs that are new (by digest), heads (by
number), streams (by key), the ledger's row last. What a row of `entries`, `inbox` or `devices` says is
changed only under the lock of its archive's head. A position and a feed number are taken under a lock that is
held until the commit, so nobody sees one before a smaller one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from tidings.adapters.sql.ledger.statements import Asked, Statements
from tidings.adapters.sql.tables import key_of
from tidings.base.jid import Jid

SENT: Final = 1
COUNTABLE: Final = 2
ERASED: Final = 4
HELD: Final = 8
PASSING: Final = 16
GROUPCHAT: Final = 32
"""The flags of an entry; `flags & (ERASED | HELD)` is 0 for most."""

UNREAD: Final = 1
GONE: Final = 2
"""The flags of a row of the inbox: marked as unread; taken out of the inbox until the next message."""

PER_FEED: Final = 1 << 16
"""A message's number is `feed * PER_FEED + n`, so messages lie in the order of the feed."""

encode_places: Final = msgspec.msgpack.Encoder().encode
decode_places: Final = msgspec.msgpack.Decoder(tuple[list[tuple[int, int, int]], list[bytes]]).decode
"""(archive, epoch, position) of every entry of a message, and its names."""

HEADS: Final = "SELECT archive, first, position, time, version, epoch, incarnation, held, listed FROM heads "
_TAKE: Final = "UPDATE ledger SET feed = feed + 1 WHERE id = 1"
_KEPT_COMMITS: Final = 100_000
_PRUNED_EVERY: Final = 1024

_DIGITS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_EPOCH_DIGITS: Final = 10


def new_epoch() -> int:
    """Draw the number of a new epoch or incarnation."""
    return secrets.randbelow((1 << 5 * _EPOCH_DIGITS) - 1) + 1


@lru_cache(maxsize=1 << 16)
def epoch_text(epoch: int) -> str:
    """Show the number of an epoch in base 32; 0 is no epoch and shown as an empty text."""
    shifts = range(5 * (_EPOCH_DIGITS - 1), -1, -5)
    return "".join(_DIGITS[epoch >> shift & 31] for shift in shifts) if epoch else ""


@lru_cache(maxsize=1 << 16)
def epoch_number(text: str) -> int:
    """Read an epoch that was shown; -1 for what was not made by `epoch_text`."""
    number = 0
    for digit in text:
        value = _DIGITS.find(digit)
        if value < 0:
            return -1
        number = number << 5 | value
    return number if len(text) == _EPOCH_DIGITS and number else -1


class Head:
    """A head row, locked."""

    __slots__ = (
        "archive",
        "epoch",
        "first",
        "held",
        "incarnation",
        "is_changed",
        "listed",
        "position",
        "time",
        "version",
    )

    def __init__(
        self,
        archive: int,
        first: int,
        position: int,
        time: int,
        version: int,
        epoch: int,
        incarnation: int,
        held: int,
        listed: int,
    ) -> None:
        self.archive = archive
        self.first = first
        self.position = position
        self.time = time
        self.version = version
        self.epoch = epoch
        self.incarnation = incarnation
        self.held = held
        self.listed = listed
        self.is_changed = False

    def row(self) -> tuple[Any, ...]:
        """Give it as it is stored."""
        return (
            self.archive,
            self.first,
            self.position,
            self.time,
            self.version,
            self.epoch,
            self.incarnation,
            self.held,
            self.listed,
        )


class LedgerTransaction:
    """A transaction over archives; used once for each attempt.

    `known` are the numbers of JIDs that are surely committed; `found` are those that this transaction looked
    up or made, surely committed when it is.
    """

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        known: dict[str, int],
        now: Callable[[], int],
    ) -> None:
        self.found: dict[str, int] = {}
        self.feed = 0
        self._connection = connection
        self._statements = statements
        self._known = known
        self._now = now
        self._ids: dict[str, int] = {}
        self._heads: dict[int, Head] = {}
        self._incarnation = 0

    def bump(self, archive: Jid) -> int:
        """Give the archive's head a new version."""
        self._intern({archive})
        self._lock_heads({self._ids[archive]})
        head = self._heads[self._ids[archive]]
        head.version += 1
        self._statements.put(self._connection, "heads", [head.row()])
        return head.version

    # -- addresses

    def _intern(self, jids: Iterable[str]) -> None:
        """Fill `_ids`; addresses that are new get their numbers."""
        known, ids = self._known, self._ids
        missing: dict[bytes, str] = {}
        for jid in jids:
            number = known.get(jid)
            if number is None:
                missing[key_of(jid)] = jid
            else:
                ids[jid] = number
        if not missing:
            return
        self._find_ids(sorted(missing), missing)
        new = [(digest, jid.encode()) for digest, jid in sorted(missing.items()) if jid not in ids]
        if new:
            self._statements.add(self._connection, "jids", new)
            self._find_ids([digest for digest, _ in new], missing)

    def _find_ids(self, digests: list[bytes], names: dict[bytes, str]) -> None:
        select = "SELECT digest, id FROM jids WHERE digest IN LIST"
        for digest, number in self._statements.find(self._connection, select, digests):
            jid = names[bytes(digest)]
            self._ids[jid] = self.found[jid] = number

    def _names_of(self, archives: Iterable[int]) -> dict[int, str]:
        select = "SELECT id, jid FROM jids WHERE id IN LIST"
        found = self._statements.find(self._connection, select, sorted(archives))
        return {number: bytes(jid).decode() for number, jid in found}

    # -- locks

    def _lock_heads(self, archives: Collection[int]) -> None:
        """Lock heads, made where they are missing."""
        ordered = sorted(archives)
        self._make_heads(ordered)
        self._take_heads(self._ask_heads(ordered))

    def _make_heads(self, archives: list[int]) -> None:
        """Make the heads that are missing."""
        select = "SELECT archive FROM heads WHERE archive IN LIST"
        there = {row[0] for row in self._statements.find(self._connection, select, archives)}
        rows: list[tuple[Any, ...]] = [
            (archive, 1, 0, 0, 0, 0, 0, 0, 0) for archive in archives if archive not in there
        ]
        if rows:
            self._statements.add(self._connection, "heads", rows)

    def _ask_heads(self, archives: list[int]) -> Asked:
        select = f"{HEADS}WHERE archive IN LIST ORDER BY archive{self._statements.locked}"
        return self._statements.ask(self._connection, select, archives)

    def _take_heads(self, asked: Asked) -> None:
        for row in self._statements.answer(asked):
            self._heads[row[0]] = Head(*row)

    def _take_feed(self, batch: bytes) -> None:
        """Lock the ledger's row and take the next number; `batch` names the transaction for a look-up."""
        row = self._next_feed()
        if row is None:
            self._statements.add(self._connection, "ledger", [(1, 0, new_epoch())])
            row = self._next_feed()
        assert row is not None
        self._note_feed(row[0], row[1], batch)

    def _next_feed(self) -> tuple[Any, ...] | None:
        run = self._statements.run
        if self._statements.is_postgresql:
            return run(self._connection, f"{_TAKE} RETURNING feed, incarnation").first()
        if not run(self._connection, _TAKE).rowcount:
            return None
        return run(self._connection, "SELECT feed, incarnation FROM ledger WHERE id = 1").one()

    def _note_feed(self, feed: int, incarnation: int, batch: bytes) -> None:
        self.feed, self._incarnation = feed, incarnation
        if self._statements.is_sqlite:  # its commit always has an answer
            return
        self._statements.insert(self._connection, "commits", [(feed, batch)])
        if feed % _PRUNED_EVERY == 0:
            self._statements.run(self._connection, "DELETE FROM commits WHERE feed < ?", feed - _KEPT_COMMITS)
