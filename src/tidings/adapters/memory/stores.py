"""All memory stores behind one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tidings.adapters.memory.accounts import MemoryAccounts
from tidings.adapters.memory.blocking import MemoryBlocking
from tidings.adapters.memory.displayed import MemoryDisplayed
from tidings.adapters.memory.documents import MemoryDocuments
from tidings.adapters.memory.domains import MemoryDomains
from tidings.adapters.memory.files import MemoryFiles
from tidings.adapters.memory.groups import MemoryGroups
from tidings.adapters.memory.nodes import MemoryNodes
from tidings.adapters.memory.preferences import MemoryPreferences
from tidings.adapters.memory.private import MemoryPrivate
from tidings.adapters.memory.removals import MemoryRemovals
from tidings.adapters.memory.renaming import MemoryRenaming
from tidings.adapters.memory.roster import MemoryRoster
from tidings.adapters.memory.state import Accounts, Documents, FormerAccounts, Nodes
from tidings.adapters.memory.vcard import MemoryVCards
from tidings.ports.ledger import Ledger


class MemoryStores:
    """Every port over one state; two of these share nothing.

    The ledger is made by another adapter, SQLite's `:memory:`; without one no messages are kept.
    """

    def __init__(
        self, ledger: Ledger | None = None, close: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        state: Accounts = {}
        documents: Documents = {}
        nodes: Nodes = {}
        former: FormerAccounts = {}
        self.groups = MemoryGroups(state)
        self.files = MemoryFiles(state)
        self.accounts = MemoryAccounts(state, documents, nodes, former, ledger, self.groups, self.files)
        self.removals = MemoryRemovals(state, former)
        self.domains = MemoryDomains()
        self.roster = MemoryRoster(state)
        self.private = MemoryPrivate(state)
        self.displayed = MemoryDisplayed(state)
        self.vcards = MemoryVCards(state)
        self.blocking = MemoryBlocking(state)
        self.preferences = MemoryPreferences(state)
        self.documents = MemoryDocuments(documents)
        self.nodes = MemoryNodes(nodes)
        self.renaming = MemoryRenaming(state, documents, nodes, former, self.groups, self.files, ledger)
        self.ledger: Ledger | None = ledger
        self._close = close

    async def ping(self) -> None:
        """Return at once: memory answers."""

    async def close(self) -> None:
        """Close the ledger; the rest of the state goes with its last reader."""
        if self._close is not None:
            await self._close()
