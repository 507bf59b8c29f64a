"""Reset when empty: a server for test suites forgets everything when the last session has ended.

It belongs to the test profile and is loaded only with `reset_when_empty` in `[server]`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tidings.kernel.events import SessionEnded
from tidings.kernel.feature import Feature, listens
from tidings.kernel.server import Server
from tidings.ports.accounts import AccountStore
from tidings.ports.ledger import Ledger


class Refill(NamedTuple):
    """What is done after everything has been forgotten."""

    run: Callable[[], Awaitable[None]]


class ResetWhenEmpty(Feature):
    """Removes all accounts and their archives when the server has no session left."""

    def __init__(self, server: Server, accounts: AccountStore, ledger: Ledger, refill: Refill) -> None:
        self._server = server
        self._accounts = accounts
        self._ledger: Ledger | None = ledger  # a server without archives provides none
        self._refill = refill

    @listens(SessionEnded)
    def look(self, event: SessionEnded) -> None:
        """Reset unless somebody is left."""
        del event
        if not self._server.session_count:
            self._server.supervisor.start("reset", self._reset())

    async def _reset(self) -> None:
        for host in self._server.hosts.values():
            while page := await self._accounts.list(host.domain):
                for jid in page:
                    await self._accounts.remove(jid)
                    while self._ledger is not None and await self._ledger.forget_account(jid):
                        pass
                    host.directory.forget(jid)
        await self._refill.run()
