"""Turns: the long work of many hosts, one step at a time."""

import pytest

from tests.harness.clock import VirtualClock
from tidings.base.errors import BackendError
from tidings.kernel.job import AFTER_FAILURE
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.turns import Turn, Turns


class Stage:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.telemetry = Telemetry()
        self.supervisor = Supervisor(self.telemetry)
        self.turns = Turns(self.clock, self.supervisor)
        self.done: list[str] = []
        self.running = 0

    def join(self, name: str, *answers: float | BaseException | None, queue: str = "work") -> Turn:
        """Join with a step that gives these answers, one after another, and the last one for ever."""
        left = list(answers)

        async def step() -> float | None:
            self.running += 1
            assert self.running == 1
            self.done.append(name)
            answer = left.pop(0) if len(left) > 1 else left[0]
            self.running -= 1
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return self.turns.join(queue, step)

    async def advance(self, seconds: float) -> None:
        """Let time pass in small portions, each with what it causes."""
        end = self.clock.monotonic() + seconds
        while True:
            self.clock.advance(0)
            while self.supervisor.busy:
                await self.supervisor.finish(1)
                self.clock.advance(0)
            if self.clock.monotonic() >= end:
                return
            self.clock.advance(min(0.5, end - self.clock.monotonic()))


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_each_has_its_own_time(stage: Stage) -> None:
    stage.join("a", 10.0).begin(1)
    stage.join("b", 3.0).begin(2)
    await stage.advance(8)
    assert stage.done == ["a", "b", "b", "b"]
    await stage.advance(4)
    assert stage.done.count("a") == 2


async def test_many_that_are_due_at_once_come_one_after_another_behind_one_timer(stage: Stage) -> None:
    turns = [stage.join(str(number), None) for number in range(100)]
    for turn in turns:
        turn.begin(5)
    assert stage.clock.waiting == 1
    await stage.advance(20)
    assert stage.done == [str(number) for number in range(100)]
    assert stage.clock.is_idle


async def test_who_asks_anew_is_done_when_he_says_last(stage: Stage) -> None:
    turn = stage.join("a", None)
    turn.begin(5)
    turn.begin(1)
    await stage.advance(2)
    assert stage.done == ["a"]
    turn.begin(1)
    turn.begin(30)
    await stage.advance(20)
    assert stage.done == ["a"]


async def test_trouble_of_one_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.join("slow", BackendError("full"), None).begin(1)
    stage.join("bug", ValueError("a bug"), None).begin(1)
    stage.join("well", None).begin(2)
    await stage.advance(3)
    assert sorted(stage.done) == ["bug", "slow", "well"]
    await stage.advance(AFTER_FAILURE)
    assert sorted(stage.done) == ["bug", "bug", "slow", "slow", "well"]
    assert sum(stage.telemetry.bugs.values()) == 1


async def test_who_stops_does_nothing_any_more(stage: Stage) -> None:
    one, other = stage.join("one", 1.0), stage.join("other", 1.0)
    for turn in (one, other):
        turn.begin(1)
    one.stop()
    one.begin(0)
    await stage.advance(1)
    assert stage.done == ["other"]
    other.stop()
    assert stage.clock.is_idle
    stage.join("next", None).begin(1)
    await stage.advance(2)
    assert stage.done == ["other", "next"]


async def test_queues_of_other_names_go_by_themselves(stage: Stage) -> None:
    stage.join("a", 1.0, queue="one").begin(1)
    stage.join("b", 1.0, queue="two").begin(1)
    await stage.advance(1)
    assert sorted(stage.done) == ["a", "b"]
