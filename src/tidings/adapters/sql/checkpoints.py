"""Moves SQLite's write-ahead log into the database beside the traffic, so that no commit waits for it.

Left to itself, SQLite lets the commit that makes the log too long copy all of it. Here a thread with a
connection of its own copies most while the writer goes on. What was written meanwhile is little: the writer
copies it between two transactions, and the log begins anew. Without that last step it would only grow, since
under load something is always left to copy.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

LOG_PAGES: Final = 4096
"""A log that is probably longer is copied; its length is guessed from how many rows were changed."""

KEPT_OCTETS: Final = 32 << 20
"""The log's file keeps this length: to write over it costs half of what it costs to make it longer.

A file that is longer tells that the guess was wrong.
"""

_LOOK_EVERY: Final = 16
"""After how many commits the length of the file is looked up."""

COPY: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpointer:
    """Keeps the log of one database short.

    `finish` executes `COPY` on the writer's connection and gives its row; `on_writer` lets the writer thread
    do something.
    """

    def __init__(
        self,
        path: Path,
        on_writer: Callable[[Callable[[], object]], None],
        finish: Callable[[], tuple[int, int, int]],
    ) -> None:
        self._path = path
        self._log = f"{path}-wal"
        self._on_writer = on_writer
        self._finish = finish
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sql-checkpoint")
        self._commits = 0
        self._start = 0
        self._rows = 0
        self._pages_a_row = 1.0
        self._is_busy = False

    def committed(self, rows: int) -> None:
        """Look whether it is time; called on the writer thread after each commit.

        `rows` is how many rows its connection has changed so far.
        """
        self._commits += 1
        if rows < self._rows:  # another connection, which counts from the beginning
            self._start -= self._rows
        self._rows = rows
        if self._is_busy:
            return
        is_long = (rows - self._start) * self._pages_a_row > LOG_PAGES
        with contextlib.suppress(OSError, RuntimeError):
            if is_long or (self._commits % _LOOK_EVERY == 0 and self._has_grown()):
                self._is_busy = True
                self._thread.submit(self._copy)

    def close(self) -> None:
        """Wait for what was begun."""
        self._thread.shutdown(wait=True)

    def _has_grown(self) -> bool:
        return os.stat(self._log).st_size > KEPT_OCTETS  # noqa: PTH116  # often

    def _copy(self) -> None:
        # Where it fails, the next commits try it again.
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(self._path)) as connection,
        ):
            connection.execute(COPY).fetchall()
        with contextlib.suppress(RuntimeError):  # the writer has ended
            self._on_writer(self._end)

    def _end(self) -> None:
        try:
            _, pages, copied = self._finish()
            if pages == copied:  # the next commit begins the log anew
                changed = max(1, self._rows - self._start)
                self._pages_a_row = min(4.0, max(0.02, pages / changed))
                self._start = self._rows
        finally:
            self._is_busy = False
