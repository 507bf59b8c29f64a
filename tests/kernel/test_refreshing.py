"""Refreshing: how often a job is done, and in which order."""

import asyncio

from tidings.kernel.refreshing import Refresher
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry


class Teller:
    """Tells the state that it reads when its job begins, once a gate is open."""

    def __init__(self) -> None:
        self.supervisor = Supervisor(Telemetry())
        self.refresher: Refresher[str] = Refresher(self.supervisor, "tell", self.job)
        self.state = 0
        self.told: list[tuple[str, int]] = []
        self.gate = asyncio.Event()
        self.fails = False

    async def job(self, key: str) -> None:
        state = self.state
        await self.gate.wait()
        if self.fails:
            raise RuntimeError
        self.told.append((key, state))

    async def done(self) -> None:
        self.gate.set()
        while self.supervisor.busy:
            await asyncio.sleep(0)


async def test_what_changes_meanwhile_is_told_once_and_last() -> None:
    teller = Teller()
    for state in range(1, 6):
        teller.state = state
        teller.refresher.ask("bob")
        await asyncio.sleep(0)
    await teller.done()
    assert teller.told == [("bob", 1), ("bob", 5)]
    teller.refresher.ask("bob")
    await teller.done()
    assert teller.told[2:] == [("bob", 5)]


async def test_keys_do_not_wait_for_each_other() -> None:
    teller = Teller()
    teller.refresher.ask("bob")
    teller.refresher.ask("lea")
    await teller.done()
    assert sorted(teller.told) == [("bob", 0), ("lea", 0)]


async def test_a_job_that_fails_can_be_asked_for_again() -> None:
    teller = Teller()
    teller.fails = True
    teller.refresher.ask("bob")
    await teller.done()
    teller.fails = False
    teller.refresher.ask("bob")
    await teller.done()
    assert teller.told == [("bob", 0)]
