"""Resting: connections give back the memory that only reading needs, some seconds after they were used.

An expat costs 9 kB and some microseconds to make, and most connections are silent most of the time. Who
has received nothing for a whole span is put to rest, some hundred at a time. A server without traffic has
no timer.
"""

from __future__ import annotations

from typing import Protocol

from tidings.kernel.clock import Clock

_SPAN = 3.0
_AT_ONCE = 500


class Sleeper(Protocol):
    """Something that can give back memory until it is used again."""

    def nod_off(self) -> bool:
        """Give it back, unless it was used since it was asked last; tell whether it sleeps now."""
        ...


class Resting:
    """Collects who is awake, and lets those rest who are not used."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._awake: list[Sleeper] = []
        self._is_armed = False

    def wakes(self, sleeper: Sleeper) -> None:
        """Note that it is used again; once until it sleeps."""
        self._awake.append(sleeper)
        if not self._is_armed:
            self._is_armed = True
            self._clock.call_later(_SPAN, self._begin)

    def _begin(self) -> None:
        self._ask(len(self._awake))

    def _ask(self, left: int) -> None:
        """Ask those who were awake when the span ended, the oldest first; the rest has time."""
        asked = self._awake[: min(left, _AT_ONCE)]
        del self._awake[: len(asked)]
        self._awake += [sleeper for sleeper in asked if not sleeper.nod_off()]
        if left > len(asked):
            self._clock.call_later(0, lambda: self._ask(left - len(asked)))
        elif self._awake:
            self._clock.call_later(_SPAN, self._begin)
        else:
            self._is_armed = False
