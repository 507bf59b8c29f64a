"""The ledger's statements as text, sent to the driver's own cursor: past Core, whose results cost as much.

What costs is the number of statements. In SQLite each one hands the interpreter lock over and, beside a busy
event loop, waits for it; on a server each one may be a round trip. So rows are flat lists of values and go
in a few statements, each made for a certain number of rows, which every cache of prepared statements finds
again. PostgreSQL inserts from arrays, one for each column.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tidings.adapters.sql.arrays import Integers, Octets
from tidings.adapters.sql.ledger.tables import LEDGER_TABLES

Rows = list[tuple[Any, ...]]

Asked = Any
"""A question on its way: rows, or a cursor that will have them."""

COLUMNS: Final = {table.name: tuple(column.name for column in table.columns) for table in LEDGER_TABLES}

HOT_INBOX: Final = (
    "owner",
    "peer",
    "source",
    "position",
    "time",
    "count",
    "read_position",
    "read_count",
    "feed",
    "flags",
    "read_time",
)
"""What messages and reading change in a row of the inbox; the rest changes when its owner says so."""

_KEYS: Final = {table.name: tuple(column.name for column in table.primary_key) for table in LEDGER_TABLES} | {
    "jids": ("digest",)
}

_INSERTED: Final = COLUMNS | {"jids": ("digest", "jid"), "hot_inbox": HOT_INBOX}

_TABLES: Final = {"hot_inbox": "inbox"}

_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""For how many rows or keys a statement is made."""

_ARRAYS: Final = {Integers: "%b::bigint[]", Octets: "%b::bytea[]"}

_PAIRED: Final = re.compile(r"\(([a-z.]+), ([a-z.]+)\) IN PAIRS")


class ResultRows:
    """What a statement gave."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, cursor: Any, *, has_rows: bool) -> None:  # noqa: ANN401  # the driver's
        self._rows: Rows = list(cursor.fetchall()) if has_rows else []
        self.rowcount: int = cursor.rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def all(self) -> Rows:
        """Give all rows."""
        return self._rows

    def first(self) -> tuple[Any, ...] | None:
        """Give the first row, or None."""
        return self._rows[0] if self._rows else None

    def one(self) -> tuple[Any, ...]:
        """Give the one row that there must be."""
        (row,) = self._rows
        return row

    def scalar(self) -> Any:  # noqa: ANN401  # any value
        """Give the first value of the first row, or None."""
        return self._rows[0][0] if self._rows else None


class Statements:
    """The statements of one dialect as text, made once."""

    def __init__(self, dialect: str) -> None:
        self.is_sqlite = dialect == "sqlite"
        self.is_postgresql = dialect == "postgresql"
        self._mark = "?" if self.is_sqlite else "%s"
        self._is_mysql = dialect in {"mysql", "mariadb"}
        self.sized = lru_cache(maxsize=1024)(self._size)
        self.kinds = lru_cache(maxsize=64)(self._find_kinds)
        self.arrayed = lru_cache(maxsize=64)(self._take_arrays)
        self.insertion = lru_cache(maxsize=64)(self._insert_into)
        self.insertion_of = lru_cache(maxsize=1024)(self._insert_rows)

    def translate(self, statement: str) -> str:
        """Write a statement as the driver wants it."""
        return statement if self.is_sqlite else statement.replace("?", self._mark)

    def _size(self, statement: str, size: int) -> str:
        if self.is_sqlite:  # it would go through the whole table for an IN of pairs
            either = " OR ".join([r"(\1 = ? AND \2 = ?)"] * size)
            statement = _PAIRED.sub(f"({either})", statement)
        pair = f"({self._mark}, {self._mark})"
        statement = statement.replace("PAIRS", f"({', '.join([pair] * size)})")
        return self.translate(statement.replace("LIST", f"({', '.join([self._mark] * size)})"))

    def _take_arrays(self, statement: str, is_binary: bool) -> str:
        array = _ARRAYS[Octets if is_binary else Integers]
        pairs = "IN (SELECT * FROM unnest(%b::bigint[], %b::bigint[]))"
        return self.translate(statement.replace("IN LIST", f"= ANY({array})").replace("IN PAIRS", pairs))

    def _insert_rows(self, table: str, conflict: str, size: int) -> str:
        row = f"({', '.join([self._mark] * len(_INSERTED[table]))})"
        return self._insert_into(table, conflict).replace("ROWS", f"VALUES {', '.join([row] * size)}")

    def _insert_into(self, table: str, conflict: str) -> str:
        columns = _INSERTED[table]
        name = _TABLES.get(table, table)
        rows = "ROWS"
        if self.is_postgresql:
            arrays = ", ".join(_ARRAYS[kind] for kind in self.kinds(table))
            rows = f"SELECT * FROM unnest({arrays})"  # noqa: S608  # our own names
        clause = self._on_conflict(name, columns, conflict) if conflict else ""
        # Without it SQLite copies every page that the statement changes, so as to undo it alone.
        insert = "INSERT OR ROLLBACK" if self.is_sqlite else "INSERT"
        return f"{insert} INTO {name} ({', '.join(columns)}) {rows}{clause}"  # our own names

    def _find_kinds(self, table: str) -> tuple[type[Octets | Integers], ...]:
        """Tell of what kind the columns of a table are."""
        name = _TABLES.get(table, table)
        columns = next(table for table in LEDGER_TABLES if table.name == name).columns
        types = (columns[column].type.python_type for column in _INSERTED[table])
        return tuple(Integers if type_ is int else Octets for type_ in types)

    def _on_conflict(self, name: str, columns: tuple[str, ...], conflict: str) -> str:
        keys = _KEYS[name]
        changed = keys if conflict == "add" else [column for column in columns if column not in keys]
        if self._is_mysql:
            changes = ", ".join(f"{column} = VALUES({column})" for column in changed)
            return f" ON DUPLICATE KEY UPDATE {changes}"
        action = "NOTHING"
        if conflict == "put":
            action = "UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in changed)
        return f" ON CONFLICT ({', '.join(keys)}) DO {action}"


class Sql:
    """The statements, run over one connection; made for each transaction."""

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self.is_sqlite = statements.is_sqlite
        self.is_postgresql = statements.is_postgresql
        self.locked = "" if statements.is_sqlite else " FOR UPDATE"
        """Behind a SELECT, lets it lock its rows; the writer of SQLite has locked everything."""
        self._statements = statements
        self.connection = connection
        self._driver: Any = connection.connection.dbapi_connection

    # -- asking

    def run(self, statement: str, *values: object) -> ResultRows:
        """Run a statement written with `?`."""
        cursor = self._driver.cursor()
        try:
            cursor.execute(self._statements.translate(statement), values)
            return ResultRows(
                cursor, has_rows=statement.startswith("SELECT") or self._has_rows(statement, cursor)
            )
        finally:
            cursor.close()

    @contextmanager
    def each(self, statement: str, *values: object) -> Iterator[Iterator[tuple[Any, ...]]]:
        """Run a SELECT and give its rows one by one: who needs no more of them reads no more."""
        cursor = self._driver.cursor()
        try:
            cursor.execute(self._statements.translate(statement), values)
            yield iter(cursor)
        finally:
            cursor.close()

    def find(self, statement: str, keys: Sequence[Any]) -> Rows:
        """Run a statement whose LIST stands for these keys; PAIRS for pairs of them."""
        rows: Rows = []
        if not keys:
            return rows
        if self.is_postgresql:
            return self.answer(self._ask_arrays(statement, keys))
        is_paired = "PAIRS" in statement
        cursor = self._driver.cursor()
        for start in range(0, len(keys), _SIZES[-1]):
            part = keys[start : start + _SIZES[-1]]
            size = _SIZES[bisect_left(_SIZES, len(part))]
            filled: Sequence[Any] = [*part, *[part[-1]] * (size - len(part))]
            if is_paired:
                filled = [value for pair in filled for value in pair]
            cursor.execute(self._statements.sized(statement, size), filled)
            rows += cursor.fetchall()
        cursor.close()
        return rows

    def ask(self, statement: str, keys: Sequence[Any]) -> Asked:
        """Begin what `find` does; `answer` gives the rows."""
        if not keys or not self.is_postgresql:
            return self.find(statement, keys)
        return self._ask_arrays(statement, keys)

    @staticmethod
    def answer(asked: Asked) -> Rows:
        """Wait for the rows of `ask`."""
        if isinstance(asked, list):
            return asked
        rows: Rows = asked.fetchall()
        asked.close()
        return rows

    @contextmanager
    def pipelined(self) -> Iterator[None]:
        """Send statements without waiting for the answers of those before, where the driver can."""
        if not self.is_postgresql:
            yield
            return
        with self._driver.pipeline():
            yield

    def _ask_arrays(self, statement: str, keys: Sequence[Any]) -> Any:  # noqa: ANN401  # the driver's
        is_paired = "PAIRS" in statement
        is_octets = isinstance(keys[0], bytes)
        kind = Octets if is_octets else Integers
        values = tuple(map(Integers, zip(*keys, strict=True))) if is_paired else (kind(keys),)
        cursor = self._driver.cursor()
        cursor.execute(self._statements.arrayed(statement, is_octets), values)
        return cursor

    def _has_rows(self, statement: str, cursor: Any) -> bool:  # noqa: ANN401  # the driver's
        # In a pipeline the cursor does not know yet.
        return " RETURNING " in statement if self.is_postgresql else cursor.description is not None

    # -- writing

    def insert(self, table: str, rows: Rows) -> None:
        """Insert rows."""
        self._send(table, "", [value for row in rows for value in row])

    def put(self, table: str, rows: Rows) -> None:
        """Insert rows or replace those with the same key."""
        self._send(table, "put", [value for row in rows for value in row])

    def add(self, table: str, rows: Rows) -> None:
        """Insert rows or keep those with the same key."""
        self._send(table, "add", [value for row in rows for value in row])

    def insert_flat(self, table: str, values: list[Any]) -> None:
        """Insert rows whose values stand one after another."""
        self._send(table, "", values)

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement written with `?` for each of these rows of values."""
        cursor = self._driver.cursor()
        cursor.executemany(self._statements.translate(statement), rows)
        cursor.close()

    def put_flat(self, table: str, values: list[Any]) -> None:
        """Insert rows, whose values stand one after another, or replace those with the same key."""
        self._send(table, "put", values)

    def _send(self, table: str, conflict: str, values: list[Any]) -> None:
        if not values:
            return
        width = len(_INSERTED[table])
        statements = self._statements
        cursor = self._driver.cursor()
        if self.is_postgresql:
            kinds = statements.kinds(table)
            columns = [kind(values[index::width]) for index, kind in enumerate(kinds)]
            cursor.execute(statements.insertion(table, conflict), columns)
        else:
            left, start = len(values) // width, 0
            while left:
                size = _SIZES[bisect_right(_SIZES, left) - 1]
                end = start + size * width
                cursor.execute(statements.insertion_of(table, conflict, size), values[start:end])
                left, start = left - size, end
        cursor.close()


@lru_cache(maxsize=4)
def statements_for(dialect: str) -> Statements:
    """Give the statements of a dialect by its name."""
    return Statements(dialect)


@contextmanager
def driver_errors(connection: Connection) -> Iterator[None]:
    """Tell what the driver's own cursors raise as SQLAlchemy does, and give up a connection that is lost."""
    dialect = connection.dialect
    driver: Any = dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        is_lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            "", None, error, driver.Error, connection_invalidated=is_lost, dialect=dialect
        ) from error
