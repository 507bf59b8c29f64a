"""The report of `tidings account import`: what became of every line, for people, programs, and in a file."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

from tidings.app import presentation
from tidings.app.account_file import Line
from tidings.app.voice import say
from tidings.base.errors import TidingsError

COLUMNS: Final = ("line", "user", "outcome", "reason", "invitation", "link")
"""The header of the file."""

_PROGRESS_SECONDS: Final = 5.0


class ReportError(TidingsError):
    """The file cannot be written; the text says why."""


class ReportFile:
    """A file of CSV that this user alone can read, since there are links in it."""

    def __init__(self, path: str) -> None:
        """Make the file; raises `ReportError` where there is one, so that no links are lost."""
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ReportError(f"{path} exists already, and may have links; name another file") from None
        except OSError as error:
            raise ReportError(f"{path} cannot be written: {error.strerror}") from None
        self._file: TextIO = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file)
        with self._told():
            self._rows.writerow(COLUMNS)

    def write(self, line: Line, result: dict[str, Any]) -> None:
        """Write what became of a line; raises `ReportError`."""
        with self._told():
            self._rows.writerow((line.number, *(result.get(name, "") for name in COLUMNS[1:])))

    def keep(self) -> None:
        """Have the disk keep what was written; raises `ReportError`."""
        with self._told():
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the rest, and nothing more; raises `ReportError`."""
        with self._told():
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ReportError(f"{self._path} cannot be written: {error.strerror}") from None


class Report:
    """What became of the lines of a file."""

    def __init__(self, file: ReportFile | None, *, is_quiet: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[dict[str, object]] = []
        self.has_file = file is not None
        """Whether links have a place where they are written."""
        self._file = file
        self._is_quiet = is_quiet
        self._told = time.monotonic()

    def fail(self, line: Line, user: str, reason: str) -> None:
        """Note a line that is wrong, and tell it at once."""
        self.counts["failed"] += 1
        self.failures.append({"line": line.number, "user": user, "reason": reason})
        say(f"line {line.number}: {f'{user}: ' if user and user not in reason else ''}{reason}")
        self._write(line, {"user": user, "outcome": "failed", "reason": reason})

    def note(self, line: Line, result: dict[str, Any]) -> None:
        """Note what became of a line, as the operation says it."""
        if result["outcome"] == "failed":
            self.fail(line, result["user"], result["reason"])
            return
        self.counts[result["outcome"]] += 1
        self._write(line, result)
        if not self._is_quiet and time.monotonic() - self._told > _PROGRESS_SECONDS:
            self._told = time.monotonic()
            say(f"lines done: {self.counts.total()}")

    def keep(self) -> None:
        """Have the disk keep what was noted, before more is done; raises `ReportError`."""
        if self._file is not None:
            self._file.keep()

    def print(self, *, as_json: bool, is_dry: bool) -> None:
        """Print what was done, or would be."""
        made, updated, invited, skipped, failed = (
            self.counts[each] for each in ("made", "updated", "invited", "skipped", "failed")
        )
        if as_json:
            counts = {"made": made, "updated": updated, "invited": invited, "skipped": skipped}
            presentation.print_json({**counts, "failed": self.failures, "dry_run": is_dry})
        elif not self._is_quiet:
            invitations = f"invitations made: {invited}, " if invited else ""
            end = " Nothing was changed." if is_dry else ""
            sys.stdout.write(
                f"Accounts made: {made}, updated: {updated}, {invitations}"
                f"skipped since they exist: {skipped}, failed: {failed}.{end}\n"
            )

    def _write(self, line: Line, result: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(line, result)
