"""Puts a dump into a database that has nothing yet, in one transaction.

What is loaded is another incarnation of the ledger: messages that were accepted after the dump are not there,
and their places will be those of others. So each archive opens a new epoch with its next message, and what
clients and followers know of the earlier incarnation is told from this one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Insert, column, inspect, table, text
from sqlalchemy import Table as SqlTable

from tidings.adapters.sql.dump import Row
from tidings.adapters.sql.engine import connect_database
from tidings.adapters.sql.ledger.encoding import new_epoch
from tidings.adapters.sql.ledger.search import FOLLOWER
from tidings.adapters.sql.migrate import is_known
from tidings.adapters.sql.tables import metadata
from tidings.base.errors import BackupError

_AT_ONCE: Final = 500
_OCTETS_AT_ONCE: Final = 4 << 20
_IN_USE: Final = ("accounts", "domains", "archives", "messages", "documents")
"""A database that has rows here is somebody's."""


class Dump(Protocol):
    """What is loaded; it may be read more than once."""

    revision: str
    """That of the schema."""

    @property
    def tables(self) -> Iterable[str]:
        """Name the tables, in an order in which no row comes before one that it refers to."""
        ...

    def columns(self, name: str) -> list[str]:
        """Name the columns of a table."""
        ...

    def rows(self, name: str) -> Iterator[Row]:
        """Give the rows of a table."""
        ...


async def load(url: str, dump: Dump, on_row: Callable[[], object] = lambda: None) -> None:
    """Fill an empty database with a dump and bring it to the schema of this version.

    Either all of it is there afterwards, or nothing. Raises `BackupError` where there is something already.
    """
    if not is_known(dump.revision):
        raise BackupError(
            f"the backup was made by a newer Tidings: this version does not know its schema revision "
            f"{dump.revision}. Restore it with that version."
        )
    database = connect_database(url)
    try:
        await database.write(lambda connection: _refuse_what_is_used(connection, database.place))
        await database.migrate(dump.revision)
        await database.write(lambda connection: _fill(connection, dump, on_row, database.place))
        await database.migrate()
        await database.write(_set_counters)
    finally:
        await database.close()


def _refuse_what_is_used(connection: Connection, place: str) -> None:
    there = set(inspect(connection).get_table_names())
    for name in _IN_USE:
        if name in there and connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first():  # noqa: S608  # ours
            raise BackupError(
                f"{place} has data already, and a backup is restored into an empty database only: move that "
                "one away, or name another in `url` of [database]"
            )


def _fill(connection: Connection, dump: Dump, on_row: Callable[[], object], place: str) -> None:
    _refuse_what_is_used(connection, place)  # another process may have come in between
    incarnation = new_epoch()
    for name in dump.tables:
        names = dump.columns(name)
        connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608  # what the migrations have put there
        statement = table(name, *map(column, names)).insert()
        rows = (dict(zip(names, map(_stored, row), strict=True)) for row in dump.rows(name))
        match name:
            case "ledger":
                rows = (row | {"incarnation": incarnation} for row in rows)
            case "followers":  # the index of the search is made anew
                rows = (row for row in rows if row["name"] != FOLLOWER.encode())
        _insert(connection, statement, rows, on_row)


def _insert(
    connection: Connection, statement: Insert, rows: Iterator[dict[str, Any]], on_row: Callable[[], object]
) -> None:
    while batch := list(islice(rows, _AT_ONCE)):
        octets, begin = 0, 0
        for number, row in enumerate(batch):
            octets += sum(len(value) for value in row.values() if isinstance(value, bytes))
            if octets > _OCTETS_AT_ONCE:
                connection.execute(statement, batch[begin : number + 1])
                octets, begin = 0, number + 1
            on_row()
        if begin < len(batch):
            connection.execute(statement, batch[begin:])


def _stored(value: object) -> object:
    """Give a value as the tables have it: text is octets there."""
    return value.encode() if isinstance(value, str) else value


def _set_counters(connection: Connection) -> None:
    """Let PostgreSQL count on from the greatest number; the others do so by themselves."""
    if connection.dialect.name != "postgresql":
        return
    for each in metadata.sorted_tables:
        counted: SqlTable = each
        number = counted.autoincrement_column
        if number is None:
            continue
        statement = text(
            f"SELECT setval(pg_get_serial_sequence('{counted.name}', '{number.name}'), max({number.name})) "  # noqa: S608  # ours
            f"FROM {counted.name} HAVING max({number.name}) IS NOT NULL"
        )
        connection.execute(statement)
