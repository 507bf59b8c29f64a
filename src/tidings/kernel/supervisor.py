"""The supervisor: the only place where tasks begin, so that none is lost and all end with the server."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from tidings.kernel.telemetry import Telemetry

log = structlog.get_logger("tidings.supervisor")


class Supervisor:
    """Starts tasks, logs and counts what they did not foresee, and ends them."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._tasks: set[asyncio.Future[None]] = set()

    def start(self, name: str, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run the coroutine beside everything else; an exception in it is logged and goes no further."""
        task = asyncio.get_running_loop().create_task(self._watch(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # it never began if the task was cancelled first
        return task

    def when_done(self, name: str, work: Awaitable[None], callback: Callable[[], object]) -> None:
        """Call this once the work is done; an exception in either is logged and goes no further.

        A future is waited for without a task. What is cancelled, or raises, calls nothing.
        """
        if isinstance(work, asyncio.Future):
            self._tasks.add(work)
            work.add_done_callback(functools.partial(self._done, name, callback))
        else:
            self.start(name, _then(work, callback))

    @property
    def busy(self) -> bool:
        """Whether anything is running or waited for."""
        return bool(self._tasks)

    def report(self, place: str, error: BaseException, **details: object) -> None:
        """Log and count a bug that was caught."""
        self._telemetry.bugs[place] += 1
        log.error("bug", place=place, exc_info=error, **details)

    async def finish(self, seconds: float) -> None:
        """Give the running tasks, and those that they start, this long to end; then cancel the rest."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await asyncio.sleep(0)  # whatever was started begins, so that it can end itself
        while self._tasks and (left := end - loop.time()) > 0:
            await asyncio.wait(tuple(self._tasks), timeout=left)
        while self._tasks:  # what is cancelled may start something in its last moment
            await asyncio.sleep(0)
            remaining = tuple(self._tasks)
            for task in remaining:
                task.cancel()
            await asyncio.gather(*remaining, return_exceptions=True)

    def _done(self, name: str, callback: Callable[[], object], work: asyncio.Future[None]) -> None:
        self._tasks.discard(work)
        if work.cancelled():
            return
        try:
            work.result()
            callback()
        except Exception as error:  # noqa: BLE001  # the supervisor is where the unforeseen ends
            self.report(name, error)

    async def _watch(self, name: str, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # the supervisor is where the unforeseen ends
            self.report(name, error)


async def _then(work: Awaitable[None], callback: Callable[[], object]) -> None:
    await work
    callback()
