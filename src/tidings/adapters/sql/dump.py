"""A dump: all rows of a database as they were at one moment, alike for every kind of database.

What can be made anew is left out: the index of the text search, and who is at work on what. Values are those
of the columns' types, so a row is the same whichever database it is read from; rows come in the order of
their primary key, and what databases compare octet by octet comes in one order, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Table, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tidings.adapters.sql.errors import backend_error
from tidings.adapters.sql.ledger.tables import leases
from tidings.adapters.sql.migrate import current_revision, known_revision
from tidings.adapters.sql.sqlite import listen
from tidings.adapters.sql.tables import metadata
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
        statement = select(table).order_by(*table.primary_key.columns)
        options = {"stream_results": True, "yield_per": _AT_ONCE}
        for row in self._connection.execute(statement, execution_options=options):
            yield tuple(row)


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """Look at a database as it is now, whoever writes to it meanwhile, and keep nobody from that.

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
            if revision != known_revision():
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
