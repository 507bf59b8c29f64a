"""kill -9 at random moments under load, again and again, on one data directory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.book import Fate
from tests.faults.population import Population
from tests.harness.server_process import ServerProcess

Tell = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    counts: dict[str, int | float] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, population: Population, **counts: float) -> Outcome:
        """Count what happened."""
        book, devices = population.book, population.devices
        return cls(
            {
                **counts,
                "messages acknowledged": book.count(Fate.ACKNOWLEDGED),
                "messages refused for good": book.count(Fate.REFUSED),
                "messages refused, then sent again": sum(
                    each.was_refused and each.fate is Fate.ACKNOWLEDGED for each in book.sent.values()
                ),
                "markers among them": sum(bool(each.target) for each in book.sent.values()),
                "messages to rooms acknowledged": sum(
                    len(each.archives) == 1 and each.fate is Fate.ACKNOWLEDGED for each in book.sent.values()
                ),
                "entries in all archives": sum(map(len, population.archives.values())),
                "joins and leaves in archives of rooms": sum(
                    bool(entry.members) for archive in population.archives.values() for entry in archive
                ),
                "deliveries": sum(len(device.arrived) for device in devices),
                "deliveries in rooms": sum(
                    len(arrived) for device in devices for arrived in device.rooms.arrived.values()
                ),
                "deliveries repeated with the same id": sum(
                    device.repeats + device.rooms.repeats for device in devices
                ),
                "log-ins": sum(device.logins for device in devices),
                "resumptions": sum(device.resumptions for device in devices),
                "returns by sync": sum(device.rooms.syncs for device in devices),
                "audits": population.audits,
                "violations": len(book.violations),
            },
            book.violations,
        )


async def crash(server: ServerProcess, kills: int, seed: int, tell: Tell) -> Outcome:
    """Kill the server that often while everybody writes; audit after every restart but the quickest."""
    chance = random.Random(seed)
    population = Population(server, chance)
    done = 0
    try:
        await population.arrive()
        while done < kills and not population.book.violations:
            population.press()
            await asyncio.sleep(chance.uniform(0.02, 0.7))
            server.kill()
            done += 1
            while done < kills and chance.random() < 0.2:
                # Once more while the devices log in, catch up and send again.
                await asyncio.to_thread(server.start_again)
                await asyncio.sleep(chance.uniform(0.0, 0.4))
                server.kill()
                done += 1
            await asyncio.to_thread(server.start_again)
            await _audit(population, chance)
            tell(f"{done} kills, {population.book.count(Fate.ACKNOWLEDGED):,} messages acknowledged")
        await population.audit_from_the_start()
    finally:
        await population.leave()
    return Outcome.of(population, kills=done)


async def _audit(population: Population, chance: random.Random) -> None:
    """Settle and audit, and let some devices leave in order, as people do."""
    await population.settle()
    await population.audit()
    for device in population.devices:
        if chance.random() < 0.15:
            await device.leave_in_order()
