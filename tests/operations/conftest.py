"""Contexts for operations: on the database alone, and on a running server."""

import pytest

from tests.harness.clock import VirtualClock
from tidings.adapters.memory import MemoryStores
from tidings.kernel.domains import Domains
from tidings.operations.context import Context


@pytest.fixture
def context():
    """Give a context without a running server."""
    domains = Domains.of("localhost", "other.test", "anon.test", anonymous=["anon.test"])
    return Context(domains=domains, stores=MemoryStores(), clock=VirtualClock())


@pytest.fixture
def live(world):
    """Give a context on the running server `world`."""
    return world.context
