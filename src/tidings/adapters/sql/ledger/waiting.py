"""What waits to be written, and what a writer says of itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)

from tidings.adapters.sql.ledger.wanted import Item, Wanted
from tidings.base.histogram import COMMIT_BOUNDS, Histogram
from tidings.ports.ledger.batch import Append, Committed, InboxChange, LedgerBatch, Outcome, ReadMove

Result = Outcome | bool | Exception

OVERHEAD: Final = 500
"""How many octets an item takes beside its body."""

_ROW_ERRORS: Final = (
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
    ArithmeticError,
    TypeError,
    ValueError,
)
"""What one row can cause; anything else concerns the database."""


def is_of_row(error: Exception) -> bool:
    """Tell whether one of the rows may have caused the error."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return False
    return isinstance(error, _ROW_ERRORS)


def octets_of(batch: LedgerBatch) -> int:
    """Tell about how much memory a batch takes."""
    items = (
        len(batch.appends) + len(batch.reads) + len(batch.changes) + len(batch.cursors) + len(batch.events)
    )
    octets = sum([len(append.body) for append in batch.appends]) + OVERHEAD * items
    also = [part for append in batch.appends if append.also for part in append.also]
    return octets + sum([len(part.body) + OVERHEAD for part in also]) if also else octets


class Waiting:
    """A caller's batch on its way."""

    __slots__ = ("future", "items", "loop", "octets", "results", "since")

    def __init__(self, batch: LedgerBatch, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.since = loop.time()
        self.future: asyncio.Future[Committed] = loop.create_future()
        self.items: Sequence[Item] = batch.appends
        if batch.reads or batch.changes or batch.cursors or batch.events:
            self.items = (*batch.appends, *batch.reads, *batch.changes, *batch.cursors, *batch.events)
        self.octets = octets_of(batch)
        self.results: list[Result | None] = [None] * len(self.items)

    def archives(self) -> set[str]:
        """Give the archives that must be locked."""
        return Wanted(self.items).archives

    def is_wanted(self) -> bool:
        """Tell whether anybody still waits."""
        return not self.future.done()

    def open_items(self) -> Iterator[int]:
        """Give the places of the items that are not written yet."""
        return (index for index, result in enumerate(self.results) if result is None)

    def fail(self, error: Exception) -> None:
        """Tell the caller that nobody knows; on its event loop."""
        if not self.future.done():
            self.future.set_exception(error)

    def answer(self) -> None:
        """Tell the caller; on its event loop."""
        if self.future.done():
            return
        results: dict[type, list[Any]] = {}
        for item, result in zip(self.items, self.results, strict=True):
            if isinstance(result, Exception):
                self.future.set_exception(result)
                return
            results.setdefault(type(item), []).append(result)
        self.future.set_result(
            Committed(
                tuple(results.get(Append, ())),
                changed=tuple(results.get(InboxChange, ())),
                moved=tuple(results.get(ReadMove, ())),
            )
        )


class WriterState:
    """Counters and gauges of a writer; read from any thread."""

    def __init__(self) -> None:
        self.batches = 0
        """Callers' batches that were answered."""
        self.transactions = 0
        self.items = 0
        """Messages, moves and changes that were written or refused."""
        self.last_seconds = 0.0
        """How long the last transaction took."""
        self.longest_seconds = 0.0
        self.commits = Histogram(COMMIT_BOUNDS)
        """How long transactions took."""
        self.process = 0
        """The number of the process that writes, 0 where it is the server's own."""
        self.cpu_seconds = 0.0
        """CPU time of the writer's thread, for the ledger."""
        self.queue_length = 0
        """Batches that wait for the next transaction."""
        self.failures = 0
        """How often the database could not take a group."""
        self.given_up = 0
        """Batches whose callers were told that the database does not answer."""
        self.feed = 0
        """The number of the last transaction that this process knows of."""
        self.sent = 0
        """How many rows of the outbox the writer has written since it began."""
        self.on_feed: Callable[[int], None] = _ignore
        """Called on any thread with the number of the last transaction, when it is new."""
        self._told = 0
        self.trouble = ""
        """What is wrong with the database now; empty while it answers."""
        self.since = 0.0
        """When that began, on the monotonic clock."""
        self.on_trouble: Callable[[str], None] = _ignore
        """Called on the writer thread with what is wrong, once for each outage."""
        self.on_recovery: Callable[[float], None] = _ignore
        """Called on the writer thread with the seconds that an outage took."""
        self.group: list[Waiting] = []
        self.watches: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle] = {}

    def committed(self, group: Sequence[Waiting], seconds: float, cpu: float) -> None:
        """Count a group."""
        self.cpu_seconds += cpu
        self.transactions += 1
        self.batches += len(group)
        self.items += sum([len(waiting.items) for waiting in group])
        self.commits.add(seconds)
        self.last_seconds = seconds
        self.longest_seconds = max(seconds, self.longest_seconds)

    def reached(self, feed: int) -> None:
        """Note that the feed has come so far."""
        self.feed = max(feed, self.feed)

    def tell_feed(self) -> None:
        """Wake the followers, where the feed has come further."""
        if self.feed > self._told:
            self._told = self.feed
            self.on_feed(self.feed)

    def failed(self, trouble: str) -> None:
        """Note that the database could not take a group."""
        self.failures += 1
        is_new = not self.trouble
        self.trouble = trouble
        if is_new:
            self.since = time.monotonic()
            self.on_trouble(trouble)

    def answered(self) -> None:
        """Note that the database took a group."""
        if self.trouble:
            self.trouble = ""
            self.on_recovery(time.monotonic() - self.since)


def _ignore(_: object) -> None:
    """Do nothing."""
