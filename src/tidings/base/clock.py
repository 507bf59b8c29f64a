"""Time is asked from a clock, so that tests can hold it still."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Protocol

SECOND: Final = 1_000_000
"""Microseconds in a second."""
MINUTE: Final = 60 * SECOND


class TimeSource(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Give the seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never run backwards, for spans."""
        ...


def microseconds(seconds: float) -> int:
    """Give a time, or a span, as the ledger counts it: in whole microseconds."""
    return round(seconds * SECOND)


def format_utc(seconds: float) -> str:
    """Write a time as XEP-0082 does, with milliseconds where it has any: `2026-01-31T12:00:00.250Z`."""
    moment = datetime.fromtimestamp(round(seconds, 3), UTC)
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
