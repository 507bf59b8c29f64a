"""What the databases say differently, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Executable, Table, func, literal, text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import DBAPIError

from tidings.base.errors import BackendError

Rows = Mapping[str, Any] | Sequence[Mapping[str, Any]]

MIGRATION_PATIENCE: Final = 120
"""How many seconds a process waits for another one that migrates."""

_MYSQL_TURN: Final = 5  # seconds, less than the driver waits for an answer

_MIGRATION_LOCK: Final = 0x7469_6469_6E67  # "tiding": the key of PostgreSQL's advisory lock

_CONFLICTS: Final = frozenset({"40001", "40P01", 1213})
"""Serialisation failures and deadlocks: the database rolled back, the same again may succeed."""


def put(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows, or replace those with the same primary key."""
    connection.execute(_upsert(connection, table, keep=False), rows)


def put_missing(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows, or lock and keep those with the same primary key."""
    connection.execute(_upsert(connection, table, keep=True), rows)


def contains(dialect: str, column: ColumnElement[Any], part: str | bytes) -> ColumnElement[bool]:
    """Give the condition that a text of a column, octet by octet, has this part."""
    sought = literal(part, column.type)
    if dialect in {"mysql", "mariadb"}:
        return func.locate(sought, column) > 0
    if dialect == "postgresql":
        return func.position(sought.op("IN")(column)) > 0
    return func.instr(column, sought) > 0


def _upsert(connection: Connection, table: Table, *, keep: bool) -> Executable:
    keys = [column.name for column in table.primary_key]
    others = [] if keep else [column.name for column in table.columns if column.name not in keys]
    changed = others or keys  # a key over itself changes nothing
    if connection.dialect.name in {"mysql", "mariadb"}:
        # Not INSERT IGNORE: that would turn a missing account into a warning.
        replacing: mysql.Insert = mysql.insert(table)
        return replacing.on_duplicate_key_update({name: replacing.inserted[name] for name in changed})
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415  # others start faster without

        inserting: postgresql.Insert | sqlite.Insert = postgresql.insert(table)
    else:
        inserting = sqlite.insert(table)
    return inserting.on_conflict_do_update(
        index_elements=keys, set_={name: inserting.excluded[name] for name in changed}
    )


def error_code(error: BaseException | None) -> str | int | None:
    """Give the number of an error of MySQL or the SQLSTATE of one of PostgreSQL, where it has one."""
    if isinstance(error, DBAPIError):
        error = error.orig
    number = error.args[0] if error is not None and error.args else None
    if isinstance(number, int):
        return number
    state = getattr(error, "sqlstate", None)
    return None if state is None else str(state)


def is_conflict(error: BaseException) -> bool:
    """Tell whether a transaction lost against another one and may be tried again."""
    return error_code(error) in _CONFLICTS


@contextmanager
def migrating(connection: Connection) -> Iterator[None]:
    """Hold the right to change the schema, in a transaction; other processes wait here."""
    match connection.dialect.name:
        case "postgresql":
            with connection.begin():
                connection.execute(text(f"SET LOCAL lock_timeout = '{MIGRATION_PATIENCE}s'"))
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
                yield
        case "mysql" | "mariadb":
            # Schema changes commit implicitly, so the lock belongs to the session.
            lock = "CONCAT('tidings-migration-', LEFT(MD5(DATABASE()), 16))"
            taking = text(f"SELECT GET_LOCK({lock}, {_MYSQL_TURN})")
            with connection.begin():
                turns = MIGRATION_PATIENCE // _MYSQL_TURN
                if not any(connection.execute(taking).scalar() for _ in range(turns)):
                    raise BackendError(
                        f"another process migrates for more than {MIGRATION_PATIENCE} s: wait for it."
                    )
                yield
                connection.execute(text(f"SELECT RELEASE_LOCK({lock})"))
        case _:
            with connection.begin():  # BEGIN IMMEDIATE is the lock
                yield
