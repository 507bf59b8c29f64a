"""Displayed positions in memory."""

from __future__ import annotations

from collections.abc import Collection

from tidings.adapters.memory.state import Accounts, existing
from tidings.base.jid import Jid
from tidings.ports.displayed import Displayed, leaving


class MemoryDisplayed:
    """The displayed port over a dict, in the order in which positions were put."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def list(self, account: Jid, chats: Collection[Jid] = ()) -> tuple[Displayed, ...]:
        """Give the positions of these chats, or all."""
        state = self._accounts.get(account)
        kept = state.displayed.values() if state else ()
        return tuple(each for each in kept if not chats or each.chat in chats)

    async def put(self, account: Jid, displayed: Displayed, *, chats: int, octets: int) -> None:
        """Keep a position; the oldest leave for it."""
        kept = existing(self._accounts, account).displayed
        kept.pop(displayed.chat, None)
        others = [(each.chat, each.octets) for each in kept.values()]
        for chat in leaving(others, chats - 1, octets - displayed.octets):
            del kept[chat]
        kept[displayed.chat] = displayed
