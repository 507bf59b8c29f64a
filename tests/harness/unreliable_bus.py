"""A bus whose frames are lost, come late and overtake each other, by a seeded die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tests.harness.clock import VirtualClock
from tidings.adapters.memory.bus import MemoryBusHub


class UnreliableHub:
    """Joins nodes; `loss` of all frames and answers never arrive, the others within `delay` seconds.

    A frame is as likely to overtake those before it as not, since each has a delay of its own.
    """

    def __init__(self, clock: VirtualClock, *, seed: int = 0, loss: float = 0.0, delay: float = 0.0) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self.loss = loss
        self.delay = delay
        self.lost = 0
        self.hub = MemoryBusHub(self._carry, clock.call_later)

    def _carry(self, arrive: Callable[[], None]) -> None:
        if self._random.random() < self.loss:
            self.lost += 1
            return
        if self.delay:
            self._clock.call_later(self._random.uniform(0, self.delay), arrive)
        else:
            asyncio.get_running_loop().call_soon(arrive)
