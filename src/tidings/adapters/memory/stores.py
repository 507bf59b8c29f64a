"""All memory stores behind one value."""

from __future__ import annotations

from tidings.adapters.memory.accounts import MemoryAccounts
from tidings.adapters.memory.blocking import MemoryBlocking
from tidings.adapters.memory.ledger import NullLedger
from tidings.adapters.memory.private import MemoryPrivate
from tidings.adapters.memory.roster import MemoryRoster
from tidings.adapters.memory.state import Accounts
from tidings.adapters.memory.vcard import MemoryVCards


class MemoryStores:
    """Every port over one state; two of these share nothing."""

    def __init__(self) -> None:
        state: Accounts = {}
        self.accounts = MemoryAccounts(state)
        self.roster = MemoryRoster(state)
        self.private = MemoryPrivate(state)
        self.vcards = MemoryVCards(state)
        self.blocking = MemoryBlocking(state)
        self.ledger = NullLedger()

    async def ping(self) -> None:
        """Return at once: memory answers."""

    async def close(self) -> None:
        """Do nothing: the state goes with its last reader."""
