"""Private XML in memory."""

from __future__ import annotations

from tidings.adapters.memory.state import Accounts, existing
from tidings.base.jid import Jid


class MemoryPrivate:
    """The private storage port over a dict."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def get(self, account: Jid, namespace: str, name: str) -> bytes | None:
        """Give the element as it was put, or None."""
        state = self._accounts.get(account)
        return state.private.get((namespace, name)) if state else None

    async def put(self, account: Jid, namespace: str, name: str, raw: bytes) -> None:
        """Keep this raw element in place of the one before."""
        existing(self._accounts, account).private[namespace, name] = raw

    async def remove(self, account: Jid, namespace: str, name: str) -> None:
        """Keep this element no more."""
        if state := self._accounts.get(account):
            state.private.pop((namespace, name), None)

    async def sizes(self, account: Jid) -> dict[tuple[str, str], int]:
        """Give the octets of every element."""
        state = self._accounts.get(account)
        return {key: len(raw) for key, raw in state.private.items()} if state else {}
