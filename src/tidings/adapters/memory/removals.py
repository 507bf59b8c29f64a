"""Accounts that are to go, and the names of those that are gone, in memory."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from tidings.adapters.memory.state import Accounts, FormerAccounts
from tidings.base.jid import Jid
from tidings.ports.accounts import Removal


class MemoryRemovals:
    """The removals port over dicts."""

    def __init__(self, accounts: Accounts, former: FormerAccounts) -> None:
        self._accounts = accounts
        self._former = former

    async def schedule(self, jid: Jid, removal: Removal) -> bool:
        """Note that an account is to go."""
        return self._set(jid, removal)

    async def cancel(self, jid: Jid) -> bool:
        """Take that back."""
        state = self._accounts.get(jid)
        return state is not None and state.record.removal is not None and self._set(jid, None)

    async def due(self, now: float, *, limit: int = 100) -> tuple[Jid, ...]:
        """Give accounts whose time has come."""
        waiting = (
            (state.record.removal.due, jid.text, jid)
            for jid, state in self._accounts.items()
            if state.record.removal is not None and state.record.removal.due <= now
        )
        return tuple(jid for _, _, jid in sorted(waiting)[:limit])

    async def former(self, jids: Collection[Jid]) -> dict[Jid, float]:
        """Give when accounts were removed."""
        return {jid: self._former[jid] for jid in jids if jid in self._former}

    async def forget_former(self, before: float) -> int:
        """Forget the addresses of accounts that were removed before then."""
        over = [jid for jid, removed in self._former.items() if removed < before]
        for jid in over:
            del self._former[jid]
        return len(over)

    def _set(self, jid: Jid, removal: Removal | None) -> bool:
        state = self._accounts.get(jid)
        if state is not None:
            state.record = replace(state.record, removal=removal)
        return state is not None
