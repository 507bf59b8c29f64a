"""Refreshing: telling the newest state of something once, however often it has changed meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from tidings.kernel.supervisor import Supervisor

K = TypeVar("K", bound=Hashable)


class Refresher(Generic[K]):
    """Does a job for a key, soon, and never two at once for one key; what is asked meanwhile is done after.

    Jobs for one key so tell states in the order in which they were true.
    """

    def __init__(self, supervisor: Supervisor, name: str, job: Callable[[K], Awaitable[None]]) -> None:
        self._supervisor = supervisor
        self._name = name
        self._job = job
        self._again: dict[K, bool] = {}

    def ask(self, key: K) -> None:
        """Have the job done for this key after now; waits for nothing."""
        if key in self._again:
            self._again[key] = True
        else:
            self._again[key] = False
            self._supervisor.start(self._name, self._run(key))

    async def _run(self, key: K) -> None:
        try:
            await self._job(key)
            while self._again[key]:
                self._again[key] = False
                await self._job(key)
        finally:
            del self._again[key]
