"""A ledger that answers when a test says so: what a slow database looks like to the router."""

from __future__ import annotations

import asyncio
from collections import Counter

from tidings.adapters.sql.ledger.waiting import WriterState
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Accepted, Append, Committed, LedgerBatch, Outcome, Place
from tidings.ports.ledger.feed import Cursor
from tidings.ports.ledger.followers import FollowerState
from tidings.ports.ledger.reading import Head
from tidings.wire.xmpp.payloads.arrival import kept


class NothingToDo:
    """Followers and the outbox of a ledger whose feed is empty."""

    async def follower(self, name: str) -> FollowerState:
        return FollowerState(
            name=name, cursor=Cursor("", 1), moved=0, owner="", leased_until=0, dead_letters=0, retries=0
        )

    async def domains(self) -> tuple[str, ...]:
        return ()


class SlowLedger:
    """The ledger port as far as messages need it; every commit waits in `waiting` until `accept` or `fail`.

    A batch without messages, such as a device's cursor, is answered at once.
    """

    def __init__(self) -> None:
        self.state = WriterState()
        self.followers = self.outbox = NothingToDo()
        self.batches: list[LedgerBatch] = []
        self.waiting: list[asyncio.Future[Committed]] = []
        self.versions: Counter[Jid] = Counter()
        self._positions: Counter[Jid] = Counter()

    async def feed(self) -> tuple[str, int]:
        return "", 0

    async def head(self, archive: Jid) -> Head:
        return Head(1, self._positions[archive], 0, self.versions[archive], ())

    async def bump_version(self, archive: Jid) -> int:
        self.versions[archive] += 1
        return self.versions[archive]

    def commit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        if not batch.appends:
            future.set_result(Committed(()))
            return future
        self.batches.append(batch)
        self.waiting.append(future)
        return future

    def accept(self, *outcomes: Outcome) -> None:
        """Let the oldest commit succeed, with these outcomes instead of the usual ones."""
        batch = self.batches[-len(self.waiting)]
        accepted = tuple(self._accepted(append) for append in batch.appends)
        self.waiting.pop(0).set_result(Committed(outcomes or accepted))

    def fail(self, error: Exception | None = None) -> None:
        """Let the oldest commit fail."""
        self.waiting.pop(0).set_exception(error or BackendError("the disk is full"))

    @property
    def ids(self) -> list[list[str | None]]:
        """The ids of the messages of all commits so far."""
        return [[kept(append.body).id for append in batch.appends] for batch in self.batches]

    def _accepted(self, append: Append) -> Accepted:
        places = []
        for entry in append.entries:
            self._positions[entry.archive] += 1
            places.append(Place(entry.archive, "e", self._positions[entry.archive]))
        return Accepted(places=tuple(places), time=1_767_225_600_000_000, feed=len(self.batches))
