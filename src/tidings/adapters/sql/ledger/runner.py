"""Runs work over the statements of the ledger in transactions of their own, beside the group commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.ledger.statements import Sql, driver_errors, statements_for

T = TypeVar("T")

Work = Callable[[Sql], T]


class Runner:
    """Reads and writes what no group commit remembers; everything raises `BackendError`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = statements_for(database.dialect)

    async def read(self, work: Work[T]) -> T:
        """Run this on a reader."""
        return await self._database.read(self._guarded(work))

    async def write(self, work: Work[T]) -> T:
        """Run this in a transaction, and give its result when it is durable."""
        return await self._database.write(self._guarded(work))

    def _guarded(self, work: Work[T]) -> Callable[[Connection], T]:
        def guarded(connection: Connection) -> T:
            with driver_errors(connection):
                return work(Sql(connection, self._statements))

        return guarded
