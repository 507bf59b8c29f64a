"""Attempts: how often people of one network have tried something lately."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

HOUR: Final = 3600.0


class Attempts:
    """Counts attempts by network within a span of time; the memory that this takes is bounded."""

    MOST_NETWORKS = 10_000

    def __init__(self, limit: int, span: float) -> None:
        self.limit = limit
        """How many are allowed within the span, now."""
        self._span = span
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def allow(self, network: str, now: float) -> bool:
        """Count an attempt and tell whether it is within the limit; one beyond it is not counted."""
        if not self.limit:
            return True
        times = self._times.setdefault(network, deque())
        self._times.move_to_end(network)
        while times and times[0] <= now - self._span:
            times.popleft()
        if len(times) >= self.limit:
            return False
        times.append(now)
        if len(self._times) > self.MOST_NETWORKS:
            self._times.popitem(last=False)
        return True
