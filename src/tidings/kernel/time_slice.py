"""Time slice: of what comes all together, a little is done in each turn of the event loop, in order.

The event loop does everything that is due before it looks for what else has come. Where thousands come back,
enter a room or go at the same moment, everybody else would wait for the last of them. What can come in such
numbers has a slice of each turn of the loop, some milliseconds long; what finds no time left waits in line.

Invariants:
- what waits goes on in the order in which it came, and nothing overtakes it;
- each turn of the loop begins something that waits, however long anything else has taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from tidings.kernel.maybe_awaitable import MaybeAwaitable

SLICE_SECONDS: Final = 0.005


class TimeSlice:
    """The part of each turn of the event loop that one kind of work has."""

    __slots__ = ("_end", "_is_begun", "_monotonic", "_waiting")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin; `monotonic` is that of the clock."""
        self._monotonic = monotonic
        self._is_begun = False
        """Whether something was done in this turn of the loop."""
        self._end = 0.0
        self._waiting: deque[Callable[[], object] | asyncio.Future[None]] = deque()

    def has_time(self) -> bool:
        """Tell whether something may be done now: there is time left in this turn, and nobody waits."""
        if self._is_begun:
            return not self._waiting and self._monotonic() < self._end
        self._begin()
        asyncio.get_running_loop().call_soon(self._go_on)
        return True

    def do(self, work: Callable[[], object]) -> None:
        """Call this now if there is time for it, else in a later turn."""
        if self.has_time():
            work()
        else:
            self._waiting.append(work)

    def do_later(self, work: Callable[[], object]) -> None:
        """Call this in a later turn, since there was no time for it."""
        self._waiting.append(work)

    def turn(self) -> MaybeAwaitable:
        """Give what the caller has to wait for before it goes on; None where there is time now.

        What it does then has no end but the next thing that it awaits.
        """
        if self.has_time():
            return None
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        return mine

    def _begin(self) -> None:
        self._is_begun = True
        self._end = self._monotonic() + SLICE_SECONDS

    def _go_on(self) -> None:
        """Go on with what waits, in the turn after the one that had no time for it."""
        waiting = self._waiting
        if not waiting:
            self._is_begun = False
            return
        self._begin()
        try:
            while waiting:
                following = waiting.popleft()
                if not isinstance(following, asyncio.Future):
                    following()
                elif not following.done():  # else nobody waits for it any more
                    following.set_result(None)
                    break  # whoever waited goes on before `_go_on` is called again
                if self._monotonic() >= self._end:
                    break
        finally:
            asyncio.get_running_loop().call_soon(self._go_on)
