"""Job: long work in small steps beside the traffic, with a pause after each.

Between two steps there is a timer and no task: a server that stops waits for one step at most, and one with
nothing to do has nothing to run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tidings.base.errors import BackendError
from tidings.kernel.clock import Clock, Timer
from tidings.kernel.supervisor import Supervisor

log = structlog.get_logger("tidings.job")

AFTER_FAILURE: Final = 60.0
"""Seconds until a step is tried again that the store could not do, or that had a bug."""


class Job:
    """Calls a step again and again.

    The step does a little and gives the seconds until the next one, or None when all is done. What it raises
    is logged, and it is called again a while later.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[float | None]],
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._name = name
        self._step = step
        self._clock = clock
        self._supervisor = supervisor
        self._timer: Timer | None = None
        self._is_running = False
        self._is_wanted: float | None = None  # asked for while a step runs
        self._is_stopped = False

    @property
    def is_waiting(self) -> bool:
        """Whether a step runs, or will by itself."""
        return self._is_running or self._timer is not None

    def begin(self, seconds: float) -> None:
        """Do the next step so many seconds from now, whenever it would have been otherwise.

        With 0 seconds it begins at once, on the running event loop.
        """
        if self._is_stopped:
            return
        if self._is_running:
            self._is_wanted = seconds
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds > 0:
            self._timer = self._clock.call_later(seconds, self._start)
        else:
            self._start()

    def stop(self) -> None:
        """Do no step any more; one that runs comes to its end."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer = None
        self._is_running = True
        self._supervisor.start(self._name, self._run())

    async def _run(self) -> None:
        seconds: float | None = AFTER_FAILURE
        try:
            seconds = await self._step()
        except BackendError as error:
            log.warning("job_failed", job=self._name, reason=str(error), again_in=AFTER_FAILURE)
        finally:
            self._is_running = False
            wanted, self._is_wanted = self._is_wanted, None
            seconds = seconds if wanted is None else wanted
            if seconds is not None:
                self.begin(seconds)
