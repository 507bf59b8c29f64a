"""One enters at each turn of the event loop, in order, whoever gives up meanwhile."""

from __future__ import annotations

import asyncio
import itertools

from tidings.features.rooms.entrants import Entrants


async def test_one_goes_in_each_turn_of_the_loop_in_order() -> None:
    entrants, done, beats = Entrants(), [], []

    async def work(number: int) -> None:
        await entrants.turn()
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(20)]
    while len(done) < 20:
        beats.append(len(done))
        await asyncio.sleep(0)
    assert done == list(range(20))
    assert all(after - before <= 1 for before, after in itertools.pairwise(beats))
    await asyncio.gather(*tasks)
    await entrants.turn()  # and nobody has to wait who is alone


async def test_who_gives_up_takes_nobodys_turn() -> None:
    entrants, done = Entrants(), []

    async def work(number: int) -> None:
        await entrants.turn()
        done.append(number)

    for cancel_after in range(6):
        done.clear()
        tasks = [asyncio.create_task(work(number)) for number in range(4)]
        for _ in range(cancel_after):
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert [number for number in done if number != 1] == [0, 2, 3]
