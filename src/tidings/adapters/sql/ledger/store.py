"""The ledger over a SQL database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from tidings.adapters.sql.engine import Database, open_in_memory
from tidings.adapters.sql.ledger.locks import LedgerTransaction, epoch_text, new_epoch
from tidings.adapters.sql.ledger.reading import Reading
from tidings.adapters.sql.ledger.remote import RemoteWriter
from tidings.adapters.sql.ledger.search import create_search
from tidings.adapters.sql.ledger.statements import driver_errors
from tidings.adapters.sql.ledger.waiting import WriterState
from tidings.adapters.sql.ledger.writer import Writer
from tidings.adapters.sql.tables import metadata
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Committed, LedgerBatch

T = TypeVar("T")

_DAY = 86_400_000_000
ENDED: Final = 1 << 48
"""Added to the number of a stream that has ended: every number that still comes is one that it has passed."""


def _now() -> int:
    return time.time_ns() // 1000


class SqlLedger(Reading):
    """The port `Ledger` over a database; see docs/explanation/ledger.md.

    `now` gives microseconds since 1970; a time that is smaller than the last one of an archive is not used.
    A message that was sent before is found again for `window_days`. What waits to be written is given up
    after `patience` seconds, and refused at once where `queue_octets` or `queue_length` wait already.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], int] = _now,
        window_days: int = 90,
        patience: float = 10.0,
        queue_octets: int = 64 << 20,
        queue_length: int = 100_000,
        remote: RemoteWriter | None = None,
    ) -> None:
        super().__init__(database, now)
        self._writer: Writer | RemoteWriter = remote or Writer(
            database,
            now,
            window=window_days * _DAY,
            patience=patience,
            queue_octets=queue_octets,
            queue_length=queue_length,
        )

    @property
    def state(self) -> WriterState:
        """What the writer counts and what is wrong with it."""
        return self._writer.state

    async def close(self) -> None:
        """Finish what is under way and close the database; for a ledger that has it for itself."""
        await self.close_writer()
        await self._database.close()

    async def close_writer(self) -> None:
        """End the writer's process, where it has one."""
        if isinstance(self._writer, RemoteWriter):
            await self._writer.close()

    # -- writing

    def commit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        """Write the batch; answered when every part of it is durable or refused."""
        return self._writer.submit(batch)

    async def bump_version(self, archive: Jid) -> int:
        """Note that what guard reads of this archive has changed."""
        return await self._write(
            lambda connection: LedgerTransaction(connection, self._statements, {}, self._now).bump(archive)
        )

    async def renew(self) -> str:
        """Begin a new incarnation, as after a restore."""
        incarnation = new_epoch()

        def work(connection: Connection) -> None:
            self._statements.add(connection, "ledger", [(1, 0, incarnation)])
            statement = "UPDATE ledger SET incarnation = ? WHERE id = 1"
            self._statements.run(connection, statement, incarnation)

        await self._write(work)
        return epoch_text(incarnation)

    async def end_stream(self, key: bytes) -> int | None:
        """Take nothing more that comes on a stream, and give its highest committed number."""

        def work(connection: Connection) -> int | None:
            select = "SELECT number FROM streams WHERE stream = ?" + self._statements.locked  # noqa: S608  # ours
            row = self._statements.run(connection, select, key).first()
            number = 0 if row is None else int(row[0])
            if number < ENDED:
                self._statements.put(connection, "streams", [(key, ENDED + number, self._now())])
            return number % ENDED or None

        return await self._write(work)

    # -- running

    async def _write(self, work: Callable[[Connection], T], *, is_of_archives: bool = True) -> T:
        def guarded(connection: Connection) -> T:
            if is_of_archives:
                self._writer.forget()  # what it remembers is changed behind its back
            with driver_errors(connection):
                return work(connection)

        return await self._database.write(guarded)


async def open_memory_ledger(now: Callable[[], int] = _now) -> SqlLedger:
    """Open a ledger in memory that answers at once, on the thread of its caller; `close` it at the end."""
    return SqlLedger(open_in_memory(_empty_schema()), now=now)


@lru_cache(maxsize=1)
def _empty_schema() -> bytes:
    """Give an empty database with all tables, as its file would be."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    with engine.connect() as connection:
        create_search(connection)
        connection.commit()
        driver: Any = connection.connection.dbapi_connection
        schema: bytes = driver.serialize()
    engine.dispose()
    return schema
