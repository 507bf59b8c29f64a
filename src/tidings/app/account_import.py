"""`tidings account import FILE`: reads the file, makes the keys, and hands the accounts over in parts.

The keys are made here, beside the server, while it stores those of the part before; it never gets a password.
What exists already is found out before keys are made for it, so that a second run takes seconds. Links of
invitations are in the report's file before more are made: who breaks off has all but those of one part.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, NamedTuple

from tidings.app.account_file import Line, UnreadableFileError, read
from tidings.app.account_report import Report, ReportFile
from tidings.app.password_keys import KeyMakers, Keys
from tidings.base.errors import TidingsError
from tidings.operations.account_import import MOST

_PART_OCTETS: Final = 400_000
_KEYS_OCTETS: Final = 1_000  # of one account, as they are sent
_AT_ONCE: Final = 16  # passwords that a process takes together

Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Carries out `account import` with these arguments, and gives its answer."""


class _Part(NamedTuple):
    """Some accounts, and the keys that are being made for them."""

    lines: list[Line]
    keys: list[Future[list[Keys | str]]]


def run(
    file: str, options: dict[str, Any], ask: Ask, *, report_file: str | None, as_json: bool, is_quiet: bool
) -> bool:
    """Import a file, `-` being standard input; tell whether every line could be done.

    What becomes of each line is written into `report_file`, which must not exist. Raises
    `UnreadableFileError`, `ReportError`, and what `ask` does; what was done before stays done.
    """
    written = None if report_file is None else ReportFile(report_file)
    report, is_dry = Report(written, is_quiet=is_quiet), bool(options.get("dry_run"))
    makers = KeyMakers()
    waiting: deque[_Part] = deque()
    try:
        with _opened(file) as lines:
            for part in _parts(lines, report):
                waiting.append(_begin(part, options, ask, makers, report))
                if len(waiting) > 1:
                    _end(waiting.popleft(), options, ask, report)
        while waiting:
            _end(waiting.popleft(), options, ask, report)
    except TidingsError:
        if report.counts:
            report.print(as_json=as_json, is_dry=is_dry)
        raise
    finally:
        makers.close()
        if written is not None:
            written.close()
    report.print(as_json=as_json, is_dry=is_dry)
    return not report.failures


def _begin(lines: list[Line], options: dict[str, Any], ask: Ask, makers: KeyMakers, report: Report) -> _Part:
    """Ask what can be done, and begin to make the keys for that; what cannot is told."""
    outcomes = ask({**options, "accounts": [line.account for line in lines], "dry_run": True})["results"]
    wanted: list[Line] = []
    for line, outcome in zip(lines, outcomes, strict=True):
        if outcome["outcome"] in {"failed", "skipped"} or options.get("dry_run"):
            report.note(line, outcome)
        elif outcome["outcome"] == "invited" and not report.has_file:
            report.fail(line, outcome["user"], "name a file for the link of the invitation with --report")
        else:
            wanted.append(line)
    passwords = [line.account["password"] for line in wanted if "password" in line.account]
    return _Part(wanted, [makers.submit(some) for some in _in_parts(passwords)])


def _end(part: _Part, options: dict[str, Any], ask: Ask, report: Report) -> None:
    """Have the accounts of a part made, with their keys."""
    keys = iter([each for future in part.keys for each in future.result()])
    lines: list[Line] = []
    accounts: list[dict[str, Any]] = []
    for line in part.lines:
        account = dict(line.account)
        if account.pop("password", None) is not None:
            found = next(keys)
            if isinstance(found, str):
                report.fail(line, account["user"], found)
                continue
            account["scram"] = found
        lines.append(line)
        accounts.append(account)
    outcomes = ask({**options, "accounts": accounts})["results"] if accounts else []
    for line, outcome in zip(lines, outcomes, strict=True):
        report.note(line, outcome)
    report.keep()


def _parts(lines: Iterable[Line], report: Report) -> Iterator[list[Line]]:
    """Give so many lines together as one request takes; those that are wrong are told."""
    part: list[Line] = []
    size = 0
    for line in lines:
        if line.problem:
            report.fail(line, str(line.account.get("user", "")), line.problem)
            continue
        octets = len(json.dumps(line.account)) + _KEYS_OCTETS
        if part and (len(part) == MOST or size + octets > _PART_OCTETS):
            yield part
            part, size = [], 0
        part.append(line)
        size += octets
    if part:
        yield part


def _in_parts(passwords: Sequence[str]) -> Iterator[Sequence[str]]:
    return (passwords[start : start + _AT_ONCE] for start in range(0, len(passwords), _AT_ONCE))


@contextlib.contextmanager
def _opened(file: str) -> Iterator[Iterator[Line]]:
    try:
        if file == "-":
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline="")
            yield read(sys.stdin)
            return
        with Path(file).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
            yield read(opened)
    except OSError as error:
        raise UnreadableFileError(f"{file} cannot be read: {error.strerror}") from error
