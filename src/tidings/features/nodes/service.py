"""Node service: answers what is asked of nodes, by the rules that hold for all that have some.

Implements XEP-0060 1.30.0; the marks § point at its sections. An account's nodes and those of a host differ
in address and terms alone. Each change asks its rule inside of the transaction that makes it.

Left out: collections, options of subscriptions, several subscriptions of one JID to a node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.nodes.rules import Right, check_publish, check_read, check_right, may_read
from tidings.features.nodes.terms import News, People, Visit
from tidings.kernel.clock import Clock
from tidings.kernel.node_configuration import (
    check_form_type,
    check_preconditions,
    configured,
    form_of,
    made_for,
)
from tidings.ports.nodes import (
    AccessModel,
    Affiliation,
    Check,
    ItemPage,
    ItemQuery,
    Node,
    NodeConfig,
    NodeItem,
    NodeStore,
    NoSuchNode,
    SendLast,
    Standing,
    Subscription,
    SubscriptionState,
)
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads import pubsub_event
from tidings.wire.xmpp.payloads.data_form import FormKind
from tidings.wire.xmpp.payloads.pubsub import (
    PubSubEvent,
    PubSubItem,
    PubSubRequest,
    answer,
    created_answer,
    items_answer,
    published_answer,
    refusal,
    subscription_element,
    unfit_payload,
    unsupported,
)
from tidings.wire.xmpp.payloads.pubsub_owner import (
    OwnerRequest,
    form_answer,
    own_affiliations_answer,
    people_answer,
)
from tidings.wire.xmpp.payloads.result_set import Page
from tidings.wire.xmpp.payloads.strict import present

T = TypeVar("T", PubSubRequest, OwnerRequest)

_UNSUPPORTED: Final = {"options": "subscription-options", "default": "retrieve-default-sub"}
"""What a request would need, by the names of §10; others are called as their action."""


class Done(NamedTuple):
    """What a request is answered with, and what there is to tell others then."""

    answer: Element | None = None
    news: tuple[News, ...] = ()


class NodeService:
    """Answers requests; each method is one use case, and its tables say which one a request means."""

    def __init__(self, store: NodeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._gets: Final[Mapping[str, Callable[[Visit, PubSubRequest], Awaitable[Done]]]] = {
            "items": self._items,
            "subscriptions": self._own_subscriptions,
            "affiliations": self._own_affiliations,
        }
        self._sets: Final[Mapping[str, Callable[[Visit, PubSubRequest], Awaitable[Done]]]] = {
            "publish": self._publish,
            "retract": self._retract,
            "create": self._create,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }
        self._owner_gets: Final[Mapping[str, Callable[[Visit, OwnerRequest], Awaitable[Done]]]] = {
            "configure": self._show_configuration,
            "default": self._show_defaults,
            "affiliations": self._show_affiliations,
            "subscriptions": self._show_subscriptions,
        }
        self._owner_sets: Final[Mapping[str, Callable[[Visit, OwnerRequest], Awaitable[Done]]]] = {
            "configure": self._configure,
            "delete": self._delete,
            "purge": self._purge,
            "affiliations": self._affiliate,
            "subscriptions": self._manage_subscriptions,
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

    async def _own_affiliations(self, visit: Visit, request: PubSubRequest) -> Done:  # §5.7
        if visit.person.is_owner:
            nodes = await self._store.list(visit.owner)
            found = {node.name: Affiliation.OWNER for node in nodes}
        else:
            found = await self._store.affiliations_of(visit.owner, visit.person.jid.bare)
        shown = {name: each.value for name, each in found.items() if request.node in {"", name}}
        return Done(own_affiliations_answer(shown, request.node))

    async def _subscribe(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.1
        jid = _own_jid(visit, request)
        found = await self._store.standing(visit.owner, _named(request.node), jid)
        if found is None:
            raise NoSuchNode(request.node)
        node, state = found[0], _state_for(visit, *found)

        def check(node: Node, standing: Standing) -> None:
            if _state_for(visit, node, standing) is not state:
                raise StanzaError("conflict", "the node has changed meanwhile")

        wanted = Subscription(jid, state, token(9), self._clock.now())
        kept = await self._store.subscribe(
            visit.owner, node.name, wanted, by=visit.person.jid, check=check, most=visit.terms.people
        )
        entry = subscription_element(ns.PUBSUB, jid, kept.state.value, node.name, kept.id)
        if state is not SubscriptionState.SUBSCRIBED or node.config.send_last is SendLast.NEVER:
            return Done(answer(entry))
        return Done(answer(entry), await self._last_item(node, jid))  # §6.1.7

    async def _unsubscribe(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.2
        jid = _own_jid(visit, request)
        gone = await self._store.unsubscribe(
            visit.owner, _named(request.node), jid, by=jid, check=lambda *_: None
        )
        if gone is None:
            raise refusal("unexpected-request", "not-subscribed")
        return Done()

    async def _items(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.5
        found = await self._store.standing(visit.owner, _named(request.node), visit.person.jid)
        if found is None:
            raise NoSuchNode(request.node)
        node, standing = found
        check_read(node.config, visit.person, standing)
        ids = tuple(each.id for each in request.items if each.id is not None)
        page, terms = request.page, visit.terms
        limit = terms.page_items if request.maximum is None else min(request.maximum, terms.page_items)
        query = ItemQuery(ids=ids, limit=limit, octets=terms.page_octets, above=self.expired(node.config))
        if page is not None and not ids:
            query = ItemQuery(
                after=page.after or None,
                before=page.before or None,
                from_start=page.before is None,
                limit=page.size(default=limit, limit=limit),
                octets=terms.page_octets,
                above=self.expired(node.config),
            )
        items = await self._store.items(visit.owner, node.name, query)
        if ids and not items.items:
            raise StanzaError("item-not-found")  # §6.5.9.12
        is_part = not ids and len(items.items) < items.count
        shown = _page_of(items) if not ids and (page is not None or is_part) else None
        return Done(items_answer(node.name, map(item_of, items.items), shown))

    # --- publishers

    async def _publish(self, visit: Visit, request: PubSubRequest) -> Done:  # §7.1
        name, terms = _named(request.node), visit.terms
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

        def check(node: Node, standing: Standing) -> None:
            check_publish(node.config, visit.person, standing)
            check_preconditions(node.config, request.form)  # §7.1.5
            if given.payload is None and (node.config.persist_items or node.config.deliver_payloads):
                raise unfit_payload("payload-required")

        done = await self._store.publish(visit.owner, name, item, make=make, check=check, limits=terms.limits)
        told = PubSubEvent(name, (_told(done.node.config, item),)).encode()
        return Done(published_answer(name, (item.id,)), (_news(done.node, told, visit),))

    async def _retract(self, visit: Visit, request: PubSubRequest) -> Done:  # §7.2
        if len(request.items) != 1 or request.items[0].id is None:
            raise unfit_payload("item-required")
        item = request.items[0].id
        node, was_there = await self._store.retract(
            visit.owner, _named(request.node), item, by=visit.person.jid, check=_needs(visit, Right.RETRACT)
        )
        if not was_there:
            raise StanzaError("item-not-found")
        if not request.notify and not node.config.notify_retract:
            return Done()
        return Done(None, (_news(node, pubsub_event.retracted(node.name, (item,)), visit),))

    # --- owners

    async def _create(self, visit: Visit, request: PubSubRequest) -> Done:  # §8.1
        visit.check_may_make()
        check_form_type(request.form, ns.PUBSUB_NODE_CONFIG)
        terms, name = visit.terms, request.node or token(18)
        config = visit.check_config(configured(terms.defaults, request.form, most=terms.limits.items))
        await self._store.create(
            visit.owner, name, config, self._clock.now(), by=visit.person.jid.bare, limits=terms.limits
        )
        return Done(None if request.node else created_answer(name))

    async def _show_configuration(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.2.1
        node = await self._owned(visit, request.node)
        return Done(form_answer("configure", node.name, form_of(node.config)))

    async def _show_defaults(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.3
        return Done(form_answer("default", request.node, form_of(visit.terms.defaults)))

    async def _configure(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.2.4
        form = request.form
        if form is None or form.kind is FormKind.CANCEL:  # §8.2.4: then nothing changes
            await self._owned(visit, request.node)
            return Done()
        check_form_type(form, ns.PUBSUB_NODE_CONFIG)

        def change(config: NodeConfig) -> NodeConfig:
            return visit.check_config(configured(config, form, most=visit.terms.limits.items))

        node, _ = await self._store.configure(
            visit.owner,
            _named(request.node),
            change,
            by=visit.person.jid,
            check=_needs(visit, Right.OWN),
        )
        if not node.config.notify_config:
            return Done()
        shown = form_of(node.config, FormKind.RESULT) if node.config.deliver_payloads else None
        return Done(None, (_news(node, pubsub_event.configured(node.name, shown), visit),))  # §8.2.5.3

    async def _delete(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.4
        people = await self.people(visit.owner, _named(request.node))
        node = await self._store.delete(
            visit.owner, request.node, by=visit.person.jid, check=_needs(visit, Right.OWN)
        )
        if not node.config.notify_delete:
            return Done()
        content = pubsub_event.deleted(node.name, request.redirect)
        return Done(None, (_news(node, content, visit, people),))

    async def _purge(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.5
        def check(node: Node, standing: Standing) -> None:
            check_right(Right.OWN, visit.person, standing)
            if not node.config.persist_items:
                raise unsupported("persistent-items")  # §8.5.3.3

        node = await self._store.purge(visit.owner, _named(request.node), by=visit.person.jid, check=check)
        if not node.config.notify_retract:
            return Done()
        return Done(None, (_news(node, pubsub_event.purged(node.name), visit),))

    async def _show_affiliations(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.9.1
        node = await self._owned(visit, request.node)
        found = {visit.owner: Affiliation.OWNER} if visit.person.is_owner else {}
        found |= await self._store.affiliations(visit.owner, node.name)
        people = ((jid, each.value) for jid, each in found.items())
        return Done(people_answer("affiliations", node.name, people))

    async def _affiliate(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.9.2
        wanted = {jid.bare: _affiliation(word) for jid, word in request.people}
        if visit.owner in wanted:
            raise StanzaError("not-acceptable", "who has the nodes is an owner of all of them")
        await self._store.affiliate(
            visit.owner,
            _named(request.node),
            wanted,
            by=visit.person.jid,
            check=_needs(visit, Right.OWN),
            most=visit.terms.people,
        )
        return Done()

    async def _show_subscriptions(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.8.1
        node = await self._owned(visit, request.node)
        found = await self._store.subscriptions(visit.owner, node.name)
        return Done(
            people_answer("subscriptions", node.name, ((each.jid, each.state.value) for each in found))
        )

    async def _manage_subscriptions(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.8.2
        node = await self._owned(visit, request.node)
        news = []
        for jid, word in request.people:
            check = _needs(visit, Right.OWN)
            if word == "none":
                await self._store.unsubscribe(visit.owner, node.name, jid, by=visit.person.jid, check=check)
            elif word == SubscriptionState.SUBSCRIBED:
                wanted = Subscription(jid, SubscriptionState.SUBSCRIBED, token(9), self._clock.now())
                await self._store.subscribe(
                    visit.owner,
                    node.name,
                    wanted,
                    by=visit.person.jid,
                    check=check,
                    most=visit.terms.people,
                )
            else:
                raise StanzaError("not-acceptable", "a subscription is set to subscribed or none")
            content = pubsub_event.subscription_changed(node.name, jid, word)
            news.append(News(owner=node.owner, node=node.name, config=node.config, content=content, only=jid))
        return Done(None, tuple(news))

    # --- helpers

    async def people(self, owner: Jid, name: str) -> People:
        """Give who is affiliated and subscribed to a node."""
        return People(
            await self._store.affiliations(owner, name), await self._store.subscriptions(owner, name)
        )

    def expired(self, config: NodeConfig) -> float | None:
        """Give the time of the last publication that has expired; None where nothing does."""
        return None if config.item_expire is None else self._clock.now() - config.item_expire

    async def _owned(self, visit: Visit, name: str) -> Node:
        found = await self._store.standing(visit.owner, _named(name), visit.person.jid)
        if found is None:
            raise NoSuchNode(name)
        check_right(Right.OWN, visit.person, found[1])
        return found[0]

    async def _last_item(self, node: Node, jid: Jid) -> tuple[News, ...]:
        query = ItemQuery(limit=1, above=self.expired(node.config))
        page = await self._store.items(node.owner, node.name, query)
        return tuple(
            News(
                owner=node.owner,
                node=node.name,
                config=node.config,
                content=PubSubEvent(node.name, (_told(node.config, each),)).encode(),
                only=jid,
            )
            for each in page.items
        )


def item_of(item: NodeItem) -> PubSubItem:
    """Give an item as it stands in answers and news."""
    return PubSubItem(item.id, decode(item.payload, "") if item.payload else None)


def _told(config: NodeConfig, item: NodeItem) -> PubSubItem:
    return item_of(item) if config.deliver_payloads else PubSubItem(item.id)


def _news(node: Node, content: Element, visit: Visit, people: People | None = None) -> News:
    return News(
        owner=node.owner,
        node=node.name,
        config=node.config,
        content=content,
        by=visit.person.jid,
        people=people,
    )


def _page_of(items: ItemPage) -> Page:
    if not items.items:
        return Page(count=items.count)
    return Page(items.items[0].id, items.items[-1].id, items.index, items.count)


def _of(
    table: Mapping[str, Callable[[Visit, T], Awaitable[Done]]], action: str
) -> Callable[[Visit, T], Awaitable[Done]]:
    found = table.get(action)
    if found is None:
        raise unsupported(_UNSUPPORTED.get(action, action))
    return found


def _named(node: str) -> str:
    if not node:
        raise refusal("bad-request", "nodeid-required")
    return node


def _own_jid(visit: Visit, request: PubSubRequest) -> Jid:
    """Give who is to be subscribed: nobody but who asks (§6.1.3.1)."""
    if request.jid is None or request.jid.bare != visit.person.jid.bare:
        raise refusal("bad-request", "invalid-jid")
    return request.jid


def _state_for(visit: Visit, node: Node, standing: Standing) -> SubscriptionState:
    """Give how a subscription begins; raises the refusal for somebody who may not have one (§6.1.3)."""
    is_outcast = standing.affiliation is Affiliation.OUTCAST
    if node.config.access_model is AccessModel.AUTHORIZE and not is_outcast:
        may = may_read(node.config, visit.person, standing)
        return SubscriptionState.SUBSCRIBED if may else SubscriptionState.PENDING
    check_read(node.config, visit.person, standing)
    return SubscriptionState.SUBSCRIBED


def _needs(visit: Visit, right: Right) -> Check:
    return lambda _, standing: check_right(right, visit.person, standing)


def _affiliation(word: str) -> Affiliation:
    try:
        return Affiliation(word)
    except ValueError:
        raise StanzaError("not-acceptable", f"there is no affiliation {word!r}") from None
