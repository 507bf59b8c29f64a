"""A lock between processes: a file that says who holds it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tidings.base.errors import InUseError

PATIENCE: Final = 30.0
"""Seconds that a server waits for another one, which may be stopping."""

_DIGITS: Final = 20
_PAUSE: Final = 0.02


class Holder(NamedTuple):
    """Who has a lock, for people."""

    waits_for: str
    """What is waited for, as the end of "it waits for …"."""
    refusal: str
    """What is said when that has lasted too long."""


class FileLock:
    """Holds a file locked until it is closed here and in every process that got it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def fileno(self) -> int:
        """Give the open file, to be passed on."""
        return self._file

    def take(self) -> bool:
        """Take the lock unless somebody else holds it, and tell whether it was taken."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        return True

    async def acquire(
        self, patience: float, on_wait: Callable[[str], None], who: Callable[[int | None], Holder]
    ) -> None:
        """Wait until nobody else holds it; raises `InUseError` after `patience` seconds, and lets go of it.

        `on_wait` is told at once what is waited for, and "" when that is over. `who` describes the process
        that holds it, by its number as `holder` gives it.
        """
        deadline = time.monotonic() + patience
        has_told = False
        try:
            while not self.take():
                if not has_told:
                    on_wait(who(self.holder()).waits_for)
                    has_told = True
                if time.monotonic() >= deadline:
                    raise InUseError(who(self.holder()).refusal)
                await asyncio.sleep(_PAUSE)
        except BaseException:
            self.close()
            raise
        if has_told:
            on_wait("")

    def holder(self) -> int | None:
        """Give the process that took it last; None where it has ended, and one that it started goes on."""
        with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
            number = int(os.pread(self._file, _DIGITS, 0))
            os.kill(number, 0)
            return number
        return None

    def close(self) -> None:
        """Let go of it here."""
        os.close(self._file)
