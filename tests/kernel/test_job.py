"""Jobs: a step at a time, none while another runs, none after the end, and a failure is not the end."""

import asyncio

import pytest

from tests.harness.clock import VirtualClock
from tidings.base.errors import BackendError
from tidings.kernel.job import AFTER_FAILURE, Job
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry


class Stage:
    """A job whose steps are told what to do, and the clock that it runs by."""

    def __init__(self, *does) -> None:
        self.clock = VirtualClock()
        self.telemetry = Telemetry()
        self.supervisor = Supervisor(self.telemetry)
        self.does = list(does)
        self.at: list[float] = []
        self.job = Job("sweep", self.step, self.clock, self.supervisor)

    async def step(self) -> float | None:
        self.at.append(self.clock.monotonic())
        does = self.does.pop(0) if self.does else None
        if isinstance(does, Exception):
            raise does
        if isinstance(does, asyncio.Event):
            await does.wait()
            return 1.0
        return does

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_steps_come_after_their_pauses_until_all_is_done():
    stage = Stage(2.0, 5.0, None)
    assert not stage.job.is_waiting
    stage.job.begin(3)
    assert stage.job.is_waiting
    await stage.pass_time(30)
    assert stage.at == [3, 5, 10]
    assert not stage.job.is_waiting
    assert stage.clock.is_idle
    assert not stage.supervisor.busy


async def test_a_job_can_be_hastened():
    stage = Stage(100.0)
    stage.job.begin(50)
    await stage.pass_time(1)
    stage.job.begin(1)
    await stage.pass_time(3)
    stage.job.begin(0)
    await stage.pass_time(200)
    assert stage.at == [2, 5]


async def test_one_that_is_asked_for_while_a_step_runs_comes_after_it():
    running = asyncio.Event()
    stage = Stage(running, None)
    stage.job.begin(1)
    await stage.pass_time(1)
    stage.job.begin(4)
    await stage.pass_time(10)
    assert stage.at == [1]
    running.set()
    await stage.settle()
    await stage.pass_time(10)
    assert stage.at == [1, 15]


@pytest.mark.parametrize(("failure", "bugs"), [(BackendError("gone"), 0), (ValueError("a bug"), 1)])
async def test_a_failure_is_not_the_end(failure, bugs):
    stage = Stage(failure, None)
    stage.job.begin(1)
    await stage.pass_time(100)
    assert stage.at == [1, 1 + AFTER_FAILURE]
    assert stage.telemetry.bugs["sweep"] == bugs


async def test_nothing_runs_after_the_end():
    running = asyncio.Event()
    stage = Stage(running)
    stage.job.begin(1)
    await stage.pass_time(1)
    stage.job.stop()
    running.set()
    await stage.settle()
    stage.job.begin(0)
    await stage.pass_time(10)
    assert stage.at == [1]
    assert stage.clock.is_idle
