"""One server at a time: a lock on an SQLite database that a server and its writer's process hold together.

A server that is killed may leave its process with a transaction under way. The lock is let go when the last
of the two has ended; the next server reads nothing before that, so nothing appears behind its back.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path
from typing import Final

from tidings.base.errors import BackendError

_PATIENCE: Final = 30.0
_PAUSE: Final = 0.01


class WriterLock:
    """Holds the file `DATABASE-writer` locked until it is closed here and in every process that got it."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-writer")
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def fileno(self) -> int:
        """Give the open file, to be passed on."""
        return self._file

    async def acquire(self) -> None:
        """Wait until nobody else holds it; raises `BackendError` when that takes too long."""
        deadline = time.monotonic() + _PATIENCE
        while not self._try():
            await asyncio.sleep(_PAUSE)
            if time.monotonic() < deadline:
                continue
            self.close()
            raise BackendError(
                f"{self._path} is locked: another server uses this database. End that one first, or let "
                "one of them have another `data_dir`."
            )

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of it here."""
        os.close(self._file)
