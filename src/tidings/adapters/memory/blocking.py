"""Block lists in memory."""

from __future__ import annotations

from collections.abc import Iterable

from tidings.adapters.memory.state import Accounts, existing
from tidings.base.jid import Jid


class MemoryBlocking:
    """The blocking port over a dict."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def list(self, account: Jid) -> frozenset[Jid]:
        """Give all blocked addresses."""
        state = self._accounts.get(account)
        return frozenset(state.blocked) if state else frozenset()

    async def add(self, account: Jid, jids: Iterable[Jid]) -> None:
        """Block all of these."""
        existing(self._accounts, account).blocked.update(jids)

    async def remove(self, account: Jid, jids: Iterable[Jid]) -> None:
        """Unblock all of these."""
        if state := self._accounts.get(account):
            state.blocked.difference_update(jids)

    async def clear(self, account: Jid) -> None:
        """Unblock everybody."""
        if state := self._accounts.get(account):
            state.blocked.clear()
