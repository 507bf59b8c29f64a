"""Pace: how many stanzas and octets a client may send in a second, and how long it is not read from.

Two buckets are filled evenly, up to what a burst may have. Whoever has emptied one is not read from until it
is filled again as far as it was overdrawn: that slows a client down, and ends nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tidings.kernel.clock import Clock

if TYPE_CHECKING:
    from tidings.kernel.clock import Timer


class PaceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may send; 0 is no limit."""

    stanzas: int = 5_000
    """In a second."""
    octets: int = 8 * 1024 * 1024
    """In a second."""
    burst_seconds: float = 10.0
    """So much of that may come at once, by who has sent nothing for as long."""


UNPACED: Final = PaceLimits(stanzas=0, octets=0)
"""Before log-in, where a stream has limits of another kind."""


class Source(Protocol):
    """What is read from."""

    def pause(self) -> None:
        """Read nothing for now."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...


class PacedReading:
    """Reads from one client, as long as neither its sender nor who takes it wants a pause."""

    __slots__ = ("_clock", "_is_paused", "_limits", "_octets", "_since", "_source", "_stanzas", "_timer")

    def __init__(self, source: Source, clock: Clock, limits: PaceLimits) -> None:
        self._source = source
        self._clock = clock
        self._limits = limits
        self._since = clock.monotonic()
        self._stanzas = _most(limits.stanzas, limits)
        self._octets = _most(limits.octets, limits)
        self._is_paused = False
        self._timer: Timer | None = None

    def came(self, stanzas: int, octets: int) -> None:
        """Take what has come out of the buckets; read no more for a while from who has sent too much."""
        self._stanzas -= stanzas
        self._octets -= octets
        if (self._stanzas < 0 or self._octets < 0) and self._timer is None:
            seconds = self._fill(stanzas, octets)
            if seconds:
                self._source.pause()
                self._timer = self._clock.call_later(seconds, self._go_on)

    def pause(self) -> None:
        """Read nothing: who takes it cannot follow."""
        self._is_paused = True
        self._source.pause()

    def resume(self) -> None:
        """Read again, as soon as the client may be read from."""
        self._is_paused = False
        if self._timer is None:
            self._source.resume()

    def stop(self) -> None:
        """Have no more to do with it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        self._timer = None
        if not self._is_paused:
            self._source.resume()

    def _fill(self, stanzas: int, octets: int) -> float:
        """Fill the buckets as they had to be before this came; tell for how many seconds not to read."""
        limits = self._limits
        now = self._clock.monotonic()
        passed, self._since = now - self._since, now
        before = (
            self._stanzas + stanzas + limits.stanzas * passed,
            self._octets + octets + limits.octets * passed,
        )
        self._stanzas = min(before[0], _most(limits.stanzas, limits)) - stanzas
        self._octets = min(before[1], _most(limits.octets, limits)) - octets
        return max(_owed(self._stanzas, limits.stanzas), _owed(self._octets, limits.octets))


def _most(rate: int, limits: PaceLimits) -> float:
    return rate * limits.burst_seconds if rate else math.inf


def _owed(left: float, rate: int) -> float:
    return -left / rate if left < 0 else 0.0
