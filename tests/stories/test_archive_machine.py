"""Whatever people, connections and the server do: archives, inboxes and devices agree with a plain model.

`MACHINE_EXAMPLES` and `MACHINE_STEPS` in the environment make a long run of it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stories.machine import Machine
from tidings.adapters.memory import MemoryStores
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger, open_memory_ledger
from tidings.adapters.sql.stores import SqlStores
from tidings.ports.stores import Stores


class MachineInMemory(Machine):
    """SQLite in memory, which answers at once."""

    stores: MemoryStores | None = None

    async def open(self) -> Stores:
        if self.stores is None:
            ledger = await open_memory_ledger(now=self.now)
            self.stores = MemoryStores(ledger, ledger.close)
        return self.stores


class MachineOnDisk(Machine):
    """A file of SQLite, which every server opens anew."""

    stores: SqlStores | None = None

    async def open(self) -> Stores:
        file = self.folder / "tidings.db"
        if self.stores is None:
            shutil.copy(self.folder / "empty.db", file)
        else:
            await self.stores.close()
        database = await open_database(f"sqlite:///{file}", readers=1)
        self.stores = SqlStores(database, SqlLedger(database, now=self.now))
        return self.stores

    def close(self) -> None:
        for file in self.folder.glob("tidings.db*"):
            file.unlink()


async def _make_empty(file: Path) -> None:
    await (await open_database(f"sqlite:///{file}", readers=1)).close()


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("machine", "examples"), [(MachineInMemory, 30), (MachineOnDisk, 6)])
def test_all_agree_with_the_model(machine: type[Machine], examples: int, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        runner.run(_make_empty(tmp_path / "empty.db"))
        machine.runner, machine.folder = runner, tmp_path
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=int(os.environ.get("MACHINE_EXAMPLES", examples)),
                stateful_step_count=int(os.environ.get("MACHINE_STEPS", "40")),
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
