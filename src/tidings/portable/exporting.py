"""Exporting: what the stores hold of accounts, as they would leave for another server.

Messages come as every view shows them: what its author took back leaves as a tombstone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final, NamedTuple

from tidings.base.jid import Jid
from tidings.messages.shown import shown_body
from tidings.portable.account import PortableAccount, PortableMembership, PortableNode, PrivateFragment
from tidings.ports.files import FileRecord, FileState
from tidings.ports.ledger.batch import Direction
from tidings.ports.ledger.reading import EntryId, PageQuery
from tidings.ports.nodes import ItemQuery, Node, NodeItem
from tidings.ports.stores import Stores

_PAGE: Final = 500
_PAGE_OCTETS: Final = 4 << 20


class Kept(NamedTuple):
    """A message of an archive, as views show it."""

    id: EntryId
    time: int
    """In microseconds since 1970."""
    body: bytes


class Exporter:
    """Reads the accounts of some domains, or some accounts alone."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._groups: dict[str, dict[Jid, list[PortableMembership]]] = {}
        """By domain and account, as they were when the first account of the domain was read."""

    async def accounts(self, domains: Iterable[str]) -> AsyncIterator[PortableAccount]:
        """Give every account of the domains, in the order of their names."""
        for domain in domains:
            after: Jid | None = None
            while page := await self._stores.accounts.list(domain, after=after, limit=_PAGE):
                for jid in page:
                    account = await self.account(jid)
                    if account is not None:
                        yield account
                after = page[-1]

    async def account(self, jid: Jid) -> PortableAccount | None:
        """Give one account but for its archive; None where there is none."""
        stores = self._stores
        record = await stores.accounts.get(jid)
        if record is None:
            return None
        private = []
        for namespace, name in sorted(await stores.private.sizes(jid)):
            raw = await stores.private.get(jid, namespace, name)
            if raw is not None:
                private.append(PrivateFragment(namespace, name, raw))
        return PortableAccount(
            jid=jid,
            keys=record.keys,
            created=record.created,
            ban=record.ban,
            last_activity=record.last_activity,
            last_status=record.last_status,
            contacts=(await stores.roster.load(jid)).entries,
            groups=tuple(await self._groups_of(jid)),
            vcard=await stores.vcards.get(jid),
            private=tuple(private),
            blocked=await stores.blocking.list(jid),
            preferences=await stores.preferences.get(jid),
            nodes=tuple([await self._node(node) for node in await self._nodes_of(jid)]),
        )

    async def _nodes_of(self, jid: Jid) -> list[Node]:
        found: list[Node] = []
        while page := await self._stores.nodes.list(jid, after=found[-1].name if found else ""):
            found += page
        return found

    async def _node(self, node: Node) -> PortableNode:
        store, items = self._stores.nodes, list[NodeItem]()
        while True:
            query = ItemQuery(after=items[-1].id if items else None, from_start=True, limit=_PAGE)
            page = await store.items(node.owner, node.name, query)
            items += page.items
            if not page.items or len(items) >= page.count:
                break
        affiliations = await store.affiliations(node.owner, node.name)
        subscriptions = await store.subscriptions(node.owner, node.name)
        people = tuple(sorted(affiliations.items()))
        return PortableNode(node.name, node.config, tuple(items), people, subscriptions)

    async def _groups_of(self, jid: Jid) -> list[PortableMembership]:
        found = self._groups.get(jid.domain)
        if found is None:
            state = await self._stores.groups.load(jid.domain)
            labels = {group.name: group.label for group in state.groups}
            found = self._groups[jid.domain] = {}
            for each in state.memberships:
                if not each.removed and each.group in labels:
                    membership = PortableMembership(each.group, labels[each.group], each.name)
                    found.setdefault(each.jid, []).append(membership)
        return sorted(found.get(jid, ()), key=lambda each: each.group)

    async def files(self, jid: Jid) -> AsyncIterator[FileRecord]:
        """Give what is known of the files that an account has uploaded; their octets have addresses."""
        after = ""
        while page := await self._stores.files.list(jid, after=after, limit=_PAGE):
            for file in page:
                if file.state is FileState.COMPLETE:
                    yield file
            after = page[-1].id

    async def history(self, jid: Jid) -> AsyncIterator[Kept]:
        """Give the archive of an account, oldest first."""
        async for kept in self._entries(jid, 0, is_for_devices=False):
            yield kept

    async def undelivered(self, jid: Jid) -> AsyncIterator[Kept]:
        """Give what the account has received and no device has had, oldest first."""
        ledger = self._stores.ledger
        if ledger is None:
            return
        devices = await ledger.devices(jid)
        position = max((device.position for device in devices.values()), default=0)
        async for kept in self._entries(jid, position, is_for_devices=True):
            yield kept

    async def _entries(self, jid: Jid, position: int, *, is_for_devices: bool) -> AsyncIterator[Kept]:
        ledger = self._stores.ledger
        if ledger is None:
            return
        while True:
            query = PageQuery(
                above=position,
                limit=_PAGE,
                octets=_PAGE_OCTETS,
                counted=False,
                offline_only=is_for_devices,
            )
            page = await ledger.page(jid, query)
            for entry in page.entries:
                position = entry.id.position
                if is_for_devices and (entry.direction is Direction.SENT or entry.retracted is not None):
                    continue
                body = shown_body(entry, jid)
                if body is not None:
                    yield Kept(entry.id, entry.time, body)
            if page.is_complete or not page.entries:
                return
