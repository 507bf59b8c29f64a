"""The database that a move goes to, filled in many transactions, so that a move which was killed goes on.

Until all is there and compared, its schema revision says that it is unfinished, and no version of Tidings
starts on it. What it has so far is always a beginning of what moves: rows of one table after the other, in
the order of their keys, each transaction whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import Connection, Table, text

from tidings.adapters.sql.bulk import put_rows
from tidings.adapters.sql.dump import Row
from tidings.adapters.sql.engine import Database, connect_database
from tidings.adapters.sql.load import refuse_what_is_used, set_counters
from tidings.adapters.sql.migrate import current_revision, is_unfinished, unfinished
from tidings.adapters.sql.tables import Text, metadata
from tidings.adapters.sql.urls import describe, parse_url
from tidings.base.errors import BackupError


class MoveTarget:
    """A database that is being filled; made by `move_target`."""

    def __init__(self, database: Database, revision: str) -> None:
        self._database = database
        self._revision = revision

    async def put(self, table: Table, rows: list[Row]) -> None:
        """Add rows to a table; they are durable when this returns."""
        names = [str(column.name) for column in table.columns]
        stored = list(map(_storing(table), rows))
        await self._database.write(lambda connection: put_rows(connection, str(table.name), names, stored))

    async def end(self) -> None:
        """Declare that all is there: from now on a server may use it."""
        await self._database.write(self._end)

    async def prepare(self) -> None:
        """Make an empty database ready, or find one that a move was begun to.

        Raises `BackupError` for a database that is somebody's.
        """
        place = self._database.place
        revision = await self._database.write(current_revision)
        if revision == unfinished(self._revision):
            return
        if is_unfinished(revision):
            raise BackupError(
                f"a move to {place} was begun by another version of Tidings: finish it with that one, or "
                "empty the database and begin anew"
            )
        await self._database.write(lambda connection: refuse_what_is_used(connection, place))
        await self._database.migrate(self._revision)
        await self._database.write(self._begin)

    def _begin(self, connection: Connection) -> None:
        refuse_what_is_used(connection, self._database.place)  # another process may have come in between
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())  # what the migrations have put there
        _set_revision(connection, unfinished(self._revision))

    def _end(self, connection: Connection) -> None:
        set_counters(connection)
        _set_revision(connection, self._revision)


@asynccontextmanager
async def move_target(url: str, revision: str) -> AsyncIterator[MoveTarget]:
    """Have a database that is empty, or that a move was begun to, as the target of a move.

    Raises `BackupError` for another one, and `BackendError` where it does not answer.
    """
    # A killed move may have left a transaction that is committed yet: it has ended before anything is read.
    database = connect_database(url, writes_as=f"move to {describe(parse_url(url))}")
    try:
        target = MoveTarget(database, revision)
        await target.prepare()
        yield target
    finally:
        await database.close()


def _set_revision(connection: Connection, revision: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def _storing(table: Table) -> Callable[[Row], Row]:
    """Give what makes of a row of a dump one as the table stores it: text is octets there."""
    if not any(isinstance(column.type, Text) for column in table.columns):
        return lambda row: row
    return lambda row: tuple([value.encode() if isinstance(value, str) else value for value in row])
