"""Puts a dump into a database that has nothing yet, in one transaction.

What is restored from a backup is another incarnation of the ledger: messages that were accepted later are not
there, and their places will be those of others. So each archive opens a new epoch with its next message, and
what clients and followers know of the earlier incarnation is told from this one's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from sqlalchemy import Connection, inspect, text
from sqlalchemy import Table as SqlTable

from tidings.adapters.sql.bulk import put_rows
from tidings.adapters.sql.dump import Row
from tidings.adapters.sql.engine import connect_database
from tidings.adapters.sql.ledger.encoding import new_epoch
from tidings.adapters.sql.ledger.search import FOLLOWER
from tidings.adapters.sql.migrate import is_known
from tidings.adapters.sql.tables import metadata
from tidings.base.errors import BackupError

_NAME: Final = re.compile("[a-z_]+")
_IN_USE: Final = ("accounts", "domains", "archives", "messages", "documents", "nodes")
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
        await database.write(lambda connection: refuse_what_is_used(connection, database.place))
        await database.migrate(dump.revision)
        incarnation = new_epoch()
        await database.write(lambda connection: _fill(connection, dump, on_row, incarnation, database.place))
        await database.migrate()
        await database.write(set_counters)
    finally:
        await database.close()


def refuse_what_is_used(connection: Connection, place: str) -> None:
    """Make sure that a database is nobody's; raises `BackupError`."""
    there = set(inspect(connection).get_table_names())
    for name in _IN_USE:
        if name in there and connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first():  # noqa: S608  # ours
            raise BackupError(
                f"{place} has data already, and only an empty database is filled: move that one away, or "
                "name another"
            )


def _fill(
    connection: Connection,
    dump: Dump,
    on_row: Callable[[], object],
    incarnation: int,
    place: str,
) -> None:
    refuse_what_is_used(connection, place)  # another process may have come in between
    for name in dump.tables:
        names = dump.columns(name)
        if not all(map(_NAME.fullmatch, (name, *names))):
            raise BackupError(f"the backup is damaged: {name!r} is no table of ours")
        connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608  # what the migrations have put there
        rows = _stored(dump.rows(name), on_row)
        match name:
            case "ledger":
                at = names.index("incarnation")
                rows = ((*row[:at], incarnation, *row[at + 1 :]) for row in rows)
            case "followers":  # the index of the search is made anew
                rows = (row for row in rows if row[names.index("name")] != FOLLOWER.encode())
        put_rows(connection, name, names, rows)


def _stored(rows: Iterator[Row], on_row: Callable[[], object]) -> Iterator[Row]:
    """Give rows as the tables have them: text is octets there."""
    for row in rows:
        on_row()
        yield tuple([value.encode() if isinstance(value, str) else value for value in row])


def set_counters(connection: Connection) -> None:
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
