"""A lock between processes: a file that says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

_DIGITS: Final = 20


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
