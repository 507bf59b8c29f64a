"""What a starting server waits for, told at once where it is known and after two seconds elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import structlog

log = structlog.get_logger("tidings")

_QUIET_SECONDS: Final = 2.0  # so long every step may take without a word
_AGAIN_SECONDS: Final = 10.0


class StartProgress:
    """Logs what the start waits for, again and again until it goes on, and tells it to others."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[str], None]] = []
        """They are told what is waited for, as the end of "it waits for …", and "" when that is over."""
        self._step = ""
        self._what = ""
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tell that the start waits for this, unless it is over soon."""
        self._step = what
        self._later(_QUIET_SECONDS)
        try:
            yield
        finally:
            self._step = ""
            self.waits_for("")

    def waits_for(self, what: str) -> None:
        """Tell at once that the start waits for this, or with "" that it goes on with its step."""
        was_told, self._what = bool(self._what), what
        if what:
            self._tell()
            return
        if was_told:
            for listener in self.listeners:
                listener("")
        self._later(_QUIET_SECONDS)

    def _tell(self) -> None:
        self._what = self._what or self._step
        log.warning("start_waits", waits_for=self._what)
        for listener in self.listeners:
            listener(self._what)
        self._later(_AGAIN_SECONDS)

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._step or self._what:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._tell)
