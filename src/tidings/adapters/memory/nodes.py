"""Nodes in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from tidings.adapters.memory.state import Nodes, NodeState
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded
from tidings.ports.nodes import (
    Affiliation,
    Check,
    EndedSubscription,
    ItemPage,
    ItemQuery,
    Node,
    NodeConfig,
    NodeExists,
    NodeItem,
    NodeLimits,
    NoOwnerLeft,
    NoSuchItem,
    NoSuchNode,
    OwnedItem,
    Published,
    Standing,
    Subscription,
    check_nodes,
    check_octets,
    has_owner,
    page_of,
    room_for_items,
)


class MemoryNodes:
    """The nodes port over a dict."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    # --- nodes

    async def get(self, owner: Jid, name: str) -> Node | None:
        """Give the node, or None."""
        state = self._find(owner, name)
        return None if state is None else state.node

    async def list(self, owner: Jid, *, after: str = "", limit: int = 1_000) -> tuple[Node, ...]:
        """Give nodes of an owner."""
        names = sorted(name for name in self._nodes.get(owner, {}) if name.encode() > after.encode())
        return tuple(self._nodes[owner][name].node for name in names[:limit])

    async def create(
        self, owner: Jid, name: str, config: NodeConfig, now: float, *, by: Jid, limits: NodeLimits
    ) -> Node:
        """Make a node."""
        if self._find(owner, name) is not None:
            raise NodeExists(name)
        check_nodes(len(self._nodes.get(owner, {})), limits)
        state = _made(owner, name, config, now, by)
        self._nodes.setdefault(owner, {})[name] = state
        return state.node

    async def configure(
        self, owner: Jid, name: str, config: Callable[[NodeConfig], NodeConfig], *, by: Jid, check: Check
    ) -> tuple[Node, tuple[str, ...]]:
        """Change the configuration."""
        state = self._checked(owner, name, by, check)
        state.node = replace(state.node, config=config(state.node.config))
        most = state.node.config.max_items
        most = 0 if not state.node.config.persist_items else most
        left = [] if most is None else list(state.items)[: max(len(state.items) - most, 0)]
        for each in left:
            del state.items[each]
        return state.node, tuple(left)

    async def delete(self, owner: Jid, name: str, *, by: Jid, check: Check) -> Node:
        """Delete a node."""
        node = self._checked(owner, name, by, check).node
        del self._nodes[owner][name]
        return node

    async def clear(self, owner: Jid) -> int:
        """Delete all nodes of an owner."""
        return len(self._nodes.pop(owner, {}))

    # --- items

    async def publish(
        self,
        owner: Jid,
        name: str,
        item: NodeItem,
        *,
        make: NodeConfig | None,
        check: Check,
        limits: NodeLimits,
    ) -> Published:
        """Keep an item as the newest."""
        found = state = self._find(owner, name)
        if state is None:
            if make is None:
                raise NoSuchNode(name)
            check_nodes(len(self._nodes.get(owner, {})), limits)
            state = _made(owner, name, make, item.published, item.publisher)
        check(state.node, _standing(state, item.publisher))
        config = state.node.config
        room = room_for_items(config, limits)
        expired = -math.inf if config.item_expire is None else item.published - config.item_expire
        others = [each for each in state.items.values() if each.id != item.id]
        gone = [each.id for each in others if each.published <= expired]
        staying = [each.id for each in others if each.published > expired]
        left = staying[: max(len(staying) + 1 - room, 0)] if room else []
        freed = sum(state.items[each].octets for each in {*gone, *left, item.id} & state.items.keys())
        if room:
            check_octets(self._octets(owner), freed, item, limits)
            for each in (*gone, *left, item.id):
                state.items.pop(each, None)
            state.items[item.id] = item
        self._nodes.setdefault(owner, {})[name] = state
        return Published(state.node, found is None, tuple(left))

    async def items(self, owner: Jid, name: str, query: ItemQuery) -> ItemPage:
        """Give items."""
        state = self._find(owner, name)
        if state is None:
            return ItemPage(())
        kept = [each for each in state.items.values() if query.above is None or each.published > query.above]
        if query.ids:
            return ItemPage(tuple(each for each in kept if each.id in query.ids), 0, len(kept))
        names = [each.id for each in kept]
        for wanted in (query.after, query.before):
            if wanted is not None and wanted not in names:
                raise NoSuchItem(wanted)
        first = 0 if query.after is None else names.index(query.after) + 1
        end = len(names) if query.before is None else names.index(query.before)
        taken = page_of([(each.id, len(each.payload)) for each in kept[first:end]], query)
        items = tuple(state.items[each] for each in taken)
        return ItemPage(items, names.index(taken[0]) if taken else 0, len(kept))

    async def last_items(
        self, owners: Collection[Jid], names: Collection[str], *, by: Jid
    ) -> tuple[OwnedItem, ...]:
        """Give the newest item of each node."""
        found = (self._find(owner, name) for owner in owners for name in names)
        return tuple(
            OwnedItem(state.node, list(state.items.values())[-1], _standing(state, by).affiliation)
            for state in found
            if state is not None and state.items
        )

    async def retract(self, owner: Jid, name: str, item: str, *, by: Jid, check: Check) -> tuple[Node, bool]:
        """Delete an item."""
        state = self._checked(owner, name, by, check)
        return state.node, state.items.pop(item, None) is not None

    async def purge(self, owner: Jid, name: str, *, by: Jid, check: Check) -> Node:
        """Delete all items of a node."""
        state = self._checked(owner, name, by, check)
        state.items.clear()
        return state.node

    # --- people

    async def standing(self, owner: Jid, name: str, by: Jid) -> tuple[Node, Standing] | None:
        """Give a node and how somebody stands to it."""
        state = self._find(owner, name)
        return None if state is None else (state.node, _standing(state, by))

    async def affiliations(self, owner: Jid, name: str) -> dict[Jid, Affiliation]:
        """Give the affiliations of a node."""
        state = self._find(owner, name)
        return {} if state is None else dict(state.affiliations)

    async def affiliations_of(self, owner: Jid, jid: Jid) -> dict[str, Affiliation]:
        """Give the affiliations of a bare JID."""
        kept = self._nodes.get(owner, {})
        return {name: kept[name].affiliations[jid] for name in sorted(kept) if jid in kept[name].affiliations}

    async def affiliate(
        self,
        owner: Jid,
        name: str,
        affiliations: Mapping[Jid, Affiliation],
        *,
        by: Jid,
        check: Check,
        most: int,
    ) -> Node:
        """Change affiliations."""
        state = self._checked(owner, name, by, check)
        after = {**state.affiliations, **affiliations}
        after = {jid: each for jid, each in after.items() if each is not Affiliation.NONE}
        if len(after) > most and len(after) > len(state.affiliations):
            raise ShareExceeded("the node", len(after), most, "affiliations")
        if not has_owner(owner, after.values()):
            raise NoOwnerLeft(name)
        state.affiliations = after
        return state.node

    async def subscriptions(self, owner: Jid, name: str) -> tuple[Subscription, ...]:
        """Give the subscriptions of a node."""
        state = self._find(owner, name)
        return () if state is None else tuple(state.subscriptions.values())

    async def subscriptions_of(self, owner: Jid, jid: Jid) -> dict[str, tuple[Subscription, ...]]:
        """Give the subscriptions of a bare JID."""
        kept = self._nodes.get(owner, {})
        found = {name: _standing(kept[name], jid).subscriptions for name in sorted(kept)}
        return {name: each for name, each in found.items() if each}

    async def subscribe(
        self,
        owner: Jid,
        name: str,
        subscription: Subscription,
        *,
        by: Jid,
        check: Check,
        most: int,
        keeps_options: bool = True,
    ) -> Subscription:
        """Keep a subscription."""
        state = self._checked(owner, name, by, check)
        before = state.subscriptions.get(subscription.jid)
        if before is None and len(state.subscriptions) >= most:
            raise ShareExceeded("the node", len(state.subscriptions) + 1, most, "subscriptions")
        kept = subscription
        if before is not None:
            options = before.options if keeps_options else subscription.options
            kept = replace(before, state=subscription.state, options=options)
        state.subscriptions[subscription.jid] = kept
        return kept

    async def unsubscribe(
        self, owner: Jid, name: str, jid: Jid, *, by: Jid, check: Check
    ) -> Subscription | None:
        """Delete a subscription."""
        return self._checked(owner, name, by, check).subscriptions.pop(jid, None)

    async def unsubscribe_refused(
        self, owner: Jid, name: str, jids: Collection[Jid], *, may_stay: Callable[[Node, Jid, Standing], bool]
    ) -> tuple[Subscription, ...]:
        """Delete subscriptions that may not stay."""
        state = self._find(owner, name)
        if state is None:
            return ()
        here = [jid for jid in jids if jid in state.subscriptions]
        gone = [jid for jid in here if not may_stay(state.node, jid, _standing(state, jid))]
        return tuple(state.subscriptions.pop(jid) for jid in gone)

    # --- what goes by itself

    async def delete_expired(self, now: float, *, after: str = "", limit: int) -> tuple[int, str]:
        """Delete the expired items of so many nodes."""
        states = (state for kept in self._nodes.values() for state in kept.values())
        places = {_place(state): state for state in states if state.node.config.item_expire is not None}
        due = sorted(place for place in places if place > after)
        gone = 0
        for place in due[:limit]:
            items, seconds = places[place].items, places[place].node.config.item_expire
            assert seconds is not None
            for each in [each.id for each in items.values() if each.published <= now - seconds]:
                del items[each]
                gone += 1
        return gone, due[limit - 1] if len(due) > limit else ""

    async def end_subscriptions(self, now: float, *, limit: int) -> tuple[EndedSubscription, ...]:
        """Delete subscriptions whose time is over."""
        states = (state for kept in self._nodes.values() for state in kept.values())
        over = [
            (state, each)
            for state in states
            for each in state.subscriptions.values()
            if each.options.expire is not None and each.options.expire <= now
        ][:limit]
        for state, each in over:
            del state.subscriptions[each.jid]
        return tuple(EndedSubscription(state.node, each) for state, each in over)

    def _find(self, owner: Jid, name: str) -> NodeState | None:
        return self._nodes.get(owner, {}).get(name)

    def _checked(self, owner: Jid, name: str, by: Jid, check: Check) -> NodeState:
        state = self._find(owner, name)
        if state is None:
            raise NoSuchNode(name)
        check(state.node, _standing(state, by))
        return state

    def _octets(self, owner: Jid) -> int:
        states = self._nodes.get(owner, {}).values()
        return sum(item.octets for state in states for item in state.items.values())


def forget_nodes(nodes: Nodes, account: Jid) -> None:
    """Delete all nodes of an account that goes, and what it has at others' nodes."""
    nodes.pop(account, None)
    for state in (state for kept in nodes.values() for state in kept.values()):
        state.affiliations.pop(account, None)
        state.subscriptions = {jid: each for jid, each in state.subscriptions.items() if jid.bare != account}


def _place(state: NodeState) -> str:
    return f"{state.node.owner.text}\0{state.node.name}"


def _made(owner: Jid, name: str, config: NodeConfig, now: float, by: Jid) -> NodeState:
    state = NodeState(Node(owner=owner, name=name, config=config, created=now))
    if by != owner:
        state.affiliations[by] = Affiliation.OWNER
    return state


def _standing(state: NodeState, by: Jid) -> Standing:
    found = tuple(each for jid, each in state.subscriptions.items() if jid.bare == by.bare)
    return Standing(state.affiliations.get(by.bare, Affiliation.NONE), found)
