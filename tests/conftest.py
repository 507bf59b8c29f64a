"""What every test may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World

collect_ignore = ["extension"]
"""A package of its own, whose tests run where it is installed: see tests/extending."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Give a server in memory with the domains localhost and other.test and all features."""
    world = await World.start()
    yield world
    await world.stop()
