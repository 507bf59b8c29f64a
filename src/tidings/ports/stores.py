"""All stores of one server behind one value, so that the composition treats every adapter alike."""

from __future__ import annotations

from typing import Protocol

from tidings.ports.accounts import AccountStore
from tidings.ports.blocking import BlockingStore
from tidings.ports.displayed import DisplayedStore
from tidings.ports.documents import DocumentStore
from tidings.ports.domains import DomainStore
from tidings.ports.files import FileStore
from tidings.ports.groups import GroupStore
from tidings.ports.ledger import Ledger
from tidings.ports.nodes import NodeStore
from tidings.ports.preferences import PreferencesStore
from tidings.ports.private import PrivateStore
from tidings.ports.removals import RemovalStore
from tidings.ports.renaming import RenamingStore
from tidings.ports.roster import RosterStore
from tidings.ports.vcard import VCardStore


class Stores(Protocol):
    """The stores of one server over one shared state; removing an account clears it in all of them."""

    @property
    def accounts(self) -> AccountStore:
        """The accounts with their keys and tokens."""
        ...

    @property
    def removals(self) -> RemovalStore:
        """The accounts that are to go, and the names of those that are gone."""
        ...

    @property
    def renaming(self) -> RenamingStore:
        """What gives an account another address, in all stores at once."""
        ...

    @property
    def domains(self) -> DomainStore:
        """The domains that were added while the server ran."""
        ...

    @property
    def roster(self) -> RosterStore:
        """The contacts of every account."""
        ...

    @property
    def groups(self) -> GroupStore:
        """The shared groups of every domain."""
        ...

    @property
    def private(self) -> PrivateStore:
        """The private XML of every account."""
        ...

    @property
    def displayed(self) -> DisplayedStore:
        """How far every account has read what its inbox does not have."""
        ...

    @property
    def vcards(self) -> VCardStore:
        """The vCard of every account."""
        ...

    @property
    def blocking(self) -> BlockingStore:
        """The block list of every account."""
        ...

    @property
    def preferences(self) -> PreferencesStore:
        """The archive preferences of every account."""
        ...

    @property
    def documents(self) -> DocumentStore:
        """What features without tables of their own keep."""
        ...

    @property
    def nodes(self) -> NodeStore:
        """The nodes of accounts and of hosts."""
        ...

    @property
    def files(self) -> FileStore:
        """What is known of the files that people have uploaded."""
        ...

    @property
    def ledger(self) -> Ledger | None:
        """Where accepted messages become durable; None where none are kept."""
        ...

    async def ping(self) -> None:
        """Return when the store answers; raises `BackendError` with what is wrong otherwise."""
        ...

    async def close(self) -> None:
        """Finish what was begun, let go of every file, connection and thread; a second call does nothing."""
        ...
