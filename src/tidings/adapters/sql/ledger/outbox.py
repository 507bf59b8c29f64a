"""The outbox in SQL: a row for each domain that a message is for; the body stands with the message, once.

A message that is erased leaves the outbox; one that all archives have trimmed stays until it is sent. One
that no archive ever had keeps its names for as long as repeats are looked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import accumulate
from typing import Final, TypeVar

from tidings.adapters.sql.ledger.encoding import ERASED, PER_FEED, decode_places, epoch_text
from tidings.adapters.sql.ledger.leases import release_lease, take_lease
from tidings.adapters.sql.ledger.reader import Addresses, Reader
from tidings.adapters.sql.ledger.runner import Runner
from tidings.adapters.sql.ledger.statements import Rows, Sql
from tidings.ports.ledger.batch import Place
from tidings.ports.ledger.outbox import OutboxId, OutboxRow

T = TypeVar("T")

PAGE_OCTETS: Final = 4 << 20
"""So many octets of bodies are read at once, or a single longer one."""

LEASE: Final = "outbox"
"""The name of the lease; no follower has it."""

_AFTER: Final = (
    "FROM outbox o JOIN messages m ON m.id = o.message WHERE o.domain = ? "
    "AND (o.message > ? OR o.message = ? AND o.place > ?) ORDER BY o.message, o.place LIMIT "
)
_ROW: Final = "SELECT o.message, o.place, o.recipient, o.time, m.places, "
_MESSAGES: Final = "SELECT id, places FROM messages WHERE id IN LIST ORDER BY id"
_FLAGS: Final = "SELECT archive, position, flags FROM entries WHERE (archive, position) IN PAIRS"
_NOTHING: Final = OutboxId(0, 0, 0)


class SqlOutbox:
    """The port `OutboxStore` over a database."""

    def __init__(self, runner: Runner, addresses: Addresses, now: Callable[[], int]) -> None:
        self._runner = runner
        self._addresses = addresses
        self._now = now

    async def domains(self) -> tuple[str, ...]:
        """List the domains that something waits for."""
        return await self._read(lambda queue: tuple(name for _, name in queue.domains()))

    async def rows(
        self, domain: str, after: OutboxId | None = None, limit: int = 100
    ) -> tuple[OutboxRow, ...]:
        """Give what waits for a domain, the oldest first; fewer where the bodies are long."""
        return await self._read(lambda queue: queue.rows(domain, after or _NOTHING, limit))

    async def expired(self, before: int, limit: int = 100) -> tuple[OutboxRow, ...]:
        """Give rows that were accepted before this time, without their bodies, the oldest first."""
        return await self._read(lambda queue: queue.expired(before, limit))

    async def done(self, domain: str, ids: tuple[OutboxId, ...]) -> int:
        """Forget rows that the peer has, or that were given up; tells how many were there."""

        def work(sql: Sql) -> int:
            number = Reader(sql, self._addresses).number_of(domain)
            delete = "DELETE FROM outbox WHERE domain = ? AND message = ? AND place = ?"
            gone = [
                message
                for message, place in sorted((_number(each), each.place) for each in ids)
                if sql.run(delete, number, message, place).rowcount
            ]
            release_messages(sql, set(gone))
            return len(gone)

        return await self._runner.write(work)

    async def take_lease(self, owner: str, seconds: float) -> bool:
        """Become, or stay, the one who empties the outbox; False while another one does it."""
        return await self._runner.write(lambda sql: take_lease(sql, LEASE, owner, self._now(), seconds))

    async def release(self, owner: str) -> None:
        """Give the lease back."""
        await self._runner.write(lambda sql: release_lease(sql, LEASE, owner))

    async def _read(self, work: Callable[[_Queues], T]) -> T:
        return await self._runner.read(lambda sql: work(_Queues(Reader(sql, self._addresses))))


class _Queues:
    """The reading side over one connection."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._run = reader.run

    def domains(self) -> Iterator[tuple[int, str]]:
        """Go from one domain to the next: a long queue is not walked through."""
        number = 0
        while number := self._run("SELECT MIN(domain) FROM outbox WHERE domain > ?", number)[0][0] or 0:
            yield number, str(self._reader.names_of((number,))[number])

    def rows(self, domain: str, after: OutboxId, limit: int) -> tuple[OutboxRow, ...]:
        """Give what waits for a domain, the oldest first."""
        message = _number(after)
        bounds = self._reader.number_of(domain), message, message, after.place if message else -1
        lengths = self._run(f"SELECT LENGTH(m.body) {_AFTER}{int(limit)}", *bounds)
        sums = accumulate(length for (length,) in lengths)
        taken = max(1, sum(1 for octets in sums if octets <= PAGE_OCTETS))
        return self._decoded(domain, self._run(f"{_ROW}m.body {_AFTER}{taken}", *bounds))

    def expired(self, before: int, limit: int) -> tuple[OutboxRow, ...]:
        """Give rows that were accepted before this time; those of a domain stand in the order of time."""
        found: list[OutboxRow] = []
        for number, domain in self.domains():
            rows = self._run(f"{_ROW}NULL {_AFTER}{int(limit)}", number, 0, 0, -1)
            found += self._decoded(domain, [row for row in rows if row[3] < before])
        return tuple(sorted(found, key=lambda row: row.id)[:limit])

    def _decoded(self, domain: str, rows: Rows) -> tuple[OutboxRow, ...]:
        places = [decode_places(bytes(row[4])).places for row in rows]
        names = self._reader.names_of({archive for each in places for archive, _, _ in each})
        return tuple(
            OutboxRow(
                id=OutboxId(message // PER_FEED, message % PER_FEED, place),
                domain=domain,
                recipient=bytes(recipient).decode(),
                time=time,
                body=bytes(body or b""),
                places=tuple(
                    Place(str(names[archive]), epoch_text(epoch), position)
                    for archive, epoch, position in each
                ),
            )
            for (message, place, recipient, time, _, body), each in zip(rows, places, strict=True)
        )


def release_messages(sql: Sql, messages: Collection[int]) -> None:
    """Forget messages that nothing has any more, and the content of those that have only tombstones.

    The rows are locked first: of two that let go of a message at once, the second sees what the first did.
    """
    ids = sorted(messages)
    found = sql.find(_MESSAGES + sql.locked, ids)
    decoded = {row[0]: decode_places(bytes(row[1])) for row in found}
    pairs = sorted({place[::2] for stored in decoded.values() for place in stored.places})
    left = {row[:2]: row[2] for row in sql.find(_FLAGS, pairs)}
    waiting = sql.find("SELECT message FROM outbox WHERE message IN LIST", ids)
    unsent = {row[0] for row in waiting}
    gone = []
    for message, stored in decoded.items():
        flags = [left[place[::2]] for place in stored.places if place[::2] in left]
        if flags and all(flag & ERASED for flag in flags):
            sql.run("UPDATE messages SET body = ? WHERE id = ?", b"", message)
            if message in unsent:
                sql.run("DELETE FROM outbox WHERE message = ?", message)
        elif flags or message in unsent:
            continue
        elif stored.places:
            delete_message(sql, message, stored.keys)
            gone.append(message)
        else:  # sent again, it is found by its names
            sql.run("UPDATE messages SET body = ? WHERE id = ?", b"", message)
    _note_gaps(sql, gone)


def delete_message(sql: Sql, message: int, keys: Collection[bytes]) -> None:
    """Forget a message with its names."""
    sql.run("DELETE FROM messages WHERE id = ?", message)
    for key in keys:
        sql.run("DELETE FROM message_keys WHERE name = ? AND message = ?", key, message)


def forget_outbound(sql: Sql, before: int, limit: int) -> int:
    """Forget messages of transactions before this one that were sent and are in no archive."""
    select = (
        "SELECT u.message, m.places FROM outbound_only u JOIN messages m ON m.id = u.message "  # noqa: S608  # ours
        "WHERE u.message < ? AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.message = u.message) "
        f"ORDER BY u.message LIMIT {int(limit)}"
    )
    rows = sql.run(select, before * PER_FEED).all()
    for message, places in rows:
        delete_message(sql, message, decode_places(bytes(places)).keys)
        sql.run("DELETE FROM outbound_only WHERE message = ?", message)
    return len(rows)


def _note_gaps(sql: Sql, messages: Collection[int]) -> None:
    """Let followers that come later be told how many messages of a transaction are missing."""
    lost = Counter(message // PER_FEED for message in messages)
    sql.add("feed_gaps", [(feed, 0) for feed in sorted(lost)])
    for feed, count in sorted(lost.items()):
        sql.run("UPDATE feed_gaps SET lost = lost + ? WHERE feed = ?", count, feed)


def _number(id_: OutboxId) -> int:
    return id_.feed * PER_FEED + id_.number
