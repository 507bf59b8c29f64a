"""Moves SQLite's write-ahead log into the database beside the traffic, so that the file is never far behind.

Left to itself, SQLite lets the commit that makes the log too long copy all of it. Here no commit waits for
that: a thread with a connection of its own copies most while the writer goes on. What was written meanwhile
is little: it is copied between two transactions, and the log begins anew. Without that last step it would
only grow, since under load something is always left to copy.

The thread looks every second when the log was written last. What nobody has added to for a second is copied,
and what has waited for `OLDEST_SECONDS`. So a copy of the file alone lacks no more than that, and nothing
where nothing happens.

Invariants, which keep from what SQLite before 3.51.3 does wrong (its WAL-reset bug: a checkpoint that begins
when all is copied, while another connection begins the log anew, forgets what that one writes):
- of all processes that write to a file, one copies;
- the copy beside the traffic begins only where something is uncopied, and nobody else copies meanwhile;
- every other copy is made while the writer holds the right to write, so that nobody can begin the log anew;
- no file of the database is opened here but by SQLite: who closes one ends all locks that this process has on
  it (sqlite.org/howtocorrupt.html §2.2), those of SQLite among them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

LOG_PAGES: Final = 4096
"""A log that is probably longer is copied; its length is guessed from how many rows were changed."""

KEPT_OCTETS: Final = 32 << 20
"""The log's file keeps this length: to write over it costs half of what it costs to make it longer.

A file that is longer tells that the guess was wrong.
"""

LOOK_SECONDS: Final = 1.0
OLDEST_SECONDS: Final = 5.0
"""How long something may be in the log alone."""

_LOOK_EVERY: Final = 16
"""After how many commits the length of the file is looked up."""

COPY: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class LogState(NamedTuple):
    """What the system notes of the log."""

    written: int
    """When it was last, in nanoseconds."""
    octets: int


_NONE: Final = LogState(0, 0)


class Checkpointer:
    """Keeps the log of one database short, and its file up to date.

    `finish` copies while nobody can write and gives the row of `COPY`; `on_writer` lets the writer thread do
    something.
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
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._is_closed = False
        self._commits = 0
        self._start = 0
        self._rows = 0
        self._pages_a_row = 1.0
        self._is_busy = False
        self._is_long = False
        self._copied_at = 0.0
        self._copied = _NONE
        """The log of which all is copied; none where more may have come within the same moment."""

    def begin(self) -> None:
        """Watch the log from now on, which who only reads does not need."""
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._watch, name="sql-checkpoint", daemon=True)
            self._thread.start()

    def committed(self, rows: int) -> None:
        """Look whether it is time; called on the writer thread after each commit.

        `rows` is how many rows its connection has changed so far.
        """
        self._commits += 1
        if rows < self._rows:  # another connection, which counts from the beginning
            self._start -= self._rows
        self._rows = rows
        if self._thread is None:
            self.begin()
        if self._is_busy:
            return
        is_long = (rows - self._start) * self._pages_a_row > LOG_PAGES
        with contextlib.suppress(OSError):
            if is_long or (self._commits % _LOOK_EVERY == 0 and self._has_grown()):
                self._is_busy = self._is_long = True
                self._wake.set()

    def close(self) -> None:
        """Wait for what was begun."""
        self._is_closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _has_grown(self) -> bool:
        return os.stat(self._log).st_size > KEPT_OCTETS  # noqa: PTH116  # often

    def _watch(self) -> None:
        """Copy when it is time, until the end."""
        before, since = _NONE, time.monotonic()
        while not self._is_closed or self._is_long:
            if self._is_long:
                self._is_long = False
                self._copy()
                continue
            if self._wake.wait(LOOK_SECONDS):
                self._wake.clear()
                continue
            state, now = self._state(), time.monotonic()
            if self._is_busy or state == self._copied or not state.octets:
                since = now
            elif state == before:  # for a second, so that what comes later is told from it
                self._is_busy = True
                self._end_on_writer(state)
            elif now - max(since, self._copied_at) > OLDEST_SECONDS:
                self._is_busy = self._is_long = True
            before = state

    def _state(self) -> LogState:
        """Look at the log from outside."""
        with contextlib.suppress(OSError):
            noted = os.stat(self._log)  # noqa: PTH116  # often
            return LogState(noted.st_mtime_ns, noted.st_size)
        return _NONE

    def _copy(self) -> None:
        # Where it fails, the next commits try it again.
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(self._path)) as connection,
        ):
            connection.execute(COPY).fetchall()
        self._end_on_writer(_NONE)

    def _end_on_writer(self, state: LogState) -> None:
        """Copy what is left while nobody writes; then all of the log is copied that was in this state."""
        with contextlib.suppress(RuntimeError):  # the writer has ended
            self._on_writer(lambda: self._end(state))

    def _end(self, state: LogState) -> None:
        try:
            _, pages, copied = self._finish()
            if pages == copied:  # the next commit begins the log anew
                self._copied = state
                changed = max(1, self._rows - self._start)
                self._pages_a_row = min(4.0, max(0.02, pages / changed))
                self._start = self._rows
                self._copied_at = time.monotonic()
        finally:
            self._is_busy = False


def copy_alone(path: Path) -> tuple[int, int, int]:
    """Copy what is left, for who holds the right to write; gives (busy, pages, copied pages)."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        busy, pages, copied = connection.execute(COPY).fetchone()
        return busy, pages, copied
