"""However much waits for clients that never read, the server's memory stays within what its options say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.dialogs.raw_client import RawClient, raw_client
from tests.fuzz.watch import resident
from tests.harness.server_process import ServerProcess

PASSWORD = "Rosencrantz"
ACCOUNTS = [f"deaf{number}" for number in range(4)]
SESSIONS = 50  # of each account
TEXT = "x" * 60_000
ROUNDS = 100  # of 4 x 60 kB, each for fifty sessions: 24 MB that would be 1,200 MB
HEADLINES = 10  # of 60 kB for each of 200 sessions: 120 MB
MiB = 1024 * 1024
BUDGET = 16 * MiB
OPTIONS = f"""
[limits]
outbound_total_bytes = {BUDGET}
"""


class Feeding:
    """One client sends to 200 sessions that read nothing; another one, carol, must not notice."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._number = 0
        self.before = 0
        self.most = 0
        self.after = 0

    async def run(self) -> None:
        for name in (*ACCOUNTS, "feeder", "carol"):
            self._server.register(name, PASSWORD)
        clients = [await self._deaf(name, f"r{each}") for name in ACCOUNTS for each in range(SESSIONS)]
        self._feeder, self._carol = await self._client("feeder"), await self._client("carol")
        self.before = self.most = resident(self._server.process.pid)
        for _ in range(ROUNDS):
            await self._feed("chat", [f"{name}@localhost" for name in ACCOUNTS])
        for _ in range(HEADLINES):  # which no archive keeps for later
            for each in range(SESSIONS):
                await self._feed("headline", [f"{name}@localhost/r{each}" for name in ACCOUNTS])
        for each in clients:
            await each.abort()
        late = await self._client("carol", "later")
        self.after = resident(self._server.process.pid)
        for each in (self._feeder, self._carol, late):
            await each.close()

    async def _client(self, name: str, resource: str = "x") -> RawClient:
        made = raw_client(self._server, "tcp", [])
        await made.log_in(name, PASSWORD, resource)
        return made

    async def _deaf(self, name: str, resource: str) -> RawClient:
        made = await self._client(name, resource)
        await made.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        assert (await made.receive()).tag.endswith("enabled")
        await made.send("<presence/>")
        return made

    async def _feed(self, kind: str, recipients: list[str]) -> None:
        """Send to each, and say something to carol, who hears it when all is done."""
        for to in recipients:
            await self._feeder.send(f"<message to='{to}' type='{kind}'><body>{TEXT}</body></message>")
        self._number += 1
        await self._feeder.send(
            f"<message to='carol@localhost/x' id='{self._number}'><body>hi</body></message>"
        )
        assert (await self._carol.receive()).get("id") == str(self._number)
        self.most = max(self.most, resident(self._server.process.pid))


@pytest.mark.timeout(300)
def test_many_that_never_read_are_fed_by_one_client(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path, extra_configuration=OPTIONS)
    feeding = Feeding(server)
    try:
        asyncio.run(feeding.run())
    finally:
        server.stop_troubled()
    grown, left = feeding.most - feeding.before, feeding.after - feeding.before
    assert grown < 5 * BUDGET, f"{grown:,} octets more than {feeding.before:,}"  # with no budget some 290 MB
    assert left < 5 * BUDGET, f"{left:,} octets stayed"
