"""The service manager: it is told when the server is ready, reloads, waits, stops, and that its loop runs.

The protocol is that of sd_notify(3), which systemd and others speak: datagrams to the Unix socket that
NOTIFY_SOCKET names. Where the variable is not set, nobody is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, MutableMapping
from typing import Final

import structlog

log = structlog.get_logger("tidings")

_SEND_SECONDS: Final = 0.5  # how long a word that counts may wait for a manager that is busy
_EXTEND_SECONDS: Final = 60  # what a start that waits asks for, again every ten seconds; see `StartProgress`
_CLOSE_SECONDS: Final = 30  # what an end takes beside the draining, at most


class ServiceManager:
    """Tells the service manager that started this process, if one did, what the process does."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Take the socket and the watchdog out of the environment: our own children do not speak for us."""
        self._socket = _connect(environment.pop("NOTIFY_SOCKET", ""))
        self._watchdog_seconds = _watchdog_seconds(environment)
        self._timer: asyncio.TimerHandle | None = None
        self._status = ""

    def watch(self) -> None:
        """Give the watchdog its signs of life, from the running loop: a loop that hangs gives none."""
        if self._socket is None or not self._watchdog_seconds:
            return
        with contextlib.suppress(OSError):  # a manager whose queue is full hears the next one
            self._socket.send(b"WATCHDOG=1", socket.MSG_DONTWAIT)
        # Twice in the time after which it is taken for dead, as sd_watchdog_enabled(3) advises.
        self._timer = asyncio.get_running_loop().call_later(self._watchdog_seconds / 2, self.watch)

    def waits_for(self, what: str) -> None:
        """Tell what the start waits for, and ask for more time; "" if it goes on."""
        if what:
            self._tell(f"STATUS=waits for {what}", f"EXTEND_TIMEOUT_USEC={_EXTEND_SECONDS * 1_000_000}")
        else:
            self._tell("STATUS=starts")

    def ready(self, status: str) -> None:
        """Tell that clients are served."""
        self._status = status
        self._tell("READY=1", f"STATUS={status}")

    @contextlib.asynccontextmanager
    async def reloading(self) -> AsyncIterator[None]:
        """Tell that a reload begins, and at its end that the server is as ready as before."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloads its configuration")
        try:
            yield
        finally:
            self.ready(self._status)

    def stopping(self, drain_seconds: int) -> None:
        """Tell that the server ends, and how long that may take."""
        seconds = drain_seconds + _CLOSE_SECONDS
        self._tell("STOPPING=1", "STATUS=stops", f"EXTEND_TIMEOUT_USEC={seconds * 1_000_000}")

    def failed(self, why: str) -> None:
        """Tell why the server has not started."""
        self._tell(f"STATUS=has not started: {why}")

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *assignments: str) -> None:
        if self._socket is None:
            return
        lines = "\n".join(" ".join(each.splitlines()) for each in assignments)
        try:
            self._socket.send(lines.encode())
        except OSError as error:
            log.warning("notify_failed", message=assignments[0], reason=str(error))


def _connect(address: str) -> socket.socket | None:
    """Reach the socket at a path or, where it begins with an @, in the abstract namespace."""
    if not address:
        return None
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    connected.settimeout(_SEND_SECONDS)
    try:
        connected.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        connected.close()
        log.warning("notify_failed", socket=address, reason=str(error))
        return None
    return connected


def _watchdog_seconds(environment: MutableMapping[str, str]) -> float:
    """Give the time without a sign of life after which the manager acts; 0 where it does not look."""
    process = environment.pop("WATCHDOG_PID", "")
    text = environment.pop("WATCHDOG_USEC", "")
    if not text.isdigit() or process not in {"", str(os.getpid())}:
        return 0.0
    return int(text) / 1_000_000
