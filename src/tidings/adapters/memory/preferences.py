"""Archive preferences in memory."""

from __future__ import annotations

from tidings.adapters.memory.state import Accounts, existing
from tidings.base.jid import Jid
from tidings.ports.preferences import StoredPreferences


class MemoryPreferences:
    """The preferences port over a dict."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def get(self, account: Jid) -> StoredPreferences | None:
        """Give what the account has decided, or None."""
        state = self._accounts.get(account)
        return state.preferences if state else None

    async def put(self, account: Jid, preferences: StoredPreferences) -> None:
        """Keep these in place of the ones before."""
        existing(self._accounts, account).preferences = preferences
