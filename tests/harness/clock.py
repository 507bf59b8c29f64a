"""A clock that stands still until a test moves it, or moves a little at each look where a test wants that."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class VirtualTimer:
    def __init__(self, function: Callable[[], object]) -> None:
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        self.function = None


class VirtualClock:
    """Begins on 2026-01-01 and moves by `advance` only."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._start = now
        self._elapsed = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, VirtualTimer]] = []
        self.per_look = 0.0
        """So many seconds pass whenever somebody looks at the monotonic time: all work seems to take long."""

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        self._elapsed += self.per_look
        return self._elapsed

    def call_later(self, seconds: float, function: Callable[[], object]) -> VirtualTimer:
        timer = VirtualTimer(function)
        heapq.heappush(self._timers, (self._elapsed + seconds, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass; timers fire in their order, each at its own time."""
        end = self._elapsed + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, when)
            if timer.function is not None:
                timer.function()
        self._elapsed = end

    def forget(self) -> None:
        """Drop all timers: those who set them are no more."""
        self._timers.clear()

    @property
    def waiting(self) -> int:
        """How many timers wait."""
        return sum(timer.function is not None for _, _, timer in self._timers)

    @property
    def is_idle(self) -> bool:
        """Whether no timer waits."""
        return not self.waiting
