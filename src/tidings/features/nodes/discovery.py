"""Node discovery: which nodes there are, what each is, and what is in it (XEP-0060 1.30.0 §5.2 to §5.5)."""

from __future__ import annotations

from typing import Final

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.nodes.answers import page_of, page_query
from tidings.features.nodes.lookup import Lookup
from tidings.features.nodes.rules import Person, may_read
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.node_configuration import form_of
from tidings.ports.nodes import AccessModel, Affiliation, ItemQuery, Node, NodeStore
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.date_time import format_date_time
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest

_TOLD: Final = {"pubsub#title", "pubsub#type", "pubsub#access_model", "pubsub#max_items"}
_SUBSCRIBABLE: Final = {AccessModel.OPEN, AccessModel.AUTHORIZE}
"""Nodes of a host that everybody may know of."""
_MOST_LISTED: Final = 1_000
"""Nodes of one answer."""


class NodeDiscovery:
    """Answers questions of service discovery, to who may know."""

    def __init__(self, store: NodeStore, lookup: Lookup) -> None:
        self._store = store
        self._lookup = lookup

    async def describe(self, event: DiscoInfo, owner: Jid, person: Person) -> None:
        """Tell what a node is (§5.3, §5.4)."""
        found = await self._store.standing(owner, event.node, event.asker)
        if found is None:
            return
        node, standing = found
        is_told = not owner.local and node.config.access_model in _SUBSCRIBABLE
        if is_told or may_read(node.config, person, standing):
            event.known = True
            event.identities.append(("pubsub", "leaf", node.config.title))
            event.features.append(ns.PUBSUB)
            event.forms.append(_meta_data(node).encode())

    async def list_items(self, event: DiscoItems, owner: Jid, person: Person, most: int) -> None:
        """Name the items of a node (§5.5), a page at a time where they are many."""
        found = await self._store.standing(owner, event.node, event.asker)
        if found is None or not may_read(found[0].config, person, found[1]):
            return
        event.known = True
        asked, above = event.page, self._lookup.expired(found[0].config)
        query = ItemQuery(limit=most, above=above)
        if asked != PageRequest():
            query = page_query(asked, query)
        page = await self._store.items(owner, event.node, query)
        event.items += [(owner, "", each.id) for each in page.items]
        if asked != PageRequest() or len(page.items) < page.count:
            event.shown = page_of(page)

    async def list_nodes(self, event: DiscoItems, owner: Jid, person: Person) -> None:
        """Name the nodes of an account that who asks may read (XEP-0163 §6.2)."""
        for node in await self._store.list(owner):
            found = await self._store.standing(owner, node.name, event.asker)
            if found is not None and may_read(found[0].config, person, found[1]):
                event.items.append((owner, node.name, node.config.title))

    async def list_nodes_of_host(self, event: DiscoItems, owner: Jid, person: Person) -> None:
        """Name the nodes of a host that who asks may know of (§5.2), a page at a time where they are many."""
        asked = event.page
        if asked.before is not None or asked.index is not None:
            raise StanzaError("feature-not-implemented", "ask for the nodes that come after one of them")
        size, after = asked.size(default=_MOST_LISTED, limit=_MOST_LISTED), asked.after or ""
        mine = await self._store.affiliations_of(owner, person.jid.bare)
        names: list[str] = []
        is_cut = False
        while not is_cut:
            nodes = await self._store.list(owner, after=after, limit=_MOST_LISTED)
            for node in nodes:
                if _may_know(node, person, mine.get(node.name, Affiliation.NONE)):
                    is_cut = len(names) >= size
                    if is_cut:
                        break
                    names.append(node.name)
                    event.items.append((owner, node.name, node.config.title))
            if len(nodes) < _MOST_LISTED:
                break
            after = nodes[-1].name
        if is_cut or asked != PageRequest():
            is_first = not asked.after
            count = len(names) if is_first and not is_cut else None
            first, last = (names[0], names[-1]) if names else (None, None)
            event.shown = Page(first, last, 0 if is_first and names else None, count)


def _may_know(node: Node, person: Person, affiliation: Affiliation) -> bool:
    if person.is_owner:
        return True
    if affiliation in {Affiliation.NONE, Affiliation.OUTCAST}:
        return node.config.access_model in _SUBSCRIBABLE
    return True


def _meta_data(node: Node) -> DataForm:
    """Give what is told of a node (§5.4)."""
    fields = [Field(each.name, each.values, FieldKind.TEXT_SINGLE) for each in form_of(node.config).fields]
    made = format_date_time(round(node.created * SECOND))
    return DataForm.of(
        FormKind.RESULT,
        ns.PUBSUB_META_DATA,
        *(each for each in fields if each.name in _TOLD),
        Field("pubsub#creation_date", (made,), FieldKind.TEXT_SINGLE),
    )
