"""A ledger that answers when a test says so: what a slow database looks like to the router."""

from __future__ import annotations

import asyncio

from tidings.base.errors import BackendError
from tidings.ports.ledger import Batch, Receipt


class SlowLedger:
    """The ledger port; every commit waits in `waiting` until `accept` or `fail`."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.waiting: list[asyncio.Future[Receipt]] = []

    def commit(self, batch: Batch) -> asyncio.Future[Receipt]:
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.batches.append(batch)
        self.waiting.append(future)
        return future

    def accept(self) -> None:
        """Let the oldest commit succeed."""
        self.waiting.pop(0).set_result(Receipt())

    def fail(self, error: Exception | None = None) -> None:
        """Let the oldest commit fail."""
        self.waiting.pop(0).set_exception(error or BackendError("the disk is full"))

    @property
    def ids(self) -> list[list[str | None]]:
        """The ids of the messages of all commits so far."""
        return [[append.stanza.id for append in batch] for batch in self.batches]
