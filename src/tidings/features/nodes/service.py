"""Node service: answers what is asked of nodes, by the rules that hold for all that have some.

Implements XEP-0060 1.30.0; the marks § point at its sections. An account's nodes and those of a host differ
in address and terms alone. Each change asks its rule inside of the transaction that makes it.

What subscribers and owners ask is in `subscriber_requests.py` and `owner_requests.py`.

Left out: collections, several subscriptions of one JID to a node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.features.nodes.answers import (
    Done,
    item_of,
    named,
    needs,
    news_of,
    page_of,
    page_query,
    told_item,
)
from tidings.features.nodes.lookup import Lookup
from tidings.features.nodes.owner_requests import OwnerRequests
from tidings.features.nodes.rules import Right, check_publish, check_read
from tidings.features.nodes.subscriber_requests import SubscriberRequests
from tidings.features.nodes.terms import Visit
from tidings.kernel.clock import Clock
from tidings.kernel.node_configuration import (
    check_form_type,
    check_preconditions,
    made_for,
)
from tidings.ports.nodes import (
    ItemQuery,
    Node,
    NodeItem,
    NodeStore,
    Standing,
)
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads import pubsub_event
from tidings.wire.xmpp.payloads.pubsub import (
    PubSubEvent,
    PubSubRequest,
    answer,
    items_answer,
    published_answer,
    refusal,
    subscription_element,
    unfit_payload,
    unsupported,
)
from tidings.wire.xmpp.payloads.pubsub_owner import (
    OwnerRequest,
)
from tidings.wire.xmpp.payloads.strict import present

T = TypeVar("T", PubSubRequest, OwnerRequest)


class NodeService:
    """Answers requests; each method is one use case, and its tables say which one a request means."""

    def __init__(self, store: NodeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.lookup = Lookup(store, clock)
        self.owners = owners = OwnerRequests(store, self.lookup, clock)
        subscribers = SubscriberRequests(store, self.lookup, clock)
        self._gets: Final[Mapping[str, Callable[[Visit, PubSubRequest], Awaitable[Done]]]] = {
            "items": self._items,
            "subscriptions": self._own_subscriptions,
            "affiliations": owners.own_affiliations,
            "options": subscribers.show_options,
            "default": subscribers.show_defaults,
        }
        self._sets: Final[Mapping[str, Callable[[Visit, PubSubRequest], Awaitable[Done]]]] = {
            "publish": self._publish,
            "retract": self._retract,
            "create": owners.create,
            "subscribe": subscribers.subscribe,
            "unsubscribe": subscribers.unsubscribe,
            "options": subscribers.set_options,
        }
        self._owner_gets: Final[Mapping[str, Callable[[Visit, OwnerRequest], Awaitable[Done]]]] = {
            "configure": owners.show_configuration,
            "default": owners.show_defaults,
            "affiliations": owners.show_affiliations,
            "subscriptions": owners.show_subscriptions,
        }
        self._owner_sets: Final[Mapping[str, Callable[[Visit, OwnerRequest], Awaitable[Done]]]] = {
            "configure": owners.configure,
            "delete": owners.delete,
            "purge": owners.purge,
            "affiliations": owners.affiliate,
            "subscriptions": owners.manage_subscriptions,
        }

    async def read(self, visit: Visit, request: PubSubRequest) -> Done:
        """Answer a request of type get."""
        return await _of(self._gets, request.action)(visit, request)

    async def change(self, visit: Visit, request: PubSubRequest) -> Done:
        """Answer a request of type set."""
        return await _of(self._sets, request.action)(visit, request)

    async def read_as_owner(self, visit: Visit, request: OwnerRequest) -> Done:
        """Answer an owner's request of type get."""
        return await _of(self._owner_gets, request.action)(visit, request)

    async def change_as_owner(self, visit: Visit, request: OwnerRequest) -> Done:
        """Answer an owner's request of type set."""
        return await _of(self._owner_sets, request.action)(visit, request)

    # --- entities and subscribers

    async def _own_subscriptions(self, visit: Visit, request: PubSubRequest) -> Done:  # §5.6
        found = await self._store.subscriptions_of(visit.owner, visit.person.jid.bare)
        listed = Element("subscriptions", ns.PUBSUB, present(node=request.node))
        for name, subscriptions in found.items():
            for each in subscriptions:
                if request.node in {"", name}:
                    entry = subscription_element(ns.PUBSUB, each.jid, each.state.value, name, each.id)
                    listed.append(entry)
        return Done(answer(listed))

    async def _items(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.5
        node, standing = await self.lookup.standing(visit, request.node)
        check_read(node.config, visit.person, standing)
        ids = tuple(each.id for each in request.items if each.id is not None)
        page, terms = request.page, visit.terms
        limit = terms.page_items if request.maximum is None else min(request.maximum, terms.page_items)
        query = ItemQuery(
            ids=ids, limit=limit, octets=terms.page_octets, above=self.lookup.expired(node.config)
        )
        if page is not None and not ids:
            query = page_query(page, query)
        items = await self._store.items(visit.owner, node.name, query)
        if ids and not items.items:
            raise StanzaError("item-not-found")  # §6.5.9.12
        is_part = not ids and len(items.items) < items.count
        shown = page_of(items) if not ids and (page is not None or is_part) else None
        return Done(items_answer(node.name, map(item_of, items.items), shown))

    # --- publishers

    async def _publish(self, visit: Visit, request: PubSubRequest) -> Done:  # §7.1
        name, terms = named(request.node), visit.terms
        if len(request.items) != 1:
            raise unfit_payload("item-required")
        (given,) = request.items
        check_form_type(request.form, ns.PUBSUB_PUBLISH_OPTIONS)
        payload = b"" if given.payload is None else given.payload.to_bytes()
        if len(payload) > terms.item_octets:
            text = f"an item has at most {terms.item_octets} octets"
            raise refusal("not-acceptable", "payload-too-big", text)
        item = NodeItem(given.id or token(12), visit.person.jid.bare, self._clock.now(), payload)
        make = None
        if visit.may_make:
            make = visit.check_config(made_for(terms.defaults, request.form, most=terms.limits.items))
            if terms.nodes_of_account is not None and await self._store.get(visit.owner, name) is None:
                await self.owners.check_room(visit)

        def check(node: Node, standing: Standing) -> None:
            check_publish(node.config, visit.person, standing)
            check_preconditions(node.config, request.form)  # §7.1.5
            if given.payload is None and (node.config.persist_items or node.config.deliver_payloads):
                raise unfit_payload("payload-required")

        done = await self._store.publish(visit.owner, name, item, make=make, check=check, limits=terms.limits)
        told = PubSubEvent(name, (told_item(done.node.config, item),)).encode()
        return Done(published_answer(name, (item.id,)), (news_of(done.node, told, visit),))

    async def _retract(self, visit: Visit, request: PubSubRequest) -> Done:  # §7.2
        if len(request.items) != 1 or request.items[0].id is None:
            raise unfit_payload("item-required")
        item = request.items[0].id
        node, was_there = await self._store.retract(
            visit.owner, named(request.node), item, by=visit.person.jid, check=needs(visit, Right.RETRACT)
        )
        if not was_there:
            raise StanzaError("item-not-found")
        if not request.notify and not node.config.notify_retract:
            return Done()
        return Done(None, (news_of(node, pubsub_event.retracted(node.name, (item,)), visit),))


def _of(
    table: Mapping[str, Callable[[Visit, T], Awaitable[Done]]], action: str
) -> Callable[[Visit, T], Awaitable[Done]]:
    found = table.get(action)
    if found is None:
        raise unsupported(action)
    return found
