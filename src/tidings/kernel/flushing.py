"""Flushing: what was written on many connections goes out, a slice of it in each turn of the event loop.

A message for a room of thousands is written on thousands of connections at once. To hand it to their sockets
takes most of the time that it costs, and everybody else would wait for the last of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tidings.kernel.supervisor import Supervisor
from tidings.kernel.time_slice import SLICE_SECONDS


class Flushing:
    """The connections on which something was written that has not been handed to their sockets."""

    def __init__(self, monotonic: Callable[[], float], supervisor: Supervisor) -> None:
        """Begin; `monotonic` is that of the clock."""
        self._monotonic = monotonic
        self._supervisor = supervisor
        self._due: deque[Callable[[], object]] = deque()
        self._is_scheduled = False

    def put(self, flush: Callable[[], object]) -> None:
        """Call this in the next turn of the event loop, or in one after it, in order."""
        self._due.append(flush)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        due = self._due
        end = self._monotonic() + SLICE_SECONDS
        for _ in range(len(due)):
            try:
                due.popleft()()
            except Exception as error:  # noqa: BLE001  # one connection, not those behind it
                self._supervisor.report("flush", error)
            if self._monotonic() >= end:
                break
        if due:
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._is_scheduled = False
