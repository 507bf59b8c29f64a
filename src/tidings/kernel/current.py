"""Current: the options of a feature as they are at this moment; a reload puts others in their place."""

from __future__ import annotations

from typing import Generic, TypeVar

Options = TypeVar("Options")


class Current(Generic[Options]):
    """Holds what is configured now; whoever needs an option reads it here each time, and keeps no copy."""

    __slots__ = ("now",)

    def __init__(self, now: Options) -> None:
        self.now = now
