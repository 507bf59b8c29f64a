"""TokenBucket: how much of something somebody may still do now, where it may be done at a rate.

A bucket is filled evenly, up to what may be done at once. Time passed and rate are arguments, so that options
may change while a bucket stands.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

KEPT: Final = 1_000
"""So many buckets are kept without looking which of them are full again."""


class Rate(NamedTuple):
    """How fast a bucket fills, and how much it holds."""

    per_second: float
    """0 is no limit."""
    at_once: float


class TokenBucket:
    """What is left of one allowance; it begins full."""

    __slots__ = ("left", "since")

    def __init__(self, rate: Rate, now: float) -> None:
        self.left = rate.at_once
        self.since = now

    def take(self, rate: Rate, now: float, count: float = 1, *, spare: float = 0) -> float:
        """Take so many out and give 0; where less than `spare` would be left, give the seconds to wait."""
        left = self.left + (now - self.since) * rate.per_second
        self.since = now
        self.left = left = min(left, rate.at_once)
        if left - count >= spare:
            self.left = left - count
            return 0
        return (spare + count - left) / rate.per_second


class TokenBuckets(Generic[Key]):
    """A bucket for each of many; those that must be full again are forgotten."""

    __slots__ = ("_buckets", "_most")

    def __init__(self) -> None:
        self._buckets: dict[Key, TokenBucket] = {}
        self._most = KEPT

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: Key, rate: Rate, now: float) -> TokenBucket:
        """Give the bucket of one of them."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._most:
                self._forget(rate, now)
            bucket = self._buckets[key] = TokenBucket(rate, now)
        return bucket

    def take(self, key: Key, rate: Rate, now: float, count: float = 1) -> float:
        """Take so many out of one bucket; gives the seconds to wait where there are not so many."""
        return self.of(key, rate, now).take(rate, now, count) if rate.per_second else 0

    def _forget(self, rate: Rate, now: float) -> None:
        filled = now - rate.at_once / rate.per_second
        for key in [key for key, bucket in self._buckets.items() if bucket.since <= filled]:
            del self._buckets[key]
        self._most = max(KEPT, 2 * len(self._buckets))
