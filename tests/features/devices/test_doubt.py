"""A commit that was given up and took effect all the same: nobody delivered it, so the devices look it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.world import World, WorldClient
from tidings.adapters.sql.ledger import SqlLedger, open_memory_ledger
from tidings.base.errors import BackendError
from tidings.ports.ledger.batch import Committed, LedgerBatch


class Doubtful:
    """A ledger; while it is `silent`, what it stores is not answered in time."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger
        self.silent = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def commit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        future = self._ledger.commit(batch)
        if not self.silent:
            return future
        given_up: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        given_up.set_exception(BackendError("the database does not answer"))
        return given_up


@pytest.fixture
async def doubtful() -> AsyncIterator[tuple[World, Doubtful]]:
    ledger = Doubtful(await open_memory_ledger())
    world = await World.start(ledger=ledger)  # type: ignore[arg-type]  # it is one but for its type
    yield world, ledger
    await world.stop()
    await ledger.close()


def chat(text: str) -> str:
    return f"<message to='bob@localhost' type='chat' id='{text}'><body>{text}</body></message>"


def texts(client: WorldClient) -> list[str | None]:
    return [message.text_of("body") for message in client.take("message")]


async def test_a_live_device_gets_what_was_stored_after_all(doubtful: tuple[World, Doubtful]) -> None:
    world, ledger = doubtful
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/b")
    await alice.send(chat("before"))
    ledger.silent = True
    await alice.send(chat("doubtful"))
    assert [message.get("type") for message in alice.take("message")] == ["error"]
    assert texts(bob) == ["before"]
    ledger.silent = False
    await alice.send(chat("after"))
    await world.advance(5)
    assert texts(bob) == ["doubtful", "after"]
    await alice.send(chat("later"))
    assert texts(bob) == ["later"]


async def test_so_does_one_that_pulls(doubtful: tuple[World, Doubtful]) -> None:
    world, ledger = doubtful
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/b")
    await alice.send(chat("long ago"))
    await bob.request("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
    bob.take()
    ledger.silent = True
    await alice.send(chat("doubtful"))
    ledger.silent = False
    await world.advance(5)
    assert texts(bob) == ["doubtful"]


async def test_what_was_not_stored_changes_nothing(doubtful: tuple[World, Doubtful]) -> None:
    world, ledger = doubtful
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/b")

    def refuse(batch: LedgerBatch) -> asyncio.Future[Committed]:
        raise BackendError("the database is full")

    ledger.commit = refuse  # type: ignore[method-assign]
    await alice.send(chat("lost"))
    del ledger.commit
    await alice.send(chat("kept"))
    await world.advance(5)
    assert texts(bob) == ["kept"]
