"""How connections to SQLite are set up."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

from tidings.adapters.sql.checkpoints import KEPT_OCTETS
from tidings.base.errors import BackendError

_CACHE_KILOBYTES: Final = 65_536
"""The page cache of the SQLite writer; allocated as it is used."""

CACHED_STATEMENTS: Final = 512
"""Of each SQLite connection: the ledger's inserts are made for several numbers of rows each."""


def listen(engine: Engine, lock_seconds: float, *, is_writer: bool) -> None:
    """Set up every connection of an engine: one that writes, durably, or one that only reads."""

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: object) -> None:  # noqa: ANN401, ARG001  # the driver's
        connection.isolation_level = None  # transactions begin where we say so, below
        if is_writer:
            _use_wal(connection, lock_seconds)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KILOBYTES}")
            connection.execute("PRAGMA wal_autocheckpoint = 0")  # see Checkpointer
            connection.execute(f"PRAGMA journal_size_limit = {KEPT_OCTETS}")
            connection.execute("PRAGMA foreign_keys = ON")
        else:
            connection.execute("PRAGMA query_only = ON")

    if is_writer:

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            # Taking the write lock at once waits for it; taking it later, as BEGIN does, can only fail.
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def _use_wal(connection: Any, lock_seconds: float) -> None:  # noqa: ANN401
    # The change of mode does not wait for locks by itself; it happens once in the life of a file.
    deadline = time.monotonic() + lock_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except connection.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def create_private(path: Path, place: str) -> None:
    """Make a missing file that its owner alone may read; `place` names the database in an error."""
    # SQLite gives the files beside it (-wal, -shm) the same rights. A file that is there is not opened: who
    # closes it ends the locks that this process may have on it (sqlite.org/howtocorrupt.html §2.2).
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise BackendError(
            f"{place} cannot be opened: {error.strerror}. Check that the folder {path.parent} exists and "
            "that the server's user may write in it."
        ) from error
