"""What the SQL adapter promises of reads: none waits for those of somebody else that take long."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from tests.contracts.ledger_stories import ALICE, BOB
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger.read_share import MOST, ReadShare


async def test_one_archive_has_two_reads_at_a_time_and_no_other_waits() -> None:
    share, end = ReadShare(), asyncio.Event()
    begun: list[str] = []

    async def read(archive: str) -> None:
        async with share.turn(archive):
            begun.append(archive)
            await end.wait()

    greedy = [asyncio.create_task(read(ALICE)) for _ in range(50)]
    await asyncio.sleep(0)
    other = asyncio.create_task(read(BOB))
    await asyncio.sleep(0)
    assert begun == [ALICE] * MOST + [BOB]
    greedy[MOST].cancel()  # who waits no more leaves nothing behind
    end.set()
    await asyncio.gather(*greedy, other, return_exceptions=True)
    assert begun.count(ALICE) == 49
    assert len(share) == 0


async def test_a_short_read_never_waits_for_long_ones(tmp_path: Path) -> None:
    """A log-in asks for an account while everybody pages through large archives."""
    database = await open_database(f"sqlite:///{tmp_path / 'tidings.db'}")
    end = threading.Event()
    long = [asyncio.create_task(database.read(lambda _: end.wait(), is_long=True)) for _ in range(20)]
    await asyncio.sleep(0)
    for _ in range(20):
        assert await database.read(lambda _: "an account") == "an account"
    assert not any(task.done() for task in long)
    end.set()
    assert await asyncio.gather(*long) == [True] * 20
    await database.close()
