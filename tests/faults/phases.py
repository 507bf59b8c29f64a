"""The faults that are tried, by name; each starts a server of its own and says what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.backups import back_up
from tests.faults.crashes import Outcome, Tell, crash
from tests.faults.moves import move_around
from tests.faults.outages import outage
from tests.faults.small_disk import small_disk
from tests.harness.postgresql import Postgresql, own_postgresql
from tests.harness.server_process import ServerProcess

DISK_MEGABYTES = 48
_QUIET = {"TIDINGS_LOG__LEVEL": "warning"}
_UNLIMITED = """
[features.room_limits]
messages_per_second = 0
room_messages_per_second = 0
joins_per_minute = 0
room_joins_per_minute = 0
presences_per_minute = 0
"""
"""Devices that lose their server again and again enter their rooms more often than people do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it; `kills` None stands for the number of the phase."""

    seed: int
    kills: int | None = None
    outage_seconds: float = 60.0
    messages: int = 1_000_000
    """How many there are to move."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of fault."""

    promise: str
    run: Callable[[Plan, Tell], Outcome]


def crashes_on_sqlite(plan: Plan, tell: Tell) -> Outcome:
    """Kill the server on its embedded database."""
    with _folder() as folder, _server(folder) as server:
        return asyncio.run(crash(server, plan.kills or 200, plan.seed, tell))


def crashes_on_postgresql(plan: Plan, tell: Tell) -> Outcome:
    """Kill the server on PostgreSQL."""
    with _folder() as folder, _on_postgresql(folder) as (server, _):
        return asyncio.run(crash(server, plan.kills or 50, plan.seed, tell))


def full_disk(plan: Plan, tell: Tell) -> Outcome:
    """Fill the disk of the embedded database; raises `CannotMountError` where that takes more rights."""
    with (
        _folder() as folder,
        small_disk(folder / "data", DISK_MEGABYTES) as disk,
        _server(folder, is_troubled=True) as server,
    ):
        return asyncio.run(
            outage(server, plan.outage_seconds, plan.seed, tell, begin=disk.fill, end=disk.relieve)
        )


def halted_postgresql(plan: Plan, tell: Tell) -> Outcome:
    """Let PostgreSQL stand still: connections stay open and nothing answers."""
    with _folder() as folder, _on_postgresql(folder, is_troubled=True) as (server, database):
        return asyncio.run(
            outage(server, plan.outage_seconds, plan.seed, tell, begin=database.halt, end=database.go_on)
        )


def stopped_postgresql(plan: Plan, tell: Tell) -> Outcome:
    """Stop PostgreSQL in the way of an administrator: connections break and nobody listens."""
    with _folder() as folder, _on_postgresql(folder, is_troubled=True) as (server, database):
        return asyncio.run(
            outage(server, plan.outage_seconds, plan.seed, tell, begin=database.stop, end=database.start)
        )


def backups(plan: Plan, tell: Tell) -> Outcome:
    """Make backups under load, a third as many as there would be kills, and restore each."""
    with _folder() as folder, _server(folder) as server:
        return asyncio.run(back_up(server, folder, max(1, (plan.kills or 30) // 3), plan.seed, tell))


def moves(plan: Plan, tell: Tell) -> Outcome:
    """Move to each kind of database, and kill each move twice."""
    with _folder() as folder:
        return move_around(folder, plan.messages, plan.seed, tell)


PHASES = {
    "crashes-sqlite": Phase("kill -9 at random moments under load, on SQLite", crashes_on_sqlite),
    "crashes-postgresql": Phase("kill -9 at random moments under load, on PostgreSQL", crashes_on_postgresql),
    "full-disk": Phase("the disk is full for a while, under load", full_disk),
    "halted-postgresql": Phase("PostgreSQL does not answer for a while, under load", halted_postgresql),
    "stopped-postgresql": Phase("PostgreSQL is stopped for a while, under load", stopped_postgresql),
    "backups": Phase("backups are made under load, and restored elsewhere", backups),
    "moves": Phase("SQLite to PostgreSQL to MariaDB to SQLite, kill -9 twice on each way", moves),
}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tidings-faults-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def _server(folder: Path, *, configuration: str = "", is_troubled: bool = False) -> Iterator[ServerProcess]:
    """Run a server; it must leave in order, and with no error in its log unless its database has trouble."""
    configuration += _UNLIMITED
    server = ServerProcess.start(folder, extra_configuration=configuration, environment=_QUIET)
    try:
        yield server
    except BaseException:
        server.kill()
        raise
    if is_troubled:
        server.stop_troubled()
    else:
        server.stop()


@contextlib.contextmanager
def _on_postgresql(folder: Path, *, is_troubled: bool = False) -> Iterator[tuple[ServerProcess, Postgresql]]:
    with own_postgresql(is_durable=True) as database:
        url = database.url(database.create_database())
        with _server(
            folder, configuration=f'\n[database]\nurl = "{url}"\n', is_troubled=is_troubled
        ) as server:
            yield server, database
