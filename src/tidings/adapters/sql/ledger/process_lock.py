"""One server at a time: a lock on an SQLite database that a server and its writer's process hold together.

A server that is killed may leave its process with a transaction under way. The lock is let go when the last
of the two has ended; the next server reads nothing before that, so nothing appears behind its back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tidings.base.errors import InUseError
from tidings.base.file_lock import FileLock

PATIENCE: Final = 30.0
_PAUSE: Final = 0.01


class WriterLock:
    """Holds the file `DATABASE-writer` locked until it is closed here and in every process that got it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock = FileLock(database.with_name(f"{database.name}-writer"))

    def fileno(self) -> int:
        """Give the open file, to be passed on."""
        return self._lock.fileno()

    async def acquire(self, patience: float = PATIENCE, on_wait: Callable[[str], None] | None = None) -> None:
        """Wait until nobody else holds it; raises `InUseError` after `patience` seconds.

        `on_wait` is told at once what is waited for, and "" when that is over.
        """
        if self._lock.take():
            return
        deadline = time.monotonic() + patience
        if on_wait is not None:
            on_wait(self._user())
        try:
            while not self._lock.take():
                if time.monotonic() >= deadline:
                    raise InUseError(
                        f"{self._lock.path} is locked by {self._user()}. End that first, or choose another "
                        "`data_dir`."
                    )
                await asyncio.sleep(_PAUSE)
        except BaseException:
            self.close()
            raise
        if on_wait is not None:
            on_wait("")

    def _user(self) -> str:
        holder = self._lock.holder()
        who = "the writer of a server that was killed" if holder is None else f"process {holder}"
        return f"{who}, which uses {self._database}"

    def close(self) -> None:
        """Let go of it here."""
        self._lock.close()
