"""Puts many rows into a table by the shortest way that each database has.

What SQLAlchemy and the drivers do for each value costs more than the database itself. PostgreSQL takes a
COPY, SQLite a prepared statement for many rows. MySQL and MariaDB take statements of many rows with their
values written out: octets as hexadecimal digits, which need no escaping (the driver escapes each value in
Python). LOAD DATA LOCAL would be another way, but many servers do not allow it.

Hot tables have no index but their primary key, and rows come in its order, so nothing is gained by making
indexes afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from tidings.adapters.sql.dump import Row

_AT_ONCE: Final = 500
_OCTETS_AT_ONCE: Final = 4 << 20
"""Of a statement; MySQL and MariaDB take 16 MB and more."""

_LITERALS: Final[dict[type, Callable[[Any], str]]] = {
    bytes: lambda value: f"x'{value.hex()}'",
    int: str,
    bool: lambda value: str(int(value)),
    float: repr,
    type(None): lambda _: "NULL",
}


def put_rows(connection: Connection, name: str, names: Sequence[str], rows: Iterable[Row]) -> None:
    """Put rows into a table; their values are as the table stores them, so there is no text among them."""
    quote = connection.dialect.identifier_preparer.quote
    columns = f"{quote(name)} ({', '.join(map(quote, names))})"
    match connection.dialect.name:
        case "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # one statement is all the rows
            cursor: Any = connection.connection.cursor()
            with cursor.copy(f"COPY {columns} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        case "sqlite":
            marks = ", ".join("?" for _ in names)
            _in_batches(
                rows,
                lambda batch: connection.exec_driver_sql(f"INSERT INTO {columns} VALUES ({marks})", batch),  # noqa: S608  # ours
            )
        case _:
            _in_batches(rows, lambda batch: connection.exec_driver_sql(_insert(columns, batch)))


def _in_batches(rows: Iterable[Row], put: Callable[[list[Row]], object]) -> None:
    batch: list[Row] = []
    octets = 0
    for row in rows:
        octets += sum([len(value) for value in row if type(value) is bytes])
        batch.append(row)
        if len(batch) == _AT_ONCE or octets > _OCTETS_AT_ONCE:
            put(batch)
            batch, octets = [], 0
    if batch:
        put(batch)


def _insert(columns: str, rows: list[Row]) -> str:
    literals = _LITERALS
    values = [f"({','.join([literals[type(value)](value) for value in row])})" for row in rows]
    return f"INSERT INTO {columns} VALUES {','.join(values)}"  # noqa: S608  # literals of our own making
