"""vCards in memory."""

from __future__ import annotations

from collections.abc import Mapping

from tidings.adapters.memory.state import Accounts, existing
from tidings.base.jid import Jid


class MemoryVCards:
    """The vCard port over a dict."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def get(self, account: Jid) -> bytes | None:
        """Give the vCard element as it was put, or None."""
        state = self._accounts.get(account)
        return state.vcard if state else None

    async def put_all(self, vcards: Mapping[Jid, bytes]) -> None:
        """Keep the vCards of several accounts."""
        states = [(existing(self._accounts, account), raw) for account, raw in vcards.items()]
        for state, raw in states:
            state.vcard = raw

    async def put(self, account: Jid, raw: bytes) -> None:
        """Keep this raw vCard element in place of the one before."""
        existing(self._accounts, account).vcard = raw
