"""Entrants: of many who want to enter at once, one is let in at each turn of the event loop.

When thousands come back together after a restart, everybody else is heard between two of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator

from tidings.base.jid import Jid


class Entrant:
    """Somebody who waits to be let in."""

    __slots__ = ("is_gone",)

    def __init__(self) -> None:
        self.is_gone = False
        """Whether he has left before he was in."""


class Entrants:
    """Lets one after another in, in the order in which they asked."""

    def __init__(self) -> None:
        self._coming: dict[tuple[Jid, Jid], list[Entrant]] = {}
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

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

    async def turn(self) -> None:
        """Wait for a turn of one's own, which ends with the next thing that is awaited."""
        loop = asyncio.get_running_loop()
        if self._is_taken:
            mine = loop.create_future()
            self._waiting.append(mine)
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._pass_on()  # it was given to who does not want it any more
                raise
        self._is_taken = True
        loop.call_soon(self._pass_on)

    def _pass_on(self) -> None:
        while self._waiting:
            following = self._waiting.popleft()
            if not following.done():
                following.set_result(None)
                return
        self._is_taken = False
