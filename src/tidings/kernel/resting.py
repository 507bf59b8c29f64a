"""Resting: connections give back the memory that only reading needs, some seconds after they were used.

An expat costs 9 kB, and most connections are silent most of the time. Whoever has received something is put
to rest once, at the end of the present span, some hundred at a time; to wake up costs microseconds. A server
without traffic has no timer.
"""

from __future__ import annotations

from typing import Protocol

from tidings.kernel.clock import Clock

_SPAN = 5.0
_AT_ONCE = 500


class Sleeper(Protocol):
    """Something that can give back memory until it is used again."""

    def rest(self) -> None:
        """Give it back."""
        ...


class Resting:
    """Collects who was used, and lets them rest together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._used: list[Sleeper] = []
        self._tired: list[Sleeper] = []

    def used(self, sleeper: Sleeper) -> None:
        """Note that it has received something; once until it is put to rest."""
        if not self._used:
            self._clock.call_later(_SPAN, self._rest)
        self._used.append(sleeper)

    def _rest(self) -> None:
        used, self._used = self._used, []
        self._tired += used
        self._rest_some()

    def _rest_some(self) -> None:
        tired = self._tired
        if len(tired) > _AT_ONCE:
            self._clock.call_later(0, self._rest_some)
        some = tired[-_AT_ONCE:]
        del tired[-_AT_ONCE:]
        for sleeper in some:
            sleeper.rest()
