"""Contexts for operations: on the database alone, and on a running server."""

import pytest

from tests.harness.clock import VirtualClock
from tidings.adapters.memory import MemoryStores
from tidings.operations.context import Context, Live

DOMAINS = ("localhost", "other.test", "anon.test")


@pytest.fixture
def context():
    """Give a context without a running server."""
    return Context(
        domains=DOMAINS, stores=MemoryStores(), clock=VirtualClock(), anonymous=frozenset({"anon.test"})
    )


@pytest.fixture
def live(world):
    """Give a context on the running server `world`."""
    return Context(
        domains=tuple(world.server.hosts),
        stores=world.stores,
        clock=world.clock,
        live=Live(world.server.hosts, world.router, world.server.started),
    )
