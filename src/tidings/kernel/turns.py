"""Turns: the long work of many hosts behind one timer, a step at a time.

A feature that goes through the archives of its domain now and then joins a queue by name, in place of a job
of its own. Of one queue one step runs at a time, so that a thousand domains do not all begin in the same
second, and they cost a thousand entries in a list in place of a thousand timers.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Awaitable, Callable

import structlog

from tidings.base.errors import BackendError
from tidings.kernel.clock import Clock
from tidings.kernel.job import AFTER_FAILURE, Job
from tidings.kernel.supervisor import Supervisor

log = structlog.get_logger("tidings.turns")

Step = Callable[[], Awaitable[float | None]]
"""Does a little and gives the seconds until the next step, or None when all is done."""


class Turn:
    """The place of one host in a queue; it is used as a `Job` is."""

    __slots__ = ("_queue", "entry", "is_stopped", "step")

    def __init__(self, queue: _Queue, step: Step) -> None:
        self._queue = queue
        self.step = step
        self.entry: int | None = None
        """Which entry of the queue counts, if any; others are left over."""
        self.is_stopped = False

    def begin(self, seconds: float) -> None:
        """Do the next step so many seconds from now, whenever it would have been otherwise."""
        if not self.is_stopped:
            self._queue.put(self, seconds)

    def stop(self) -> None:
        """Do no step any more; one that runs comes to its end."""
        if not self.is_stopped:
            self.is_stopped = True
            self.entry = None
            self._queue.leave()


class Turns:
    """The queues of one server."""

    def __init__(self, clock: Clock, supervisor: Supervisor) -> None:
        self._clock = clock
        self._supervisor = supervisor
        self._queues: dict[str, _Queue] = {}

    def join(self, name: str, step: Step) -> Turn:
        """Take a place in the queue of this name; nothing is done before `begin`."""
        queue = self._queues.get(name)
        if queue is None or queue.is_over:
            queue = self._queues[name] = _Queue(name, self._clock, self._supervisor)
        return queue.join(step)


class _Queue:
    def __init__(self, name: str, clock: Clock, supervisor: Supervisor) -> None:
        self._name = name
        self._clock = clock
        self._job = Job(name, self._next, clock, supervisor)
        self._entries: list[tuple[float, int, Turn]] = []
        self._numbers = itertools.count()
        self._members = 0
        self.is_over = False

    def join(self, step: Step) -> Turn:
        self._members += 1
        return Turn(self, step)

    def leave(self) -> None:
        self._members -= 1
        if not self._members:
            self.is_over = True
            self._job.stop()

    def put(self, turn: Turn, seconds: float) -> None:
        turn.entry = next(self._numbers)
        heapq.heappush(self._entries, (self._clock.monotonic() + seconds, turn.entry, turn))
        self._job.begin(self._rest())

    def _rest(self) -> float:
        """Give the seconds until the first entry that counts."""
        entries = self._entries
        while entries and entries[0][2].entry != entries[0][1]:
            heapq.heappop(entries)
        return max(entries[0][0] - self._clock.monotonic(), 0) if entries else 0

    async def _next(self) -> float | None:
        """Do the step that is due, and give the seconds until the one after it."""
        rest = self._rest()
        if not self._entries:
            return None
        if rest > 0:
            return rest
        _, _, turn = heapq.heappop(self._entries)
        turn.entry = None
        seconds: float | None = AFTER_FAILURE
        try:
            seconds = await turn.step()
        except BackendError as error:
            log.warning("job_failed", job=self._name, reason=str(error), again_in=AFTER_FAILURE)
        finally:
            if seconds is not None and turn.entry is None:  # not asked for while the step ran
                turn.begin(seconds)
        rest = self._rest()
        return rest if self._entries else None
