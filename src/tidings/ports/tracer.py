"""The tracer port: where the server tells how long the steps of something took, for who collects that.

It is called on the event loop, for some messages of many: no method waits, fails, or keeps more than a
bounded amount of memory, whatever becomes of the collector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

Attributes: TypeAlias = Mapping[str, str | int | bool]
"""What is known of a span or an event; their names begin with `tidings.`."""


class Span(Protocol):
    """Something that takes time, from its beginning to its end."""

    def note(self, event: str, attributes: Attributes) -> None:
        """Note that something has happened now."""
        ...

    def follow(self, name: str, since: float, attributes: Attributes) -> None:
        """Tell of a step that belongs to it, began then (seconds since the epoch) and is over now.

        It may come after the end.
        """
        ...

    def end(self, error: str = "") -> None:
        """It is over now, and went well unless there is an error."""
        ...


class Tracer(Protocol):
    """Takes spans and hands them on when they are over."""

    def begin(self, name: str, attributes: Attributes) -> Span:
        """Begin a span, of a trace of its own."""
        ...

    async def close(self) -> None:
        """Hand on what is over, as far as that takes a moment only, and take no more."""
        ...
