"""Lookup: what of a node several use cases need to know."""

from __future__ import annotations

from tidings.base.jid import Jid
from tidings.features.nodes.answers import named, told_item
from tidings.features.nodes.rules import Right, check_right
from tidings.features.nodes.terms import News, People, Visit
from tidings.kernel.clock import Clock
from tidings.ports.nodes import ItemQuery, Node, NodeConfig, NodeStore, NoSuchNode, SendLast, Standing
from tidings.wire.xmpp.payloads.pubsub import PubSubEvent


class Lookup:
    """Finds nodes, and who is what to them."""

    def __init__(self, store: NodeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def people(self, owner: Jid, name: str) -> People:
        """Give who is affiliated and subscribed to a node."""
        return People(
            await self._store.affiliations(owner, name), await self._store.subscriptions(owner, name)
        )

    def expired(self, config: NodeConfig) -> float | None:
        """Give the time of the last publication that has expired; None where nothing does."""
        return None if config.item_expire is None else self._clock.now() - config.item_expire

    async def standing(self, visit: Visit, name: str, jid: Jid | None = None) -> tuple[Node, Standing]:
        """Give a node and how somebody stands to it, who asks by default; raises `NoSuchNode`."""
        found = await self._store.standing(visit.owner, named(name), jid or visit.person.jid)
        if found is None:
            raise NoSuchNode(name)
        return found

    async def owned(self, visit: Visit, name: str) -> Node:
        """Give a node that who asks owns; raises `NoSuchNode`, or `forbidden`."""
        node, standing = await self.standing(visit, name)
        check_right(Right.OWN, visit.person, standing)
        return node

    async def last_item(self, node: Node, jid: Jid) -> tuple[News, ...]:
        """Give what somebody is told who begins to hear of a node (§6.1.7): its last item, if it has one."""
        if node.config.send_last is SendLast.NEVER:
            return ()
        query = ItemQuery(limit=1, above=self.expired(node.config))
        page = await self._store.items(node.owner, node.name, query)
        return tuple(
            News(
                owner=node.owner,
                node=node.name,
                config=node.config,
                content=PubSubEvent(node.name, (told_item(node.config, each),)).encode(),
                only=jid,
            )
            for each in page.items
        )
