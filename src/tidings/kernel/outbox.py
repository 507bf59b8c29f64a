"""Outbox: sends what waits for other servers, a queue for each domain.

Invariants:
- a row leaves the outbox once the peer has acknowledged it, or it was given back; what a crash repeats
  carries the same id, so that the peer can tell;
- each domain drains its own queue in order: one that fails or stands still holds up no other;
- one process empties the outbox at a time: it holds the lease while anything waits.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.kernel.backoff import Backoff
from tidings.kernel.clock import Clock
from tidings.kernel.feed_bell import FeedBell
from tidings.kernel.job import Job
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.traces import Traces
from tidings.ports.ledger.outbox import OutboxId, OutboxRow, OutboxStore

log = structlog.get_logger("tidings.outbox")

LEASE: Final = 10.0
"""Seconds that the lease lasts; so long may the outbox stand still when its owner was killed."""
POLL: Final = 5.0
"""Seconds between two looks for what other processes have written; each renews the lease."""
EXPIRY: Final = 2 * 86_400.0
"""Seconds that a message waits for its server."""

_LIMIT: Final = 100
_LONGEST_PAUSE: Final = 900.0
_MICROSECONDS: Final = 1_000_000


class SendReport(msgspec.Struct, frozen=True):
    """What became of rows that were handed to a sender; what is in neither is sent again."""

    acknowledged: tuple[OutboxId, ...]
    refused: tuple[tuple[OutboxId, StanzaError], ...] = ()
    """What the peer will not take, however often it is sent."""


class RemoteSender(Protocol):
    """Brings rows to another server."""

    async def send(self, domain: str, rows: tuple[OutboxRow, ...]) -> SendReport:
        """Send rows in their order, and tell which of them the peer has.

        Raises `BackendError` when the server cannot be reached now. Of one domain, no second call comes
        before the first is done. What was not acknowledged comes again with the same id, whether the peer
        had it or not.
        """
        ...


GiveBack = Callable[[OutboxRow, StanzaError], Awaitable[None]]
"""Tells the sender of a message that it will not arrive, and why."""


class Outbox:
    """Empties the outbox while it has the lease."""

    def __init__(
        self,
        store: OutboxStore,
        sender: RemoteSender,
        give_back: GiveBack,
        bell: FeedBell,
        clock: Clock,
        supervisor: Supervisor,
        telemetry: Telemetry,
        *,
        expiry: float = EXPIRY,
        traces: Traces | None = None,
    ) -> None:
        self._traces = Traces() if traces is None else traces
        self.counts: Counter[str] = Counter()
        self._store = store
        self._sender = sender
        self._give_back = give_back
        self._bell = bell
        self._clock = clock
        self._supervisor = supervisor
        self._expiry = expiry
        self._owner = secrets.token_hex(8)
        self._leased_until = 0.0
        self._queues: dict[str, _DomainQueue] = {}
        self._waiting: tuple[str, ...] = ()
        self._job = Job("outbox", self._look, clock, supervisor)
        for name, text in (
            ("sent", "Messages that other servers have acknowledged"),
            ("failures", "Times that another server could not be reached"),
            ("given_back", "Messages for other servers that were given up"),
        ):
            telemetry.total(f"outbox_{name}", text, lambda name=name: self.counts[name])  # type: ignore[misc]
        telemetry.gauge("outbox_domains", "Domains that messages wait for", lambda: float(len(self._waiting)))

    async def start(self) -> None:
        """Begin with what an earlier run has left."""
        self._bell.on_outbox(self._wake)
        self._job.begin(POLL)

    def wind_down(self) -> None:
        """Send nothing more."""
        self._job.stop()
        for queue in self._queues.values():
            queue.job.stop()

    async def stop(self) -> None:
        """Give the lease back."""
        self.wind_down()
        if not self.is_owner:
            return
        try:
            await self._store.release(self._owner)
        except BackendError as error:
            log.warning("lease_not_released", reason=str(error))

    @property
    def is_owner(self) -> bool:
        """Whether this process may send."""
        return self._clock.monotonic() < self._leased_until

    def _wake(self) -> None:
        self._job.begin(0)

    async def _look(self) -> float:
        """Find the domains that something waits for, and let their queues go on."""
        self._waiting = await self._store.domains()
        self._drop_queues()
        if not self._waiting:
            return POLL
        now = self._clock.monotonic()
        if not await self._store.take_lease(self._owner, LEASE):
            self._leased_until = 0.0
            return POLL
        self._leased_until = now + LEASE
        for domain in self._waiting:
            queue = self._queues.get(domain)
            if queue is None:
                queue = self._queues[domain] = _DomainQueue(domain, self)
            queue.go_on()
        return POLL

    def _drop_queues(self) -> None:
        for domain in [domain for domain in self._queues if domain not in self._waiting]:
            if not self._queues[domain].job.is_waiting:
                del self._queues[domain]

    # -- for the queues

    def job(self, domain: str, step: Callable[[], Awaitable[float | None]]) -> Job:
        """Make the job of a domain."""
        return Job(f"outbox {domain}", step, self._clock, self._supervisor)

    async def rows(self, domain: str) -> tuple[OutboxRow, ...]:
        """Give what waits for a domain; nothing while another process empties the outbox."""
        return await self._store.rows(domain, limit=_LIMIT) if self.is_owner else ()

    async def send(self, domain: str, rows: tuple[OutboxRow, ...]) -> int:
        """Send rows, and forget those that are done with; tells how many are."""
        report = await self._sender.send(domain, rows)
        refused = dict(report.refused)
        for row in rows:
            if row.id in refused:
                await self._end(row, refused[row.id])
            elif row.id in report.acknowledged:
                self._traces.left(domain, row.places)
        done = (*report.acknowledged, *refused)
        self.counts["sent"] += len(report.acknowledged)
        await self._store.done(domain, done)
        return len(done)

    async def expire(self, domain: str, rows: tuple[OutboxRow, ...]) -> None:
        """Give back what has waited for too long."""
        before = (self._clock.now() - self._expiry) * _MICROSECONDS
        old = [row for row in rows if row.time < before]
        for row in old:
            await self._end(row, StanzaError("remote-server-timeout", f"{domain} could not be reached"))
        await self._store.done(domain, tuple(row.id for row in old))

    async def _end(self, row: OutboxRow, error: StanzaError) -> None:
        self.counts["given_back"] += 1
        log.info("given_back", domain=row.domain, id=str(row.id), condition=error.condition)
        self._traces.left(row.domain, row.places, str(error))
        await self._give_back(row, error)


class _DomainQueue:
    """What waits for one domain."""

    def __init__(self, domain: str, outbox: Outbox) -> None:
        self._domain = domain
        self._outbox = outbox
        self._backoff = Backoff(longest=_LONGEST_PAUSE)
        self.job = outbox.job(domain, self._step)

    def go_on(self) -> None:
        """Send what waits, unless that has failed and will be tried again by itself.

        A try that found the lease at its end was none: it is made up for with the new lease.
        """
        if not (self._backoff.failures and self.job.is_waiting):
            self.job.begin(0)

    async def _step(self) -> float | None:
        rows = await self._outbox.rows(self._domain)
        if not rows:
            return None
        try:
            done = await self._outbox.send(self._domain, rows)
        except BackendError as error:
            return await self._failed(rows, str(error))
        if not done:
            return await self._failed(rows, "it took nothing")
        self._backoff.succeeded()
        return 0.0

    async def _failed(self, rows: tuple[OutboxRow, ...], reason: str) -> float:
        self._outbox.counts["failures"] += 1
        seconds = self._backoff.failed()
        log.info("outbox_waits", domain=self._domain, reason=reason, seconds=round(seconds, 1))
        await self._outbox.expire(self._domain, rows)
        return seconds
