"""`server statistics`: what the server did since the last answer, and who was busiest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError


class Looking:
    """Reads the answers, one each time that the time of the world has passed."""

    def __init__(self, world: World, answers: AsyncIterator[Any]) -> None:
        self._world = world
        self._answers = answers
        self._next = asyncio.ensure_future(anext(answers))

    async def after(self, seconds: float) -> Any:
        await self._world.advance(seconds)
        answer = await self._next
        self._next = asyncio.ensure_future(anext(self._answers))
        await self._world.settle()
        return answer

    async def close(self) -> None:
        self._next.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._next


@pytest.fixture
async def looking(world: World, live: Context) -> AsyncIterator[Looking]:
    answers = CATALOGUE.stream(live, "server", "statistics", {"interval": 2, "count": 0})
    await anext(answers)
    looking = Looking(world, answers)
    await world.settle()
    yield looking
    waiting = world.clock.waiting
    await looking.close()
    assert world.clock.waiting == waiting - 1  # it waits no longer than somebody reads


async def test_rates_are_those_since_the_last_answer(world: World, looking: Looking) -> None:
    alice, bob = await world.online("alice@localhost/x"), await world.online("bob@localhost/y")
    for _ in range(10):
        await alice.send("<message to='bob@localhost' type='chat'><body>hi</body></message>")
    assert len(bob.take("message")) == 10
    first = await looking.after(2)
    assert first.messages_received == 5
    assert first.transactions >= 5
    assert first.transaction_milliseconds > 0
    assert first.sessions == 2
    assert first.memory_octets > 10_000_000
    second = await looking.after(2)
    assert (second.messages_received, second.stanzas_received) == (0, 0)
    assert (second.transaction_milliseconds is None) == (second.transactions == 0)


async def test_the_busiest_accounts_come_first(world: World, looking: Looking) -> None:
    loud = [await world.login("loud@localhost/x"), await world.login("loud@localhost/y")]
    quiet = await world.login("quiet@localhost/z")
    await world.login("silent@localhost/z")
    for client, times in ((loud[0], 6), (loud[1], 4), (quiet, 2)):
        for _ in range(times):
            await client.send("<message to='nobody@localhost' type='chat'><body>hi</body></message>")
    answer = await looking.after(2)
    assert [(each.user, each.received) for each in answer.busiest] == [
        (Jid("loud@localhost"), 5),
        (Jid("quiet@localhost"), 1),
    ]
    await quiet.send("<message to='nobody@localhost' type='chat'><body>hi</body></message>")
    answer = await looking.after(2)
    assert [each.user for each in answer.busiest] == [Jid("quiet@localhost")]


async def test_those_who_do_not_read_are_named_the_slowest_first(world: World, looking: Looking) -> None:
    slow, slower = await world.login("a@localhost/slow"), await world.login("b@localhost/slower")
    await world.login("c@localhost/quick")
    slow.unread, slower.unread = 1_000, 90_000
    answer = await looking.after(2)
    assert [(each.session.resource, each.octets) for each in answer.slowest] == [
        ("slower", 90_000),
        ("slow", 1_000),
    ]


async def test_one_answer_comes_at_once_and_tells_of_the_time_since_the_start(
    world: World, live: Context
) -> None:
    alice = await world.login("alice@localhost/x")
    await alice.send("<message to='alice@localhost/x' type='chat'/>")
    await world.advance(10)
    [answer] = [each async for each in CATALOGUE.stream(live, "server", "statistics", {})]
    assert (answer.uptime_seconds, answer.messages_received) == (10, 0.1)
    assert [(each.user, each.received) for each in answer.busiest] == [(Jid("alice@localhost"), 0.1)]


async def test_it_is_for_those_who_run_the_server(live: Context) -> None:
    boss = live.acting_for(Caller.administrator(Jid("boss@localhost"), "localhost"))
    with pytest.raises(OperationError, match="may not call server statistics"):
        await anext(CATALOGUE.stream(boss, "server", "statistics", {}))
