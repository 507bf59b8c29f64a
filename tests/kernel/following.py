"""A ledger in memory with who works on it by a clock that stands still; each `Process` is one kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from tests.contracts.ledger_stories import ALICE, BOB, accept, chat
from tests.harness.clock import VirtualClock
from tidings.adapters.sql.ledger import SqlLedger, open_memory_ledger
from tidings.kernel.followers import Followers
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.ports.ledger.batch import Append, Direction, Entry, OutboxTarget
from tidings.ports.ledger.feed import FeedEntry, FeedItem
from tidings.ports.ledger.outbox import OutboxRow


class Process:
    """A kernel over a ledger that it may share with others."""

    def __init__(self, ledger: SqlLedger, clock: VirtualClock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.telemetry = Telemetry()
        self.supervisor = Supervisor(self.telemetry)
        self.followers = Followers(ledger, clock, self.supervisor, self.telemetry)

    async def settle(self) -> None:
        """Wait until nothing is left to do before time passes."""
        for _ in range(3):
            await asyncio.sleep(0)
        while self.supervisor.busy:
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, and do what is due meanwhile."""
        left = seconds
        while left > 0:
            self.clock.advance(min(step, left))
            await self.settle()
            left -= step

    async def die(self) -> None:
        """End without a word to anybody, as when the process is killed."""
        self.clock.forget()
        self.followers.bell.stop()
        await self.supervisor.finish(0)

    def metric(self, name: str, label: str) -> float | None:
        """Give what a scrape shows."""
        return self.telemetry.registry.get_sample_value(f"tidings_{name}", {"follower": label})


class Times:
    """The clock by which a ledger goes: that of whoever works on it now."""

    def __init__(self) -> None:
        self.clock = VirtualClock()

    def __call__(self) -> int:
        return round(self.clock.now() * 1_000_000)


async def memory_ledger(times: Times) -> SqlLedger:
    return await open_memory_ledger(now=times)


async def talk(ledger: SqlLedger, *words: object) -> None:
    for each in words:
        await accept(ledger, chat(ALICE, BOB, each))


async def send_out(ledger: SqlLedger, *words: object, domain: str = "far.example") -> None:
    """Send messages of Alice's to another server."""
    for each in words:
        entry = Entry(archive=ALICE, peer=f"dora@{domain}", direction=Direction.SENT, countable=True)
        append = Append(body=chat(ALICE, BOB, each).body, entries=(entry,), outbox=(OutboxTarget(domain),))
        await accept(ledger, append)


def words_of(item: FeedItem | OutboxRow) -> str:
    body = item.body if isinstance(item, (FeedEntry, OutboxRow)) else b""
    return body.decode().partition("<body>")[2].partition("</body>")[0]


async def until(is_so: Callable[[], bool]) -> None:
    """Wait on a condition that tasks bring about."""
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0)


def at_part(item: FeedItem, cursor, part: int):
    """Give the cursor inside a thing of the feed."""
    return msgspec.structs.replace(cursor.at(item), part=part)
