"""The database goes away under load and comes back: nothing acknowledged is lost, and service resumes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.faults.book import Fate
from tests.faults.crashes import Outcome, Tell
from tests.faults.population import Population
from tests.harness.server_process import ServerProcess

BESIDE_SECONDS = 2.0
"""How long everybody writes before and after."""

RETURN_SECONDS = 60.0
"""How long it may take until the first message is acknowledged again."""


async def outage(
    server: ServerProcess,
    seconds: float,
    seed: int,
    tell: Tell,
    *,
    begin: Callable[[], None],
    end: Callable[[], None],
) -> Outcome:
    """Let everybody write before, while and after the database is away; then audit."""
    population = Population(server, random.Random(seed))
    book = population.book
    try:
        await population.arrive()
        population.press()
        await asyncio.sleep(BESIDE_SECONDS)
        before = book.count(Fate.ACKNOWLEDGED)
        tell(f"{before:,} messages acknowledged; the database goes away for {seconds:g} s")
        await asyncio.to_thread(begin)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(end)
        away = book.count(Fate.ACKNOWLEDGED)
        refused = sum(each.was_refused for each in book.sent.values())
        tell(f"{away - before:,} acknowledged meanwhile, {refused:,} refused; it is back")
        back = await _first_acknowledgement(population)
        tell(f"acknowledged again after {back:.2f} s")
        await asyncio.sleep(BESIDE_SECONDS)
        await population.settle()
        await population.audit()
        await population.audit_from_the_start()
        if server.process.poll() is not None:
            book.complain("the server has ended")
    finally:
        await population.leave()
    return Outcome.of(population, **{"seconds away": seconds, "seconds to the first answer": round(back, 2)})


async def _first_acknowledgement(population: Population) -> float:
    """Wait until something is acknowledged; tell how long that took."""
    start = time.monotonic()
    before = population.book.count(Fate.ACKNOWLEDGED)
    while population.book.count(Fate.ACKNOWLEDGED) <= before:
        if time.monotonic() > start + RETURN_SECONDS:
            raise AssertionError(f"nothing is acknowledged {RETURN_SECONDS:.0f} s after the database is back")
        await asyncio.sleep(0.01)
    return time.monotonic() - start
