"""Publish-Subscribe: a service of every domain, with nodes that people make, publish to and subscribe to.

Implements XEP-0060 1.30.0 for `pubsub.DOMAIN`; the marks § point at its sections. The administrators of the
domain own all nodes there beside those who have made them, so a node whose last owner has gone is theirs.

Left out: collections, subscriptions to the service itself, several subscriptions of one address, digests,
the access models presence and roster (a node here may have several owners, and it is nobody's contact), and
subscribers on other servers.
"""

from __future__ import annotations

from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.nodes.announcements import Announcements
from tidings.features.nodes.authorization import Decision, read_decision
from tidings.features.nodes.discovery import NodeDiscovery
from tidings.features.nodes.pubsub_options import PubSubOptions
from tidings.features.nodes.rules import Person, may_read
from tidings.features.nodes.service import NodeService
from tidings.features.nodes.subscribers import Subscribers
from tidings.features.nodes.supported import features
from tidings.features.nodes.terms import News, Terms, Visit
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import AnswerFirst, Iq
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.session_manager import SessionManager
from tidings.messages.router import Router
from tidings.messages.submission import Submission
from tidings.ports.nodes import AccessModel, NodeConfig, NodeLimits, NodeStore, SendLast, Subscription
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.pubsub import PubSubRequest
from tidings.wire.xmpp.payloads.pubsub_owner import OwnerRequest
from tidings.wire.xmpp.stanza import Stanza

PREFIX: Final = "pubsub"
"""What the name of the service begins with, before that of its domain."""
IDENTITY: Final = ("pubsub", "service")
"""What the service is (§5.3)."""

DEFAULTS: Final = NodeConfig(
    send_last=SendLast.ON_SUB, notify_config=True, notify_delete=True, notify_retract=True
)
"""Who has subscribed hears of all that happens, and gets the last item when he does."""

ACCESS_MODELS: Final = frozenset((AccessModel.OPEN, AccessModel.AUTHORIZE, AccessModel.WHITELIST))

_FEATURES: Final = features("access-authorize", "get-pending")


class PubSub(Feature):
    """Keeps the nodes of a service, and tells subscribers what is new there."""

    spec = Spec.xep(
        60,
        version="1.30.0",
        advertises=_FEATURES,
        note="nodes of accounts and of a service; without collections",
    )
    Options = PubSubOptions
    option_name = "pubsub"

    def __init__(
        self,
        host: Host,
        router: Router,
        sessions: SessionManager,
        store: NodeStore,
        clock: Clock,
        options: Current[PubSubOptions],
    ) -> None:
        self._host = host
        self._router = router
        self._options = options
        self.service = NodeService(store, clock)
        self._discovery = NodeDiscovery(store, self.service.lookup)
        self._subscribers = Subscribers(router, sessions, clock)
        self.announcements = Announcements(self._tell)

    # --- requests

    @handles(PubSubRequest, kind="get", at=Addressee.SERVER)
    async def read(self, request: Iq[PubSubRequest]) -> Element | None:
        """Answer who reads a node, or asks how he stands to it (§5.6, §5.7, §6.3 to §6.5)."""
        return (await self.service.read(self.visit(request.sender), request.payload)).answer

    @handles(PubSubRequest, kind="set", at=Addressee.SERVER)
    async def change(self, request: Iq[PubSubRequest]) -> Element | AnswerFirst | None:
        """Take what is published, taken back, made and subscribed to (§6, §7, §8.1)."""
        done = await self.service.change(self.visit(request.sender), request.payload)
        return self.announcements.follow(done)

    @handles(OwnerRequest, kind="get", at=Addressee.SERVER)
    async def read_as_owner(self, request: Iq[OwnerRequest]) -> Element | None:
        """Answer the owner of a node how it behaves, and who may do what (§8)."""
        return (await self.service.read_as_owner(self.visit(request.sender), request.payload)).answer

    @handles(OwnerRequest, kind="set", at=Addressee.SERVER)
    async def change_as_owner(self, request: Iq[OwnerRequest]) -> Element | AnswerFirst | None:
        """Let the owner of a node configure, purge and delete it (§8)."""
        done = await self.service.change_as_owner(self.visit(request.sender), request.payload)
        return self.announcements.follow(done)

    def check_message(self, submission: Submission) -> None:
        """Take nothing but what owners say to subscriptions that wait for it (§8.6)."""
        message = submission.message
        if message.kind != "error" and read_decision(message) is None and not message.has(ns.DATA_FORMS, "x"):
            raise StanzaError("service-unavailable", "this service reads forms of owners alone")

    def take_message(self, submission: Submission) -> MaybeAwaitable:
        """Let an owner decide; a form that was cancelled changes nothing."""
        message = submission.message
        decision = None if message.kind == "error" else read_decision(message)
        return None if decision is None else self._decide(message, decision)

    async def _decide(self, message: Stanza, decision: Decision) -> None:
        assert message.sender is not None
        try:
            done = await self.service.owners.decide(self.visit(message.sender), decision)
        except StanzaError as error:
            self._router.refuse(message, error)
            return
        await self.announcements.tell(self.announcements.add(done.news))

    # --- discovery

    @listens(DiscoInfo)  # §5.1, §5.3, §5.4
    async def describe(self, event: DiscoInfo) -> None:
        """Tell what a node is; what the service is stands in `spec`."""
        if event.target == self._host.jid and event.node:
            await self._discovery.describe(event, self._host.jid, self.person_of(event.asker))

    @listens(DiscoItems)  # §5.2, §5.5
    async def list(self, event: DiscoItems) -> None:
        """Name the nodes, or the items of one."""
        if event.target != self._host.jid:
            return
        person = self.person_of(event.asker)
        if event.node:
            await self._discovery.list_items(event, self._host.jid, person, self._options.now.page_items)
        else:
            await self._discovery.list_nodes_of_host(event, self._host.jid, person)

    # --- news

    async def _tell(self, news: News) -> None:
        if not news.config.deliver_notifications and not news.is_notice:
            return
        if news.only is not None:
            await self._subscribers.tell_one(news)
            return
        people = news.people or await self.service.lookup.people(news.owner, news.node)

        def may_hear(each: Subscription) -> bool:
            standing = people.standing_of(each.jid.bare)
            return may_read(news.config, self.person_of(each.jid), standing)

        await self._subscribers.tell(news, people.subscriptions, may_hear)

    # --- who asks

    def visit(self, sender: Jid) -> Visit:
        """Give who asks, and under which terms."""
        options, person = self._options.now, self.person_of(sender)
        terms = Terms(
            defaults=DEFAULTS,
            access_models=ACCESS_MODELS,
            limits=NodeLimits(nodes=options.max_nodes, items=options.max_items, octets=options.max_octets),
            item_octets=options.max_item_octets,
            people=options.max_people,
            page_items=options.page_items,
            page_octets=options.page_octets,
            nodes_of_account=options.account_nodes,
        )
        return Visit(
            owner=self._host.jid,
            person=person,
            terms=terms,
            may_make=self._may_make(person),
            person_of=self.person_of,
        )

    def person_of(self, jid: Jid) -> Person:
        """Give somebody as the service knows him: administrators own all nodes."""
        return Person(jid=jid, is_owner=jid.bare in self._host.admins)

    def _may_make(self, person: Person) -> bool:
        match self._options.now.create:
            case "accounts":
                return person.is_owner or person.jid.domain in self._router.hosts
            case "admins":
                return person.is_owner
            case "nobody":
                return False
