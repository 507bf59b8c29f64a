"""SeldomTold: keeps strangers from filling the log, by telling of each of them now and then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_TOLD: Final = 1_000
"""So many are remembered; of others the log may tell sooner."""


class SeldomTold:
    """Says when the log is to tell of somebody again."""

    def __init__(
        self, seconds: float, now: Callable[[], float], *, at_once: int = 1, most: int | None = None
    ) -> None:
        """In so many `seconds` there are `at_once` lines about the same, and `most` about all together."""
        self._seconds = seconds
        self._now = now
        self._at_once = at_once
        self._most = most
        self._since = now()
        self._lines = 0
        """So many lines were told of all since then."""
        self._told: OrderedDict[str, tuple[float, int, int]] = OrderedDict()
        """Since when how many lines told of each, and how often it was passed over."""

    def kept_quiet(self, who: str) -> int | None:
        """Give how often it was passed over since it was told of last; None to pass over it again."""
        now = self._now()
        if now - self._since >= self._seconds:
            self._since, self._lines = now, 0
        since, lines, passed = self._told.pop(who, (now, 0, 0))
        if now - since >= self._seconds:
            since, lines = now, 0
        is_told = lines < self._at_once and (self._most is None or self._lines < self._most)
        if is_told:
            self._lines += 1
            self._told[who] = since, lines + 1, 0
        else:
            self._told[who] = since, lines, passed + 1
        if len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        return passed if is_told else None

    def __len__(self) -> int:
        return len(self._told)
