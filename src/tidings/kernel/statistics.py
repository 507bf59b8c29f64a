"""Statistics: what a server does at this moment, found by two looks at what it counts anyway.

A look goes once through the sessions; nothing is counted for it when a stanza passes.
"""

from __future__ import annotations

import asyncio
import heapq
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from tidings.base.jid import Jid
from tidings.kernel.clock import Clock
from tidings.kernel.processes import cpu_seconds, resident_bytes
from tidings.kernel.session import Session

if TYPE_CHECKING:
    from tidings.kernel.server import Server
    from tidings.ports.ledger import LedgerState

MOST: Final = 10
"""The most accounts and readers that are named."""


class Look(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a server had counted at one moment."""

    moment: float
    """In seconds, on the monotonic clock."""
    counts: Mapping[str, float]
    """What only grows."""
    sessions: Mapping[Session, tuple[int, int]]
    """The sessions, with the stanzas that each had sent and been sent."""
    slowest: Sequence[Reader]
    """Those for whom most waited, the slowest first."""


class Busy(msgspec.Struct, frozen=True):
    """An account, and how many stanzas a second its sessions send and are sent."""

    account: Jid
    received: float
    sent: float


class Reader(msgspec.Struct, frozen=True):
    """A session, and how many octets wait for its client: unread, or not acknowledged."""

    session: Jid
    octets: int


class Statistics:
    """Looks at one server."""

    def __init__(self, server: Server, clock: Clock, ledger: LedgerState | None) -> None:
        self.server = server
        self.ledger = ledger
        self._clock = clock

    def start(self) -> Look:
        """Give what was counted when the server started: nothing."""
        moment = self._clock.monotonic() - (self._clock.now() - self.server.started)
        return Look(moment=moment, counts=Counter(), sessions={}, slowest=())

    def look(self) -> Look:
        """Note what is counted now."""
        telemetry, ledger = self.server.telemetry, self.ledger
        sessions: dict[Session, tuple[int, int]] = {}
        waiting: list[tuple[int, Jid]] = []
        received, sent = self.server.figures.of_ended()
        for session in self.server.sessions():
            flow = session.flow
            sessions[session] = flow.received, flow.sent
            received += flow.received
            sent += flow.sent
            if backlog := session.backlog:
                waiting.append((backlog, session.jid))
        slowest = heapq.nlargest(MOST, waiting, key=lambda each: each[0])
        return Look(
            moment=self._clock.monotonic(),
            counts={
                "messages_received": telemetry.stanzas_in["message"],
                "stanzas_received": received,
                "stanzas_sent": sent,
                "logins": telemetry.logins.total(),
                "login_failures": telemetry.login_failures.total(),
                "transactions": ledger.transactions if ledger else 0,
                "transaction_time": ledger.commits.total if ledger else 0.0,
                "cpu": cpu_seconds(os.getpid()),
                "writer_cpu": cpu_seconds(ledger.process) if ledger else 0.0,
            },
            sessions=sessions,
            slowest=[Reader(jid, octets) for octets, jid in slowest],
        )

    async def wait(self, seconds: float) -> None:
        """Return when so much time has passed."""
        passed = asyncio.Event()
        timer = self._clock.call_later(seconds, passed.set)
        try:
            await passed.wait()
        finally:
            timer.cancel()

    def memory(self) -> tuple[int, int]:
        """Tell how much memory this process has, and the one that writes the database, in octets."""
        return resident_bytes(os.getpid()), resident_bytes(self.ledger.process if self.ledger else 0)


def busiest(before: Look, after: Look) -> list[Busy]:
    """Name the accounts whose sessions sent and were sent most between two looks, the busiest first."""
    seconds = max(after.moment - before.moment, 1e-9)
    received: Counter[Jid] = Counter()
    sent: Counter[Jid] = Counter()
    for session, counts in after.sessions.items():
        counts_before = before.sessions.get(session, (0, 0))
        if counts == counts_before:  # as of most sessions, most of the time
            continue
        (came, went), (came_before, went_before) = counts, counts_before
        received[session.account.jid] += came - came_before
        sent[session.account.jid] += went - went_before
    found = heapq.nlargest(MOST, received, key=lambda jid: received[jid] + sent[jid])
    return [Busy(jid, received[jid] / seconds, sent[jid] / seconds) for jid in found]
