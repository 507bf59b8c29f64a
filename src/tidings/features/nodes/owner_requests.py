"""Owner requests: making nodes and having a say in them (XEP-0060 1.30.0 §8.1 to §8.9).

The marks § point at its sections. Who is concerned by what an owner says of people is told, and who may not
read a node any more is no longer subscribed to it. An owner lets in who has asked, and subscribes nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.nodes.answers import Done, named, needs, news_of, notice_of, standing_changed
from tidings.features.nodes.authorization import Decision, authorization_form
from tidings.features.nodes.lookup import Lookup
from tidings.features.nodes.rules import Right, check_right, may_read
from tidings.features.nodes.terms import News, Visit
from tidings.kernel.clock import Clock
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.node_configuration import check_form_type, configured, form_of
from tidings.kernel.time_slice import TimeSlice
from tidings.ports.nodes import (
    AccessModel,
    Affiliation,
    Node,
    NodeConfig,
    NodeStore,
    Standing,
    Subscription,
    SubscriptionState,
)
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads import pubsub_event
from tidings.wire.xmpp.payloads.data_form import FormKind
from tidings.wire.xmpp.payloads.pubsub import PubSubRequest, created_answer, unsupported
from tidings.wire.xmpp.payloads.pubsub_owner import (
    OwnerRequest,
    affiliation_changed,
    form_answer,
    own_affiliations_answer,
    people_answer,
)

_STRETCH: Final = 100
"""So many subscriptions are looked at together, and end in one transaction."""


class OwnerRequests:
    """Makes, configures and ends nodes, and says who may do what."""

    def __init__(self, store: NodeStore, lookup: Lookup, clock: Clock) -> None:
        self._store = store
        self._lookup = lookup
        self._clock = clock
        self._time_slice = TimeSlice(clock.monotonic)

    async def create(self, visit: Visit, request: PubSubRequest) -> Done:  # §8.1
        """Make a node."""
        visit.check_may_make()
        check_form_type(request.form, ns.PUBSUB_NODE_CONFIG)
        terms, name = visit.terms, request.node or token(18)
        config = visit.check_config(configured(terms.defaults, request.form, most=terms.limits.items))
        await self.check_room(visit)
        await self._store.create(
            visit.owner, name, config, self._clock.now(), by=visit.person.jid.bare, limits=terms.limits
        )
        return Done(None if request.node else created_answer(name))

    async def check_room(self, visit: Visit) -> None:
        """Raise `resource-constraint` for somebody who owns as many nodes of a host as one may."""
        most = visit.terms.nodes_of_account
        if most is None or visit.person.is_owner:
            return
        found = await self._store.affiliations_of(visit.owner, visit.person.jid.bare)
        if sum(each is Affiliation.OWNER for each in found.values()) >= most:
            text = f"an account owns {most} nodes here at most: delete one first"
            raise StanzaError("resource-constraint", text)

    async def show_configuration(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.2.1
        """Give the form of a node, filled in."""
        node = await self._lookup.owned(visit, request.node)
        return Done(form_answer("configure", node.name, form_of(node.config)))

    async def show_defaults(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.3
        """Give the form of a node that nobody has configured."""
        return Done(form_answer("default", request.node, form_of(visit.terms.defaults)))

    async def configure(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.2.4
        """Let a node behave otherwise."""
        form = request.form
        if form is None or form.kind is FormKind.CANCEL:  # §8.2.4: then nothing changes
            await self._lookup.owned(visit, request.node)
            return Done()
        check_form_type(form, ns.PUBSUB_NODE_CONFIG)

        def change(config: NodeConfig) -> NodeConfig:
            return visit.check_config(configured(config, form, most=visit.terms.limits.items))

        node, _ = await self._store.configure(
            visit.owner,
            named(request.node),
            change,
            by=visit.person.jid,
            check=needs(visit, Right.OWN),
        )
        news: tuple[News, ...] = ()
        if node.config.notify_config:  # §8.2.5.3
            shown = form_of(node.config, FormKind.RESULT) if node.config.deliver_payloads else None
            news = (news_of(node, pubsub_event.configured(node.name, shown), visit),)
        subscriptions = await self._store.subscriptions(node.owner, node.name)
        return Done(None, (*news, *await self._end_unreadable(visit, node, subscriptions)))

    async def delete(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.4
        """Delete a node."""
        people = await self._lookup.people(visit.owner, named(request.node))
        node = await self._store.delete(
            visit.owner, request.node, by=visit.person.jid, check=needs(visit, Right.OWN)
        )
        if not node.config.notify_delete:
            return Done()
        content = pubsub_event.deleted(node.name, request.redirect)
        return Done(None, (news_of(node, content, visit, people),))

    async def purge(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.5
        """Delete all items of a node."""

        def check(node: Node, standing: Standing) -> None:
            check_right(Right.OWN, visit.person, standing)
            if not node.config.persist_items:
                raise unsupported("persistent-items")  # §8.5.3.3

        node = await self._store.purge(visit.owner, named(request.node), by=visit.person.jid, check=check)
        if not node.config.notify_retract:
            return Done()
        return Done(None, (news_of(node, pubsub_event.purged(node.name), visit),))

    # --- who subscribes

    async def decide(self, visit: Visit, decision: Decision) -> Done:  # §8.6
        """Let somebody subscribe who waits for it, or tell him that he may not."""
        node = await self._lookup.owned(visit, decision.node)

        def check(_: Node, standing: Standing) -> None:
            waiting = (each for each in standing.subscriptions if each.jid == decision.jid)
            found = next(waiting, None)
            if (
                found is None
                or found.state is not SubscriptionState.PENDING
                or found.id != (decision.id or found.id)
            ):
                raise StanzaError("item-not-found", "nobody waits for that any more")

        if not decision.allows:
            gone = await self._store.unsubscribe(
                node.owner, node.name, decision.jid, by=decision.jid, check=check
            )
            return Done(None, () if gone is None else (standing_changed(node, gone, None),))
        subscribed = SubscriptionState.SUBSCRIBED
        wanted = Subscription(decision.jid, subscribed, decision.id, self._clock.now())
        kept = await self._store.subscribe(
            node.owner, node.name, wanted, by=decision.jid, check=check, most=visit.terms.people
        )
        last = await self._lookup.last_item(node, kept.jid)
        return Done(None, (standing_changed(node, kept, subscribed), *last))

    async def owned_names(self, visit: Visit) -> tuple[str, ...]:
        """Give the names of the nodes that who asks owns."""
        found = await self._store.affiliations_of(visit.owner, visit.person.jid.bare)
        return tuple(name for name, each in found.items() if each is Affiliation.OWNER)

    async def pending(self, visit: Visit, name: str) -> tuple[News, ...]:  # §8.7
        """Ask an owner again about all who wait for his word."""
        node = await self._lookup.owned(visit, name)
        found = await self._store.subscriptions(node.owner, node.name)
        return tuple(
            notice_of(node, authorization_form(node.name, each), visit.person.jid)
            for each in found
            if each.state is SubscriptionState.PENDING
        )

    async def show_subscriptions(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.8.1
        """List who has subscribed, and who waits."""
        node = await self._lookup.owned(visit, request.node)
        found = await self._store.subscriptions(visit.owner, node.name)
        return Done(
            people_answer("subscriptions", node.name, ((each.jid, each.state.value) for each in found))
        )

    async def manage_subscriptions(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.8.2
        """End subscriptions, and let in who waits."""
        node = await self._lookup.owned(visit, request.node)
        people = await self._lookup.people(visit.owner, node.name)
        before = {each.jid: each for each in people.subscriptions}
        for jid, word in request.people:
            if word not in {"none", SubscriptionState.SUBSCRIBED}:
                raise StanzaError("not-acceptable", "a subscription is set to subscribed or none")
            if word != "none" and jid not in before:
                raise StanzaError("not-acceptable", f"{jid} has not asked for a subscription")
        news: list[News] = []
        for jid, word in request.people:
            mine = before.get(jid)
            if word == "none":
                gone = await self._store.unsubscribe(
                    visit.owner, node.name, jid, by=visit.person.jid, check=needs(visit, Right.OWN)
                )
                if gone is not None:
                    news.append(standing_changed(node, gone, None))
            elif mine is not None and mine.state is SubscriptionState.PENDING:
                news += (await self.decide(visit, Decision(node.name, jid, mine.id, allows=True))).news
        return Done(None, tuple(news))

    # --- who may do what

    async def own_affiliations(self, visit: Visit, request: PubSubRequest) -> Done:  # §5.7
        """List what who asks may do."""
        if visit.person.jid.bare == visit.owner:
            nodes = await self._store.list(visit.owner)
            found = {node.name: Affiliation.OWNER for node in nodes}
        else:
            found = await self._store.affiliations_of(visit.owner, visit.person.jid.bare)
        shown = {name: each.value for name, each in found.items() if request.node in {"", name}}
        return Done(own_affiliations_answer(shown, request.node))

    async def show_affiliations(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.9.1
        """List who may do what."""
        node = await self._lookup.owned(visit, request.node)
        found = {visit.owner: Affiliation.OWNER} if visit.owner.local else {}
        found |= await self._store.affiliations(visit.owner, node.name)
        people = ((jid, each.value) for jid, each in found.items())
        return Done(people_answer("affiliations", node.name, people))

    async def affiliate(self, visit: Visit, request: OwnerRequest) -> Done:  # §8.9.2
        """Say who may do what from now on."""
        wanted = {jid.bare: _affiliation(word) for jid, word in request.people}
        if visit.owner in wanted:
            raise StanzaError("not-acceptable", "who has the nodes is an owner of all of them")
        before = await self._store.affiliations(visit.owner, named(request.node))
        node = await self._store.affiliate(
            visit.owner,
            request.node,
            wanted,
            by=visit.person.jid,
            check=needs(visit, Right.OWN),
            most=visit.terms.people,
        )
        changed = {jid: each for jid, each in wanted.items() if before.get(jid, Affiliation.NONE) != each}
        told = [  # §8.9.4
            notice_of(node, affiliation_changed(node.name, jid, each.value), jid, is_kept=False)
            for jid, each in changed.items()
        ]
        found = await self._store.subscriptions(node.owner, node.name)
        concerned = [each for each in found if each.jid.bare in changed]
        return Done(None, (*told, *await self._end_unreadable(visit, node, concerned)))

    async def _end_unreadable(
        self, visit: Visit, node: Node, subscriptions: Sequence[Subscription]
    ) -> Iterable[News]:
        """End the subscriptions of those who may not read the node any more, and tell them."""

        def may_stay(node: Node, jid: Jid, standing: Standing) -> bool:
            if node.config.access_model is AccessModel.AUTHORIZE and not standing.is_subscribed:
                return standing.affiliation is not Affiliation.OUTCAST  # he waits
            return may_read(node.config, visit.person_of(jid), standing)

        people = await self._lookup.people(node.owner, node.name)
        told: list[News] = []
        for start in range(0, len(subscriptions), _STRETCH):
            await until_done(self._time_slice.turn())
            part = subscriptions[start : start + _STRETCH]
            going = [
                each.jid for each in part if not may_stay(node, each.jid, people.standing_of(each.jid.bare))
            ]
            if going:
                gone = await self._store.unsubscribe_refused(node.owner, node.name, going, may_stay=may_stay)
                told += (standing_changed(node, each, None) for each in gone)
        return told


def _affiliation(word: str) -> Affiliation:
    try:
        return Affiliation(word)
    except ValueError:
        raise StanzaError("not-acceptable", f"there is no affiliation {word!r}") from None
