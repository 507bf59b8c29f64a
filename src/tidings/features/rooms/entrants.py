"""Entrants: who wants to enter a room and is not in it yet, and may give it up meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tidings.base.jid import Jid


class Entrant:
    """Somebody who waits to be let in."""

    __slots__ = ("is_gone",)

    def __init__(self) -> None:
        self.is_gone = False
        """Whether he has left before he was in."""


class Entrants:
    """Those who wait to be let into the rooms of one host."""

    def __init__(self) -> None:
        self._coming: dict[tuple[Jid, Jid], list[Entrant]] = {}

    @contextlib.contextmanager
    def coming(self, room: Jid, device: Jid) -> Iterator[Entrant]:
        """Note for the length of a block that a device waits to enter a room."""
        mine, key = Entrant(), (room, device)
        self._coming.setdefault(key, []).append(mine)
        try:
            yield mine
        finally:
            self._coming[key].remove(mine)
            if not self._coming[key]:
                del self._coming[key]

    def leave(self, room: Jid, device: Jid) -> None:
        """Note that a device does not want to enter any more."""
        for entrant in self._coming.get((room, device), ()):
            entrant.is_gone = True
