"""The clock of the running server: the only place that time and timers come from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from tidings.base.clock import TimeSource


class Timer(Protocol):
    """Something that will happen unless it is cancelled."""

    def cancel(self) -> None:
        """Make it not happen; harmless when it has."""
        ...


class Clock(TimeSource, Protocol):
    """Tells the time and calls back when some has passed."""

    def call_later(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call the function once, that many seconds from now."""
        ...


class SystemClock:
    """The machine's clock and the event loop's timers."""

    def now(self) -> float:
        """Give the seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Give seconds that never run backwards."""
        return time.monotonic()

    def call_later(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call the function once from the running event loop."""
        return asyncio.get_running_loop().call_later(seconds, function)
