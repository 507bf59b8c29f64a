"""Subscriber requests: what somebody asks who wants to hear of a node (XEP-0060 1.30.0 §6.1 to §6.4).

The marks § point at its sections. Each address has one subscription to a node at most, so its id is never
needed to tell two apart; who names one has to name the right one. Nobody subscribes another.
"""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.nodes.answers import Done, named, notice_of
from tidings.features.nodes.authorization import authorization_form
from tidings.features.nodes.lookup import Lookup
from tidings.features.nodes.rules import check_read, may_read
from tidings.features.nodes.subscription_form import options_form, read_options
from tidings.features.nodes.terms import News, Visit
from tidings.kernel.clock import Clock
from tidings.ports.nodes import (
    DEFAULT_OPTIONS,
    AccessModel,
    Affiliation,
    Node,
    NodeStore,
    Standing,
    Subscription,
    SubscriptionState,
)
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import FormKind
from tidings.wire.xmpp.payloads.pubsub import PubSubRequest, answer, refusal, subscription_element
from tidings.wire.xmpp.payloads.strict import present


class SubscriberRequests:
    """Begins and ends subscriptions, and keeps their options."""

    def __init__(self, store: NodeStore, lookup: Lookup, clock: Clock) -> None:
        self._store = store
        self._lookup = lookup
        self._clock = clock

    async def subscribe(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.1
        """Subscribe who asks, or let the owners say whether he may."""
        jid = _own_jid(visit, request, "invalid-jid")
        node, standing = await self._lookup.standing(visit, request.node)
        state = _state_for(visit, node, standing)
        if _pending_of(standing, jid) is not None and state is SubscriptionState.PENDING:
            raise refusal("not-authorized", "pending-subscription", "the owners have not answered yet")
        options, now = DEFAULT_OPTIONS, self._clock.now()
        if request.form is not None:  # §6.3.7
            options = read_options(request.form, options, now)

        def check(node: Node, standing: Standing) -> None:
            if _state_for(visit, node, standing) is not state:
                raise StanzaError("conflict", "the node has changed meanwhile")

        kept = await self._store.subscribe(
            visit.owner,
            node.name,
            Subscription(jid, state, token(9), now, options),
            by=visit.person.jid,
            check=check,
            most=visit.terms.people,
            keeps_options=request.form is None,
        )
        entry = answer(_entry(node, kept))
        if state is SubscriptionState.PENDING:
            return Done(entry, await self._questions(node, kept))
        return Done(entry, await self._lookup.last_item(node, jid))  # §6.1.7

    async def unsubscribe(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.2
        """End a subscription of who asks."""
        jid = _own_jid(visit, request, "invalid-jid")

        def check(_: Node, standing: Standing) -> None:
            _subscription_of(standing, jid, request.subscription)

        await self._store.unsubscribe(visit.owner, named(request.node), jid, by=jid, check=check)
        return Done()

    async def show_options(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.3.2
        """Give the form with the options of a subscription of who asks."""
        jid = _own_jid(visit, request, "jid-required")
        node, standing = await self._lookup.standing(visit, request.node)
        mine = _subscription_of(standing, jid, request.subscription)
        shown = Element("options", ns.PUBSUB, present(node=node.name, jid=jid.text, subid=mine.id))
        shown.append(options_form(mine.options).encode())
        return Done(answer(shown))

    async def set_options(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.3.5
        """Put other options in the place of those of a subscription."""
        jid, form, now = _own_jid(visit, request, "jid-required"), request.form, self._clock.now()
        node, standing = await self._lookup.standing(visit, request.node)
        mine = _subscription_of(standing, jid, request.subscription)
        if form is None:
            raise refusal("bad-request", "invalid-options", "there is no form")
        if form.kind is FormKind.CANCEL:
            return Done()

        def check(_: Node, standing: Standing) -> None:
            if _subscription_of(standing, jid, mine.id).state is not mine.state:
                raise StanzaError("conflict", "the subscription has changed meanwhile")

        wanted = Subscription(jid, mine.state, mine.id, mine.since, read_options(form, mine.options, now))
        await self._store.subscribe(
            visit.owner,
            node.name,
            wanted,
            by=jid,
            check=check,
            most=visit.terms.people,
            keeps_options=False,
        )
        return Done()

    async def show_defaults(self, visit: Visit, request: PubSubRequest) -> Done:  # §6.4
        """Give the options of a subscription that nobody has configured."""
        del visit
        shown = Element("default", ns.PUBSUB, present(node=request.node))
        shown.append(options_form(DEFAULT_OPTIONS).encode())
        return Done(answer(shown))

    async def _questions(self, node: Node, subscription: Subscription) -> tuple[News, ...]:
        """Ask the owners (§8.6.1)."""
        people = await self._store.affiliations(node.owner, node.name)
        owners = (jid for jid, each in people.items() if each is Affiliation.OWNER)
        return tuple(notice_of(node, authorization_form(node.name, subscription), jid) for jid in owners)


def _entry(node: Node, subscription: Subscription) -> Element:
    state = subscription.state.value
    return subscription_element(ns.PUBSUB, subscription.jid, state, node.name, subscription.id)


def _own_jid(visit: Visit, request: PubSubRequest, missing: str) -> Jid:
    """Give whose subscription it is: nobody's but who asks (§6.1.3.1, §6.2.3.3, §6.3.4.1)."""
    if request.jid is None:
        raise refusal("bad-request", missing)
    if request.jid.bare == visit.person.jid.bare:
        return request.jid
    if request.action == "subscribe":
        raise refusal("bad-request", "invalid-jid")
    raise StanzaError("forbidden", "the subscription is another's")


def _subscription_of(standing: Standing, jid: Jid, id_: str) -> Subscription:
    """Give the subscription of an address (§6.2.3, §6.3.4); raises the refusal where it has none."""
    mine = next((each for each in standing.subscriptions if each.jid == jid), None)
    if mine is None:
        raise refusal("unexpected-request", "not-subscribed")
    if id_ and id_ != mine.id:
        raise refusal("not-acceptable", "invalid-subid")
    return mine


def _pending_of(standing: Standing, jid: Jid) -> Subscription | None:
    pending = SubscriptionState.PENDING
    return next((each for each in standing.subscriptions if each.jid == jid and each.state is pending), None)


def _state_for(visit: Visit, node: Node, standing: Standing) -> SubscriptionState:
    """Give how a subscription begins; raises the refusal for somebody who may not have one (§6.1.3)."""
    is_outcast = standing.affiliation is Affiliation.OUTCAST
    if node.config.access_model is AccessModel.AUTHORIZE and not is_outcast:
        may = may_read(node.config, visit.person, standing)
        return SubscriptionState.SUBSCRIBED if may else SubscriptionState.PENDING
    check_read(node.config, visit.person, standing)
    return SubscriptionState.SUBSCRIBED
