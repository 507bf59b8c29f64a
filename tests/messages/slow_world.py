"""A server over a ledger that answers when a test says so; import the fixtures into a test file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World
from tests.messages.slow_ledger import SlowLedger


async def turns(count: int = 20) -> None:
    """Let the event loop run; commits stay open."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def ledger() -> SlowLedger:
    return SlowLedger()


@pytest.fixture
async def slow(ledger: SlowLedger) -> AsyncIterator[World]:
    world = await World.start(ledger=ledger)
    yield world
    for future in ledger.waiting:
        future.cancel()
    await world.stop()
