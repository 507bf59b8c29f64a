"""Who is silent for a whole span gives memory back; who is used does not."""

from __future__ import annotations

from tests.harness.clock import VirtualClock
from tidings.kernel.resting import _SPAN as SPAN
from tidings.kernel.resting import Resting


class Dozer:
    """Counts how often it fell asleep."""

    def __init__(self, resting: Resting) -> None:
        self._resting = resting
        self.is_awake = False
        self.is_used = False
        self.sleeps = 0

    def use(self) -> None:
        self.is_used = True
        if not self.is_awake:
            self.is_awake = True
            self._resting.wakes(self)

    def nod_off(self) -> bool:
        if self.is_used:
            self.is_used = False
            return False
        self.is_awake = False
        self.sleeps += 1
        return True


def test_the_silent_sleep_and_the_used_do_not() -> None:
    clock = VirtualClock()
    resting = Resting(clock)
    silent, busy = Dozer(resting), Dozer(resting)
    silent.use()
    for _ in range(10):
        busy.use()
        clock.advance(SPAN * 0.7)
    assert (silent.sleeps, busy.sleeps) == (1, 0)
    clock.advance(SPAN * 3)
    assert busy.sleeps == 1
    busy.use()
    clock.advance(SPAN * 3)
    assert busy.sleeps == 2


def test_a_crowd_is_asked_in_pieces_and_once_a_span() -> None:
    clock = VirtualClock()
    resting = Resting(clock)
    crowd = [Dozer(resting) for _ in range(1_700)]
    for dozer in crowd:
        dozer.use()
    clock.advance(SPAN * 0.8)
    late = Dozer(resting)
    late.use()
    clock.advance(SPAN * 0.4)
    assert not any(dozer.sleeps for dozer in crowd)
    clock.advance(SPAN)
    assert {dozer.sleeps for dozer in crowd} == {1}
    clock.advance(SPAN * 20)
    assert {dozer.sleeps for dozer in (*crowd, late)} == {1}


def test_a_server_without_traffic_has_no_timer() -> None:
    clock = VirtualClock()
    dozer = Dozer(Resting(clock))
    dozer.use()
    clock.advance(SPAN * 20)
    assert clock.is_idle
