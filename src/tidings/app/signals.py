"""Signals: which end the server, which let it read its files anew, and which mean nothing to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger("tidings")

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2)


def ignore_until_serving() -> None:
    """Let no signal but those that are meant to end a process that still loads its modules."""
    for number in (signal.SIGHUP, *_IGNORED):
        signal.signal(number, signal.SIG_IGN)


class Signals:
    """Takes the process's signals on the running event loop."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        """Set when the server is to end."""
        self._reload: Callable[[], object] | None = None
        self._is_wanted = False
        self._has_terminal = sys.stderr.isatty()
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self.stop.set)
        for number in _IGNORED:
            loop.add_signal_handler(number, self._ignore, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def on_reload(self, reload: Callable[[], object]) -> None:
        """Call this for SIGHUP from now on, and at once if one has come already."""
        self._reload = reload
        if self._is_wanted:
            reload()

    def _hang_up(self) -> None:
        if self._has_terminal and not sys.stderr.isatty():
            # The terminal that the server was started on has closed. Nothing can be written there any more.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)
            self.stop.set()
        elif self._reload is not None:
            self._reload()
        else:
            self._is_wanted = True

    def _ignore(self, number: signal.Signals) -> None:
        log.info("signal_ignored", signal=signal.Signals(number).name)
