"""Shows answers to people: sentences, lists and tables; JSON for programs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from tidings.app.check import Finding
    from tidings.operations.catalogue import Operation

_SENTENCES: Final[Mapping[tuple[str, str], str]] = {
    ("account", "register"): "The account {user} has been made.",
    ("account", "remove"): "The account {user} has been removed; sessions ended: {sessions_ended}.",
    ("account", "count"): "{count}",
    ("account", "change-password"): "{user} has a new password; sessions ended: {sessions_ended}.",
    ("account", "ban"): "{user} is banned; sessions ended: {sessions_ended}.",
    ("account", "unban"): "{user} may log in again.",
    ("domain", "add"): "{domain} is served now.",
    ("domain", "enable"): "People can log in to {domain}.",
    ("domain", "disable"): "Nobody can log in to {domain}; sessions ended: {sessions_ended}.",
    ("domain", "remove"): "{domain} is being removed; sessions ended: {sessions_ended}.",
    ("session", "count"): "{count}",
    ("session", "kick"): "Sessions ended: {sessions_ended}.",
    ("stanza", "send-message"): "Sent, with the id {id}.",
    ("stanza", "send-stanza"): "Sent, with the id {id}.",
    ("retention", "erase-message"): "Erased from archives: {erased}.",
    ("retention", "erase-conversation"): "Messages erased: {erased}; kept by legal hold: {held}.",
    ("retention", "erase-archive"): "Messages erased: {erased}; kept by legal hold: {held}.",
    ("followers", "rewind"): "{follower} goes on at {cursor}.",
    ("followers", "retry"): "Dead letters that are tried again: {dead_letters}.",
    ("retention", "trim"): "Archives: {archives}; messages that went: {trimmed}.",
}
"""What people are told when an operation has nothing more to show."""

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def print_json(value: object) -> None:
    """Print a value as JSON, indented, one document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_line(value: object) -> None:
    """Print a value as JSON in one line: one answer of many."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def print_result(operation: Operation, result: Mapping[str, Any]) -> None:
    """Print the answer of an operation for people."""
    sentence = _SENTENCES.get((operation.category, operation.name))
    if sentence is not None:
        sys.stdout.write(sentence.format_map(result) + "\n")
        return
    if result.keys() == {"items", "next"}:
        _print_rows(f"{operation.category}s", result["items"])
        if result["next"]:
            sys.stderr.write(f"There are more: --after {shlex.quote(result['next'])}\n")
        return
    if "steps" in result:
        _print_steps(result)
        return
    _print_facts(result)


def print_findings(findings: Iterable[Finding]) -> None:
    """Print what `tidings check` found, as a table, and a last line that sums it up."""
    from rich.table import Table  # noqa: PLC0415  # tables are slow to load
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    findings = list(findings)
    for finding in findings:
        told = Text(finding.text)
        if finding.mend:
            told.append(f"\n→ {finding.mend}", style="dim")
        table.add_row(Text(finding.status, style=_COLOURS[finding.status]), finding.subject, told)
    console = _console()
    console.print(table)
    failed = sum(finding.status == "fail" for finding in findings)
    warned = sum(finding.status == "warn" for finding in findings)
    if failed or warned:
        console.print(f"\n{failed} to mend, {warned} to consider.")
    else:
        console.print("\nEverything is in order.")


def _print_rows(name: str, rows: Sequence[Any]) -> None:
    if not rows:
        sys.stderr.write(f"There are no {name}.\n")
        return
    if not isinstance(rows[0], dict):
        sys.stdout.writelines(f"{row}\n" for row in rows)
        return
    from rich.table import Table  # noqa: PLC0415  # tables are slow to load

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), no_wrap=True)
    for row in rows:
        table.add_row(*(_show(value) for value in row.values()))
    _console().print(table)


def _print_facts(result: Mapping[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415  # tables are slow to load

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in result.items():
        if value not in ("", None, [], ()):
            table.add_row(name.replace("_", " "), _show(value))
    _console().print(table)


def _print_steps(result: Mapping[str, Any]) -> None:
    """Print what became of something: what it is, a line a step, and what cannot be told."""
    from rich.table import Table  # noqa: PLC0415  # tables are slow to load

    _print_facts({name: value for name, value in result.items() if name not in {"steps", "unknown"}})
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for step in result["steps"]:
        table.add_row(_show(step["time"]), step["step"], step["text"])
    console = _console()
    console.print()
    console.print(table)
    if result["unknown"]:
        console.print("\nWhat cannot be told:")
        for text in result["unknown"]:
            console.print(f"- {text}")


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415  # tables are slow to load

    # In a pipe a table must not be cut to the width of a terminal that is not there.
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_show(item) for item in value)
    return "" if value is None else str(value)
