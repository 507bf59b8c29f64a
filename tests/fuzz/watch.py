"""Looks after a server that is tried: its log, its memory, and whether it serves others."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

from tests.fuzz.budget import Outcome
from tests.fuzz.guest import Guest
from tests.harness.server_process import ServerProcess

_WARM = 120.0  # seconds until caches are full; memory is compared with what it was then
_GROWTH = 40_000_000  # octets that a run may add after that


def on_a_server(fuzz: Callable[[ServerProcess], Coroutine[None, None, Outcome]], **variables: str) -> Outcome:
    """Run a fuzzer on a server of its own, whose environment has these variables, too."""
    with tempfile.TemporaryDirectory(prefix="tidings-fuzz-") as folder:
        server = ServerProcess.start(Path(folder), environment={"TIDINGS_LOG__LEVEL": "info", **variables})
        try:
            return asyncio.run(fuzz(server))
        finally:
            server.kill()


class Watch:
    """Two clients that write to each other, a place in the log, and what memory there was."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._clients: list[Guest] = []
        self._read = 0
        self._start = time.monotonic()
        self._warm: int | None = None

    async def begin(self) -> None:
        """Log in."""
        for name in ("dave", "erin"):
            client = Guest(self._server, name, "tcp")
            await client.enter()
            await client.send("<presence/>")
            self._clients.append(client)

    async def look(self, number: int) -> list[str]:
        """Tell what is wrong now."""
        found = [f"logged: {line}" for line in self._bugs()]
        if self._server.process.poll() is not None:
            raise AssertionError(f"the server has ended: {self._server.log_tail()}")
        one, other = self._clients
        await one.send(f"<iq type='get' id='w{number}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        await one.send(f"<message to='{other.address}' type='chat'><body>b{number}</body></message>")
        if one.condition is not None or other.condition is not None:
            found.append(f"streams of others have ended: {one.condition}, {other.condition}")
            await self._begin_anew()
        else:
            if not await one.until_answered({f"w{number}"}):
                found.append("another client's ping is not answered")
            if not await other.until_told(f"b{number}"):
                found.append("another client's message does not arrive")
        for client in self._clients:
            client.answers.clear()
            client.bodies.clear()
        if self._warm is None and time.monotonic() - self._start > _WARM:
            self._warm = resident(self._server.process.pid)
        return found

    async def end(self, outcome: Outcome) -> list[str]:
        """Log out, and tell what is wrong at the end."""
        for client in self._clients:
            await client.leave()
        now = resident(self._server.process.pid)
        outcome.counts["octets of memory at the end"] = now
        if self._warm is None:
            return []
        outcome.counts["octets of memory when warm"] = self._warm
        return [f"memory grew from {self._warm:,} to {now:,}"] if now - self._warm > _GROWTH else []

    async def _begin_anew(self) -> None:
        for client in self._clients:
            await client.leave()
        self._clients.clear()
        await self.begin()

    def _bugs(self) -> Iterator[str]:
        log = self._server.log
        new, self._read = log[self._read :], len(log)
        for line in new.splitlines():
            if line.startswith("Traceback") or "Warning: " in line:
                yield line
            elif '"level": "error"' in line or '"level":"error"' in line or '"event":"bug"' in line:
                entry = json.loads(line)
                yield f"{entry.get('place')}: {entry.get('exception', line)}"


def resident(pid: int) -> int:
    """Give the resident memory of a process and its children, in octets."""
    pages = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(folder.name) == pid or int(fields[1]) == pid:
                pages += int(fields[21])
        except OSError:
            continue  # it has ended
    return pages * 4096
