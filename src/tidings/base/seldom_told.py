"""SeldomTold: keeps strangers from filling the log, by telling of each of them now and then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_TOLD: Final = 1_000
"""So many are remembered; of others the log may tell sooner."""


class SeldomTold:
    """Says when the log is to tell of somebody again."""

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        """`seconds` lie between two lines about the same."""
        self._seconds = seconds
        self._now = now
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """When each was told of last, and how often it was passed over since."""

    def kept_quiet(self, who: str) -> int | None:
        """Give how often it was passed over since it was told of last; None to pass over it again."""
        now = self._now()
        told, count = self._told.pop(who, (now - self._seconds, 0))
        if now - told < self._seconds:
            self._told[who] = told, count + 1
            return None
        self._told[who] = now, 0
        if len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        return count

    def __len__(self) -> int:
        return len(self._told)
