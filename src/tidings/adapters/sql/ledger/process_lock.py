"""One server at a time: a lock on an SQLite database that a server and its writer's process hold together.

A server that is killed may leave its process with a transaction under way. The lock is let go when the last
of the two has ended; the next server reads nothing before that, so nothing appears behind its back.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tidings.adapters.file_lock import FileLock, Holder


class WriterLock:
    """Holds the file `DATABASE-writer` locked until it is closed here and in every process that got it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock = FileLock(database.with_name(f"{database.name}-writer"))

    def fileno(self) -> int:
        """Give the open file, to be passed on."""
        return self._lock.fileno()

    async def acquire(self, patience: float, on_wait: Callable[[str], None]) -> None:
        """Wait until nobody else holds it, as `FileLock.acquire` does."""
        await self._lock.acquire(patience, on_wait, self._describe)

    def _describe(self, process: int | None) -> Holder:
        who = "the writer of a server that was killed" if process is None else f"process {process}"
        user = f"{who}, which uses {self._database}"
        refusal = f"{self._lock.path} is locked by {user}. End that first, or choose another `data_dir`."
        return Holder(user, refusal)

    def close(self) -> None:
        """Let go of it here."""
        self._lock.close()
