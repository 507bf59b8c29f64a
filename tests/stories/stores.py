"""The stores that machines run on, and how a machine is run."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Protocol

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tidings.adapters.memory import MemoryStores
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger, open_memory_ledger
from tidings.adapters.sql.stores import SqlStores
from tidings.ports.stores import Stores


class _Timed(Protocol):
    folder: Path

    def now(self) -> int: ...


class InMemory:
    """SQLite in memory, which answers at once."""

    stores: MemoryStores | None = None

    async def open(self: _Timed) -> Stores:
        if self.stores is None:
            ledger = await open_memory_ledger(now=self.now)
            self.stores = MemoryStores(ledger, ledger.close)
        return self.stores


class OnDisk:
    """A file of SQLite, which every server opens anew."""

    stores: SqlStores | None = None

    async def open(self: _Timed) -> Stores:
        file = self.folder / "tidings.db"
        if self.stores is None:
            shutil.copy(self.folder / "empty.db", file)
        else:
            await self.stores.close()
        database = await open_database(f"sqlite:///{file}", readers=1)
        self.stores = SqlStores(database, SqlLedger(database, now=self.now))
        return self.stores

    def close(self: _Timed) -> None:
        for file in self.folder.glob("tidings.db*"):
            file.unlink()


async def _make_empty(file: Path) -> None:
    await (await open_database(f"sqlite:///{file}", readers=1)).close()


def run_machine(machine: type[RuleBasedStateMachine], examples: int, folder: Path) -> None:
    """Run a machine that has a runner and a folder, as often as the environment says."""
    with asyncio.Runner() as runner:
        runner.run(_make_empty(folder / "empty.db"))
        machine.runner, machine.folder = runner, folder
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=int(os.environ.get("MACHINE_EXAMPLES", examples)),
                stateful_step_count=int(os.environ.get("MACHINE_STEPS", "40")),
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
