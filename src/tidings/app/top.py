"""`tidings top`: what the running server does, as a view that renews itself, as plain lines, or as JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tidings.app import admin_client, presentation
from tidings.app.tables import printable
from tidings.app.units import octets

LONGEST_SECONDS: Final = 30
"""What `server statistics` takes as its interval at most."""

_SECONDS: Final = 2

Answer = Mapping[str, Any]


def seconds_of(text: str | None, *, once: bool) -> int | None:
    """Read how many seconds are between two looks; None for what is no such number."""
    if text is None:
        return 1 if once else _SECONDS
    return int(text) if text.isdecimal() and 1 <= int(text) <= LONGEST_SECONDS else None


def run(path: Path, *, seconds: int, once: bool, as_json: bool) -> None:
    """Show what the server does that listens on this admin socket, until the reader has enough.

    Raises `UnreachableError` where no server runs, or when it stops.
    """
    answers = _ask(path, seconds, count=2 if once else 0)
    try:
        next(answers)  # which tells of all the time since the start
        if as_json:
            for answer in answers:
                (presentation.print_json if once else presentation.print_line)(answer)
                sys.stdout.flush()
        elif once:
            sys.stdout.writelines(f"{line}\n" for line in block(next(answers)))
        elif sys.stdout.isatty():
            _show_live(answers)
        else:
            for answer in answers:
                sys.stdout.write(f"{time.strftime('%H:%M:%S')} {one_line(answer)}\n")
                sys.stdout.flush()
    except KeyboardInterrupt:  # how it is ended
        return


def one_line(answer: Answer) -> str:
    """Write what the server does in one line, for files."""
    facts = (*_traffic(answer), *_machine(answer), *_trouble(answer))
    return "  ".join(f"{name} {value}" for name, value in facts)


def block(answer: Answer) -> Iterator[str]:
    """Write what the server does in some lines."""
    for name, value in (*_traffic(answer), *_machine(answer), *_trouble(answer)):
        yield f"{name:<16}{value}"
    for heading, rows in _lists(answer):
        yield ""
        yield heading
        for name, value in rows:
            yield f"  {name:<40}  {value}"


def _show_live(answers: Iterator[Answer]) -> None:
    from rich.console import Group  # noqa: PLC0415  # for a terminal alone
    from rich.live import Live  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    def view(answer: Answer) -> Group:
        facts = Table.grid(padding=(0, 3))
        for left, right in zip(_traffic(answer), _machine(answer), strict=True):
            facts.add_row(Text(left[0], "bold"), left[1], Text(right[0], "bold"), right[1])
        lists = Table.grid(padding=(0, 3))
        columns = []
        for heading, rows in _lists(answer):
            table = Table(heading, "", box=None, pad_edge=False, header_style="bold")
            for name, value in rows:
                table.add_row(Text(name), Text(value, justify="right"))
            columns.append(table)
        lists.add_row(*columns)
        trouble = [Text(value, "bold red") for _, value in _trouble(answer)]
        return Group(facts, *trouble, Text(), lists)

    with Live(Text("Looking at the server …"), screen=True, auto_refresh=False) as live:
        for answer in answers:
            live.update(view(answer), refresh=True)


def _ask(path: Path, seconds: int, count: int) -> Iterator[Answer]:
    return admin_client.stream(path, "server", "statistics", {"interval": seconds, "count": count})


def _traffic(answer: Answer) -> Sequence[tuple[str, str]]:
    return (
        ("sessions", f"{answer['sessions']}"),
        ("messages in", f"{answer['messages_received']:.1f}/s"),
        ("stanzas in", f"{answer['stanzas_received']:.1f}/s"),
        ("stanzas out", f"{answer['stanzas_sent']:.1f}/s"),
        ("log-ins", f"{answer['logins']:.1f}/s ({answer['login_failures']:.1f}/s failed)"),
        ("bugs", f"{answer['bugs']}"),
    )


def _machine(answer: Answer) -> Sequence[tuple[str, str]]:
    took = answer["transaction_milliseconds"]
    duration = "" if took is None else f", {took:.1f} ms each"
    waiting, limit = answer["waiting_octets"], answer["waiting_limit_octets"]
    return (
        ("connections", f"{answer['connections']}"),
        ("transactions", f"{answer['transactions']:.1f}/s{duration}"),
        ("ledger queue", f"{answer['ledger_queue']}"),
        ("for clients", f"{octets(waiting)} of {octets(limit)}"),
        ("memory", f"{octets(answer['memory_octets'])} + {octets(answer['writer_memory_octets'])} writer"),
        ("cpu", f"{answer['cpu']:.0%} + {answer['writer_cpu']:.0%} writer"),
    )


def _trouble(answer: Answer) -> Iterator[tuple[str, str]]:
    """Say what is wrong with the database, while anything is."""
    if answer["ledger_trouble"]:
        yield "trouble", printable(answer["ledger_trouble"])


def _lists(answer: Answer) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Give the accounts and readers that are named; addresses are what people chose."""
    busy = [
        (printable(each["user"]), f"{each['received']:.1f}/s in, {each['sent']:.1f}/s out")
        for each in answer["busiest"]
    ]
    slow = [(printable(each["session"]), octets(each["octets"])) for each in answer["slowest"]]
    yield "busiest accounts", busy or [("nobody", "")]
    yield "slowest readers", slow or [("nobody", "")]
