"""A database and the threads that speak to it.

Drivers are synchronous, so nothing here runs on the event loop: one writer thread with one connection, which
orders all writes of this process, and a few reader threads. A transaction is one function over a connection;
it runs whole on its thread, so none stays open while something else is awaited.

What fails is told as `BackendError`; no exception of a driver or of SQLAlchemy leaves this module.

- A read that loses its connection is tried once more: the pool reconnects.
- A write that loses its connection before its commit was sent, or that loses against another transaction,
  has changed nothing and is tried again. One whose commit went unanswered is not: nobody knows whether it
  happened.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from tidings.adapters.sql import arrays
from tidings.adapters.sql.checkpoints import Checkpointer, copy_alone
from tidings.adapters.sql.dialects import is_conflict
from tidings.adapters.sql.errors import backend_error
from tidings.adapters.sql.migrate import OnUpgrade, migrate
from tidings.adapters.sql.sqlite import CACHED_STATEMENTS, create_private, listen
from tidings.adapters.sql.tables import key_of
from tidings.adapters.sql.urls import database_file, describe, parse_url
from tidings.base.errors import BackendError, TidingsError

T = TypeVar("T")

Work = Callable[[Connection], T]
"""What happens in one transaction; it may run more than once, so it touches nothing but its connection."""

_LOSSES: Final = 1
"""How many lost connections a write outlives."""

_CONFLICTS: Final = 4
"""How many lost races against other transactions a write outlives."""

_CONNECT_SECONDS: Final = 5
_STATEMENT_SECONDS: Final = 10


class Database:
    """An open database; made by `open_database`."""

    def __init__(
        self,
        writer: Engine,
        reader: Engine,
        place: str,
        readers: int,
        *,
        is_inline: bool = False,
        copies_log: bool = True,
    ) -> None:
        self.place = place
        """How messages name this database; without the password."""
        self.dialect: str = writer.dialect.name
        self.is_inline = is_inline
        """Whether everything runs at once on the caller's thread; for a database in memory, in tests."""
        self._writer = writer
        self._reader = reader
        # What connection set-up raises is not wrapped by SQLAlchemy.
        self._errors: tuple[type[Exception], ...] = (SQLAlchemyError, writer.dialect.loaded_dbapi.Error)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sql-writer")
        self._reading = self._reading_long = self._writing
        if reader is not writer:
            long = readers // 2
            self._reading = ThreadPoolExecutor(readers - long, thread_name_prefix="sql-reader")
            self._reading_long = self._reading
            if long:
                self._reading_long = ThreadPoolExecutor(long, thread_name_prefix="sql-long-reader")
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        path = database_file(writer.url)
        self._checkpointer: Checkpointer | None = None
        self._changed = 0
        if self.dialect == "sqlite" and path is not None and copies_log:
            self._path = path
            self._checkpointer = Checkpointer(path, self.submit, self._end_checkpoint)

    async def write(self, work: Work[T], *, refused: TidingsError | None = None) -> T:
        """Run this in a transaction on the writer and give its result when it is durable.

        `refused` is raised when the database finds the change against its rules (the account exists, or does
        not).
        """
        return await self._run(self._writing, lambda: self._write_with_retries(work, refused))

    async def read(self, work: Work[T], *, is_long: bool = False) -> T:
        """Run this on a reader; one statement sees one state, several may see several.

        What may take long, such as a page of an archive, has readers of its own: a log-in never waits for it.
        """
        threads = self._reading_long if is_long else self._reading
        return await self._run(threads, lambda: self._read_with_retry(work))

    def write_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what is submitted on this event loop from now on: for a process that does nothing else.

        A second thread would only wait for the interpreter lock, and so would the loop.
        """
        self._loop = loop

    def submit(self, job: Callable[[], object]) -> None:
        """Let the writer thread do this, after what waits already; `RuntimeError` when it has ended."""
        if self.is_inline and not self._is_closed:
            job()
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(job)
        else:
            self._writing.submit(job)

    async def migrate(self, goal: str | None = None, on_upgrade: OnUpgrade | None = None) -> None:
        """Bring the schema to the revision that this code knows, or to an earlier one."""
        await self._run(self._writing, lambda: migrate(self._writer, self.place, goal, on_upgrade))
        if self._checkpointer is not None:
            self._checkpointer.begin()

    async def ping(self) -> None:
        """Return when the database answers; raises `BackendError` otherwise."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")).one())

    async def close(self) -> None:
        """Finish the transactions that were begun and close every connection and thread."""
        if self._is_closed:
            return
        self._is_closed = True
        if self.is_inline:
            self._close()
        else:
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._writing.shutdown(wait=True)
        self._reading.shutdown(wait=True)
        self._reading_long.shutdown(wait=True)
        self._reader.dispose()
        self._writer.dispose()

    async def _run(self, threads: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        if self._is_closed:
            raise BackendError(f"{self.place} is closed: the server is stopping.")
        try:
            if self.is_inline:
                return job()
            return await asyncio.get_running_loop().run_in_executor(threads, job)
        except self._errors as error:
            raise backend_error(error, self.place) from error

    def _read_with_retry(self, work: Work[T]) -> T:
        try:
            return self._read_once(work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._read_once(work)

    def _read_once(self, work: Work[T]) -> T:
        with self._reader.connect() as connection:
            return work(connection)

    def _write_with_retries(self, work: Work[T], refused: TidingsError | None) -> T:
        losses = conflicts = 0
        while True:
            try:
                return self.transact_once(work)
            except IntegrityError:
                if refused is None:
                    raise
                raise refused from None
            except DBAPIError as error:
                losses += error.connection_invalidated
                conflicts += is_conflict(error)
                may_repeat = error.connection_invalidated or is_conflict(error)
                if not may_repeat or losses > _LOSSES or conflicts > _CONFLICTS:
                    raise

    def transact_once(self, work: Work[T]) -> T:
        """Run a transaction, and do not try it again; for jobs on the writer thread.

        Raises what SQLAlchemy says, and `BackendError` where nobody knows whether it was committed.
        """
        with self._writer.connect() as connection:
            transaction = connection.begin()
            try:
                result = work(connection)
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                raise BackendError(
                    f"{self.place} closed the connection during a commit: nobody knows whether it happened. "
                    "Look before you repeat it."
                ) from error
            if self._checkpointer is not None:
                self._changed = connection.connection.dbapi_connection.total_changes  # type: ignore[union-attr]
        if self._checkpointer is not None:
            self._checkpointer.committed(self._changed)
        return result

    def _end_checkpoint(self) -> tuple[int, int, int]:
        # Not through a Connection, which would begin a transaction. Where it fails, it is tried again.
        with (
            contextlib.suppress(*self._errors),
            contextlib.closing(self._writer.raw_connection()) as connection,
        ):
            cursor: Any = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                return copy_alone(self._path)
            finally:
                cursor.execute("ROLLBACK")
        return 1, 1, 0


async def open_database(
    url: str,
    *,
    readers: int = 4,
    lock_seconds: float = 2.0,
    writes_as: str = "",
    copies_log: bool = True,
    on_upgrade: OnUpgrade | None = None,
) -> Database:
    """Open a database and bring its schema up to date; `BackendError` says how to mend what is wrong.

    `url` is an SQLAlchemy URL (`sqlite:////var/lib/tidings/tidings.db`,
    `postgresql://user:password@host/name`, `mysql://…`, `mariadb://…`); the driver may be left out. A missing
    SQLite file is made, readable by its owner alone. `lock_seconds` is how long a transaction waits for
    another one's lock.

    `writes_as` names who writes: where a process of that name was killed, the database may be committing what
    it was sent last. Nothing is written, and this does not return, before that has ended.

    Without `copies_log` another process copies the log of an SQLite file: one does, never two. `on_upgrade`
    is told before a schema that is there already is changed.
    """
    database = connect_database(
        url, readers=readers, lock_seconds=lock_seconds, writes_as=writes_as, copies_log=copies_log
    )
    try:
        await database.migrate(on_upgrade=on_upgrade)
    except BaseException:
        await database.close()
        raise
    return database


def connect_database(
    url: str,
    *,
    readers: int = 4,
    lock_seconds: float = 2.0,
    writes_as: str = "",
    copies_log: bool = True,
) -> Database:
    """Prepare a database as `open_database` does, but leave its schema alone; nothing is connected yet."""
    parsed = parse_url(url)
    place = describe(parsed)
    try:
        match parsed.get_backend_name():
            case "sqlite":
                writer, reader = _sqlite(parsed, place, readers, lock_seconds)
            case "postgresql":
                writer, reader = _postgresql(parsed, readers, lock_seconds, writes_as)
            case _:
                writer, reader = _mysql(parsed, readers, lock_seconds, writes_as)
    except ModuleNotFoundError as error:
        extra = "postgresql" if parsed.get_backend_name() == "postgresql" else "mysql"
        advice = f"pip install 'tidings[{extra}]'"
        raise BackendError(f"{place} needs the module {error.name}: {advice}.") from None
    return Database(writer, reader, place, readers, copies_log=copies_log)


def open_in_memory(schema: bytes) -> Database:
    """Open a database in memory that begins as this serialised one and runs on its caller's thread."""
    url = make_url("sqlite+pysqlite://")
    arguments = {"check_same_thread": False, "cached_statements": CACHED_STATEMENTS}
    engine = create_engine(url, poolclass=StaticPool, connect_args=arguments)
    listen(engine, 0, is_writer=True)

    @event.listens_for(engine, "connect")
    def fill(connection: Any, record: object) -> None:  # noqa: ANN401, ARG001  # the driver's
        connection.deserialize(schema)

    return Database(engine, engine, describe(url), 1, is_inline=True)


def _sqlite(url: URL, place: str, readers: int, lock_seconds: float) -> tuple[Engine, Engine]:
    arguments: dict[str, Any] = {
        "check_same_thread": False,
        "timeout": lock_seconds,
        "cached_statements": CACHED_STATEMENTS,
    }
    path = database_file(url)
    if path is None:  # one connection is the whole database: one thread owns it
        engine = create_engine(url, poolclass=StaticPool, connect_args=arguments)
        listen(engine, lock_seconds, is_writer=True)
        return engine, engine
    create_private(path, place)
    writer = create_engine(url, pool_size=1, max_overflow=0, connect_args=arguments)
    reader = _make_reader(url, readers, arguments)
    listen(writer, lock_seconds, is_writer=True)
    listen(reader, lock_seconds, is_writer=False)
    return writer, reader


def _make_reader(url: URL, readers: int, arguments: dict[str, Any]) -> Engine:
    return create_engine(
        url,
        pool_size=readers,
        max_overflow=0,
        connect_args=arguments,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
    )


def _postgresql(url: URL, readers: int, lock_seconds: float, writes_as: str) -> tuple[Engine, Engine]:
    arrays.register()
    arguments = {
        "connect_timeout": _CONNECT_SECONDS,
        "tcp_user_timeout": _STATEMENT_SECONDS * 1000,
        "client_encoding": "UTF8",  # else a database of SQL_ASCII answers with octets
    }
    settings = (
        f"SET lock_timeout = {int(lock_seconds * 1000)}",
        f"SET statement_timeout = {_STATEMENT_SECONDS * 1000}",
        "SET synchronous_commit = on",
    )
    # Held as long as the server's process for this connection lives, and so as long as it may be committing.
    number = int.from_bytes(key_of(writes_as)[:8], "big", signed=True)
    only = f"SET lock_timeout = {_STATEMENT_SECONDS * 1000}; SELECT pg_advisory_lock({number})"
    return _server(url, readers, arguments, settings, only if writes_as else "", {})


def _mysql(url: URL, readers: int, lock_seconds: float, writes_as: str) -> tuple[Engine, Engine]:
    arguments = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _STATEMENT_SECONDS,
        "write_timeout": _STATEMENT_SECONDS,
        "charset": "utf8mb4",
    }
    settings = (
        f"SET innodb_lock_wait_timeout = {max(1, round(lock_seconds))}",
        "SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    )
    only = f"SELECT GET_LOCK('tidings {key_of(writes_as).hex()}', {_STATEMENT_SECONDS})"
    return _server(
        url, readers, arguments, settings, only if writes_as else "", {"isolation_level": "READ COMMITTED"}
    )


def _server(
    url: URL,
    readers: int,
    arguments: dict[str, Any],
    settings: tuple[str, ...],
    only: str,
    writing: dict[str, Any],
) -> tuple[Engine, Engine]:
    writer = create_engine(url, pool_size=1, max_overflow=0, connect_args=arguments, **writing)
    reader = _make_reader(url, readers, arguments)
    if only:

        @event.listens_for(writer, "connect")
        def be_alone(connection: Any, record: object) -> None:  # noqa: ANN401, ARG001  # the driver's own
            with connection.cursor() as cursor:
                cursor.execute(only)
            connection.commit()

    for engine in (writer, reader):

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, record: object) -> None:  # noqa: ANN401, ARG001  # the driver's own
            with connection.cursor() as cursor:
                for setting in settings:
                    cursor.execute(setting)
            connection.commit()

    return writer, reader
