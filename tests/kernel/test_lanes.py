"""What is sent on a lane comes once, in its order, whatever the bus does to it."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.harness.clock import VirtualClock
from tests.harness.unreliable_bus import UnreliableHub
from tidings.kernel.cluster import Cluster
from tidings.kernel.lanes import Lanes
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.ports.bus import Handled


class End:
    """One node's end, and what has come there."""

    def __init__(self, hub: UnreliableHub, clock: VirtualClock, node: str) -> None:
        supervisor = Supervisor(Telemetry(clock.monotonic))
        self.lanes = Lanes(Cluster(hub.hub.join(node), {}, clock, supervisor), clock, supervisor)
        self.lanes.takes(Handled, self._take)
        self.lanes.when_broken.append(self._broken)
        self.got: list[int] = []
        self.broken: list[str] = []

    def _take(self, _node: str, item: Handled) -> None:
        self.got.append(item.pass_id)

    def _broken(self, node: str) -> None:
        self.broken.append(node)


async def run(clock: VirtualClock, seconds: float) -> None:
    for _ in range(round(seconds / 0.05)):
        clock.advance(0.05)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_lost_doubled_or_late_comes_once_in_order(seed: int) -> None:
    clock = VirtualClock()
    hub = UnreliableHub(clock, seed=seed, loss=0.3, delay=0.5)
    one, two = End(hub, clock, "one"), End(hub, clock, "two")
    dice = random.Random(seed)
    for number in range(100):
        one.lanes.send("two", Handled(number))
        two.lanes.send("one", Handled(1000 + number))
        if dice.random() < 0.5:
            await run(clock, dice.choice((0.05, 0.3)))
    await run(clock, 20)
    assert hub.lost
    assert two.got == list(range(100))
    assert one.got == list(range(1000, 1100))
    assert not one.broken
    assert not two.broken


async def test_a_node_that_is_silent_for_long_breaks_the_lane_and_both_are_told() -> None:
    clock = VirtualClock()
    hub = UnreliableHub(clock)
    one, two = End(hub, clock, "one"), End(hub, clock, "two")
    one.lanes.send("two", Handled(1))
    await run(clock, 1)
    hub.loss = 1.0
    one.lanes.send("two", Handled(2))
    one.lanes.send("two", Handled(3))
    await run(clock, 30)
    assert (one.broken, two.got) == (["two"], [1])
    hub.loss = 0.0
    one.lanes.send("two", Handled(4))
    await run(clock, 1)
    assert two.got == [1, 4]
    assert two.broken == ["one"]
