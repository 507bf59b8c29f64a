"""Histogram: how long something takes, counted in a few buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)
"""The buckets of the ledger's transactions, in seconds: the same in the server and its writer's process."""


class Histogram:
    """Counts durations in seconds; to add one costs a search in a short list."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Iterable[float]) -> None:
        self.bounds = tuple(bounds)
        """The longest duration of each bucket but the last, which takes all that is longer."""
        self.counts = [0] * (len(self.bounds) + 1)
        """How many durations fell into each bucket."""
        self.total = 0.0
        """The sum of all durations."""

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Give each bound, the last one infinite, with how many durations were not longer."""
        count = 0
        for bound, inside in zip((*self.bounds, float("inf")), self.counts, strict=True):
            count += inside
            yield bound, count
