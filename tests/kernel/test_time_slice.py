"""So much is done in a turn of the event loop as a slice of time allows, and the rest in order after it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from tests.harness.clock import VirtualClock
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.directory import Directory
from tidings.kernel.flushing import Flushing
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.time_slice import SLICE_SECONDS, TimeSlice

COUNT = 40


class People:
    """A kind of entity that all exist, after a while."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[Jid] = asyncio.Queue()
        self.may_answer = asyncio.Event()

    async def exists(self, jid: Jid) -> bool:
        self.asked.put_nowait(jid)
        await self.may_answer.wait()
        return True

    def make(self, jid: Jid, *, exists: bool) -> Account:
        return Account(jid, exists=exists)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def in_each_turn(done: list[int]) -> list[int]:
    """Give how much has been done by each turn of the loop, until all is."""
    beats = [len(done)]
    while len(done) < COUNT:
        await asyncio.sleep(0)
        beats.append(len(done))
    return beats


def steps(beats: list[int]) -> Iterator[int]:
    return (after - before for before, after in itertools.pairwise(beats))


async def test_what_takes_long_is_done_one_in_a_turn_and_in_order(clock: VirtualClock) -> None:
    line, done = TimeSlice(clock.monotonic), []

    async def work(number: int) -> None:
        await until_done(line.turn())
        clock.advance(SLICE_SECONDS)
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(COUNT)]
    assert max(steps(await in_each_turn(done))) == 1
    assert done == list(range(COUNT))
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("fits", [1, 4])
async def test_so_much_is_done_in_a_turn_as_the_slice_has_time_for(clock: VirtualClock, fits: int) -> None:
    line, done = TimeSlice(clock.monotonic), []

    def work(number: int) -> None:
        clock.advance(SLICE_SECONDS / fits + 1e-6)
        done.append(number)

    for number in range(COUNT):
        line.do(lambda number=number: work(number))  # type: ignore[misc]
    assert len(done) == fits
    assert max(steps(await in_each_turn(done))) == fits
    assert done == list(range(COUNT))


async def test_what_takes_no_time_waits_for_nothing(clock: VirtualClock) -> None:
    line = TimeSlice(clock.monotonic)
    assert [line.turn() for _ in range(1_000)] == [None] * 1_000


async def test_nothing_overtakes_what_waits(clock: VirtualClock) -> None:
    line, done = TimeSlice(clock.monotonic), []

    async def wait() -> None:
        await until_done(mine)
        done.append(0)

    line.do(lambda: clock.advance(SLICE_SECONDS))
    mine = line.turn()
    task = asyncio.create_task(wait())
    line.do(lambda: done.append(1))
    assert done == []
    while len(done) < 2:
        await asyncio.sleep(0)
    assert done == [0, 1]
    await task


@pytest.mark.parametrize("turns", range(6))
async def test_who_gives_up_takes_nobodys_turn(clock: VirtualClock, turns: int) -> None:
    line, done = TimeSlice(clock.monotonic), []

    async def work(number: int) -> None:
        await until_done(line.turn())
        clock.advance(SLICE_SECONDS)
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert [number for number in done if number != 1] == [0, 2, 3]


async def test_what_was_written_on_many_connections_goes_out_in_slices(clock: VirtualClock) -> None:
    telemetry = Telemetry(clock.monotonic)
    flushing, done = Flushing(clock.monotonic, Supervisor(telemetry)), []

    def flush(number: int) -> None:
        if number == 1:
            raise ValueError("a bug of one connection")
        clock.advance(SLICE_SECONDS / 2 + 1e-6)
        done.append(number)

    for number in range(COUNT + 1):
        flushing.put(lambda number=number: flush(number))  # type: ignore[misc]
    assert done == []  # what else is written in this turn goes with it
    assert max(steps(await in_each_turn(done))) == 2
    assert done == [0, *range(2, COUNT + 1)]
    assert telemetry.bugs["flush"] == 1


async def test_of_many_whose_time_is_over_those_come_back_who_wait_for_their_end() -> None:
    world = await World.start()
    clients = [await world.login(f"user{number}@localhost/phone") for number in range(COUNT)]
    for client in clients:
        await client.manage()
        await client.lose()
    world.clock.per_look = 1.01 * SLICE_SECONDS
    world.clock.advance(301)
    back = await world.resume(clients[-1])
    assert isinstance(back, WorldClient)
    async with asyncio.timeout(10):
        while world.server.session_count > 1:
            await asyncio.sleep(0)
    assert [client.session.ended for client in clients] == [*[True] * (COUNT - 1), False]
    await back.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert [answer.get("id") for answer in back.take("iq")] == ["p"]
    await world.stop()


async def test_of_many_who_wait_for_the_same_entity_one_goes_on_in_a_turn(clock: VirtualClock) -> None:
    people = People()
    directory: Directory[Account] = Directory(people, 10, None, TimeSlice(clock.monotonic))
    clock.per_look = 1.01 * SLICE_SECONDS
    done: list[int] = []

    async def work(number: int) -> None:
        assert (await directory.load(Jid("alice@localhost"))).exists
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(COUNT)]
    while people.asked.empty():
        await asyncio.sleep(0)
    people.may_answer.set()
    assert max(steps(await in_each_turn(done))) <= 2  # who loads it waits for nobody, and one of the others
    assert done == list(range(COUNT))
    await asyncio.gather(*tasks)
    assert people.asked.qsize() == 1
