"""The bell of the feed: wakes those who sleep until there is something new.

The ledger's writer rings it for every transaction, from any thread. While nobody sleeps that costs two
comparisons; sleepers are woken together, on the event loop, and sleep again when they have read all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tidings.ports.ledger import LedgerState

Wake = Callable[[], object]


class FeedBell:
    """Wakes sleepers when the feed grows, and others when something waits in the outbox."""

    def __init__(self, state: LedgerState) -> None:
        self._state = state
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sleepers: dict[Wake, None] = {}
        self._on_outbox: list[Wake] = []
        self._sent = 0
        self._is_rung = False

    def start(self) -> None:
        """Listen to the ledger; on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._state.on_feed = self._ring

    def stop(self) -> None:
        """Wake nobody any more."""
        self._loop = None
        self._sleepers.clear()

    def sleep_until(self, feed: int, wake: Wake) -> None:
        """Call this once, when there is a transaction with this number or a later one; perhaps at once."""
        if self._state.feed >= feed:
            wake()
        else:
            self._sleepers[wake] = None

    def on_outbox(self, wake: Wake) -> None:
        """Call this whenever something new waits in the outbox."""
        self._on_outbox.append(wake)

    def _ring(self, feed: int) -> None:  # noqa: ARG002  # all that is new is told
        if self._is_rung or (not self._sleepers and self._state.sent == self._sent):
            return
        loop = self._loop
        if loop is not None and not loop.is_closed():
            self._is_rung = True
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_rung = False
        sleepers, self._sleepers = self._sleepers, {}
        for wake in sleepers:
            wake()
        if self._state.sent != self._sent:
            self._sent = self._state.sent
            for wake in self._on_outbox:
                wake()
