"""A dump: all rows of a database as they were at one moment, alike for every kind of database.

What can be made anew is left out: the index of the text search, and who is at work on what. Values are those
of the columns' types, so a row is the same whichever database it is read from; rows come in the order of
their primary key, and what databases compare octet by octet comes in one order, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Boolean, Connection, Table, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tidings.adapters.sql.errors import backend_error
from tidings.adapters.sql.ledger.tables import leases
from tidings.adapters.sql.migrate import current_revision, is_known, known_revision, too_new, unfinished
from tidings.adapters.sql.sqlite import listen
from tidings.adapters.sql.tables import Text, metadata
from tidings.adapters.sql.urls import database_file, describe, parse_url
from tidings.base.errors import BackupError

Row = tuple[Any, ...]
"""The values of a row: whole numbers, numbers, octets, text, truth values and None."""

LEFT_OUT: Final = frozenset({leases})
"""Who is at work on what ends with the processes."""

TABLES: Final = tuple(table for table in metadata.sorted_tables if table not in LEFT_OUT)
"""What a dump has, in an order in which it can be put back."""

_AT_ONCE: Final = 500
_BEGIN: Final = {
    "sqlite": "BEGIN",
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "mysql": "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    "mariadb": "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
}


class Snapshot:
    """A database at one moment; made by `snapshot`."""

    def __init__(self, connection: Connection, revision: str) -> None:
        self._connection = connection
        self.revision = revision
        """That of the schema."""
        self.dialect: str = connection.dialect.name

    def count(self, table: Table) -> int:
        """Count the rows of a table."""
        return int(self._connection.execute(select(func.count()).select_from(table)).scalar_one())

    def rows(self, table: Table) -> Iterator[Row]:
        """Give the rows of a table in the order of its primary key."""
        # Not through SQLAlchemy's types: most values are already what the driver gives.
        statement = (
            select(table).order_by(*table.primary_key.columns).compile(dialect=self._connection.dialect)
        )
        options = {"stream_results": True, "yield_per": _AT_ONCE}
        convert = _converter(table)
        with self._connection.exec_driver_sql(str(statement), execution_options=options) as found:
            # It has to be said here, too: past SQLAlchemy's types, the option lets all rows come at once.
            for part in found.partitions(_AT_ONCE):
                yield from map(convert, part)


def _converter(table: Table) -> Callable[[Iterable[Any]], Row]:
    """Give what makes of a row of the driver one whose values are those of the columns' types."""
    kinds = [column.type for column in table.columns]
    others = [
        (at, _decode if isinstance(kind, Text) else _truth)
        for at, kind in enumerate(kinds)
        if isinstance(kind, (Text, Boolean))
    ]
    if not others:
        return tuple

    def convert(row: Iterable[Any]) -> Row:
        values = list(row)
        for at, kind in others:
            values[at] = kind(values[at])
        return tuple(values)

    return convert


def _decode(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _truth(value: object) -> bool | None:
    return None if value is None else bool(value)


@contextmanager
def snapshot(url: str, *, is_unfinished: bool = False) -> Iterator[Snapshot]:
    """Look at a database as it is now, whoever writes to it meanwhile, and keep nobody from that.

    `is_unfinished`: it is one that has only the beginning of what moves to it.

    Raises `BackupError` where there is none, or one of another schema, and `BackendError` where it cannot be
    read.
    """
    parsed = parse_url(url)
    place = describe(parsed)
    path = database_file(parsed)
    if parsed.get_backend_name() == "sqlite" and (path is None or not path.is_file()):
        raise BackupError(f"there is no data: {place} does not exist")
    # Whoever takes the rows may do so on a thread of another database.
    arguments = {} if path is None else {"check_same_thread": False}
    engine = create_engine(parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments)
    if path is not None:
        listen(engine, 0, is_writer=False)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(_BEGIN[connection.dialect.name])
            revision = current_revision(connection)
            if revision != (unfinished(known_revision()) if is_unfinished else known_revision()):
                if not is_known(revision):
                    raise BackupError(too_new(place, revision))
                raise BackupError(
                    f"{place} has the schema revision {revision}, and this version of Tidings reads and "
                    f"writes {known_revision()}: start the server of this version once, which brings the "
                    "database up to date, or use the version that wrote it"
                )
            yield Snapshot(connection, known_revision())
    except SQLAlchemyError as error:
        raise backend_error(error, place) from error
    finally:
        engine.dispose()
