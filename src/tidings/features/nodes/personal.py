"""Personal Eventing: every account has nodes, such as avatar, bookmarks and keys, that contacts hear of.

Implements XEP-0163 1.2.2 over the node service, with the private nodes of XEP-0223 1.1.1 and the public ones
of XEP-0222 1.0.1; the marks § point at XEP-0163. A node that another feature keeps is found among the host's
features (`PubSubNode`) and is the account's own alone. Left out: approval of subscribers, so `authorize` is
no access model here; contacts on other servers.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import OLDEST_LEAVES, share
from tidings.features.nodes.announcements import Announcements
from tidings.features.nodes.discovery import NodeDiscovery
from tidings.features.nodes.interests import Interests
from tidings.features.nodes.news import Newsroom, person_of
from tidings.features.nodes.service import NodeService
from tidings.features.nodes.subscribers import Subscribers
from tidings.features.nodes.supported import features
from tidings.features.nodes.terms import News, Terms, Visit
from tidings.kernel.account import Account, account_of
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo, DiscoItems, NewsWanted, PresenceArrived
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.iq import AnswerFirst, Iq
from tidings.kernel.pacing import Pacing
from tidings.kernel.pubsub_node import PubSubNode
from tidings.kernel.refreshing import Refresher
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.slots import Slot
from tidings.kernel.supervisor import Supervisor
from tidings.messages.router import Router
from tidings.ports.nodes import AccessModel, NodeConfig, NodeLimits, NodeStore
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.pubsub import (
    PubSubRequest,
    items_answer,
    published_answer,
    unfit_payload,
    unsupported,
)
from tidings.wire.xmpp.payloads.pubsub_owner import OwnerRequest

DEFAULTS: Final = NodeConfig(access_model=AccessModel.PRESENCE, max_items=1, notify_retract=True)
"""§5, and one item that takes the place of the one before, as nearly all nodes of accounts have it."""

ACCESS_MODELS: Final = frozenset(AccessModel) - {AccessModel.AUTHORIZE}

_FEATURES: Final = features("access-presence", "access-roster", "auto-subscribe", "filtered-notifications")

_OF_KEPT: Final = {"create": "create-nodes", "retract": "delete-items", "unsubscribe": "subscribe"}
"""What a node that another feature keeps would have to do for an action."""

WANTED: Final[Slot[set[str]]] = Slot("nodes.wanted", factory=set)
"""The nodes whose last items a session is to be sent."""


class PersonalEventingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much one account may have in its nodes."""

    max_nodes: Annotated[int, share("Nodes of one account.")] = 500
    max_items: Annotated[
        int, share("Items of one node, where the node does not have fewer; the oldest leaves.", OLDEST_LEAVES)
    ] = 1_000
    max_item_octets: Annotated[int, share("Octets of one item.", "not-acceptable", ge=1_024)] = 196_608
    max_octets: Annotated[int, share("Octets that all items of one account have together.", ge=16_384)] = (
        10_485_760
    )
    max_people: Annotated[
        int, share("Subscriptions to one node, and affiliations with it, of each so many.")
    ] = 1_000
    page_items: Annotated[int, Meta(description="Items of one answer.", ge=1, le=10_000)] = 1_000
    page_octets: Annotated[int, Meta(description="Octets of the items of one answer.", ge=1_024)] = 1_048_576


class PersonalEventing(Feature):
    """Keeps the nodes of accounts, and tells contacts what is new there."""

    spec = (
        Spec.xep(163, version="1.2.2", note="without contacts on other servers"),
        Spec.xep(60, version="1.30.0", note="nodes of accounts and of a service; without collections"),
        Spec.xep(222, version="1.0.1"),
        Spec.xep(223, version="1.1.1"),
    )
    requires = (Interests,)
    Options = PersonalEventingOptions
    option_name = "personal_eventing"

    def __init__(
        self,
        host: Host,
        router: Router,
        sessions: SessionManager,
        store: NodeStore,
        clock: Clock,
        pacing: Pacing,
        supervisor: Supervisor,
        options: Current[PersonalEventingOptions],
    ) -> None:
        self._host = host
        self._store = store
        self._options = options
        self._service = NodeService(store, clock)
        subscribers = Subscribers(router, sessions, clock)
        self._newsroom = Newsroom(host, router, sessions, store, self._service, pacing, subscribers)
        self._announcements = Announcements(self._tell)
        self._discovery = NodeDiscovery(store, self._service.lookup)
        self._catching_up = Refresher[Session](supervisor, "last items", self._catch_up)
        self._meeting = Refresher[tuple[Jid, Jid]](supervisor, "last items", self._meet)

    # --- requests

    @handles(PubSubRequest, kind="get", at=Addressee.SELF | Addressee.ENTITY)
    async def read(self, request: Iq[PubSubRequest]) -> Element | None:
        """Answer who reads a node, or asks how he stands to it."""
        asked, visit = request.payload, self._visit(request)
        kept = self._kept_elsewhere(asked.node)
        if kept is not None and asked.action == "items":
            return await _read_kept(kept, request)
        return (await self._service.read(visit, asked)).answer

    @handles(PubSubRequest, kind="set", at=Addressee.SELF | Addressee.ENTITY)  # §3
    async def change(self, request: Iq[PubSubRequest]) -> Element | AnswerFirst | None:
        """Take what is published, taken back, made and subscribed to."""
        asked, visit = request.payload, self._visit(request)
        kept = self._kept_elsewhere(asked.node)
        if kept is not None:
            return await _publish_kept(kept, request)
        return self._announcements.follow(await self._service.change(visit, asked))

    @handles(OwnerRequest, kind="get", at=Addressee.SELF | Addressee.ENTITY)
    async def read_as_owner(self, request: Iq[OwnerRequest]) -> Element | None:
        """Answer the owner of a node how it behaves, and who may do what."""
        self._check_ours(request.payload.node)
        return (await self._service.read_as_owner(self._visit(request), request.payload)).answer

    @handles(OwnerRequest, kind="set", at=Addressee.SELF | Addressee.ENTITY)
    async def change_as_owner(self, request: Iq[OwnerRequest]) -> Element | AnswerFirst | None:
        """Let the owner of a node configure, purge and delete it."""
        self._check_ours(request.payload.node)
        done = await self._service.change_as_owner(self._visit(request), request.payload)
        return self._announcements.follow(done)

    # --- discovery

    @listens(DiscoInfo)  # §6
    async def describe(self, event: DiscoInfo) -> None:
        """Tell that an account has nodes, and of one of them who may read it what it is."""
        account = event.entity
        if not isinstance(account, Account) or not account.exists:
            return
        if not event.node:
            event.identities.append(("pubsub", "pep", ""))
            event.features += _FEATURES
            return
        person = person_of(self._host, account, event.asker)
        await self._discovery.describe(event, account.jid, person)

    @listens(DiscoItems)  # §6.2
    async def list(self, event: DiscoItems) -> None:
        """Name the nodes of an account that who asks may read, or the items of one of them."""
        account = event.entity
        if not isinstance(account, Account) or not account.exists:
            return
        person = person_of(self._host, account, event.asker)
        if event.node:
            await self._discovery.list_items(event, account.jid, person, self._options.now.page_items)
            return
        await self._discovery.list_nodes(event, account.jid, person)

    # --- news

    @listens(NewsWanted)  # §4.3.4
    def on_wanted(self, event: NewsWanted) -> None:
        """Send a session the last items of nodes that it wants to hear of."""
        event.session[WANTED].update(event.nodes)
        self._catching_up.ask(event.session)

    @listens(PresenceArrived, stage=Stage.OBSERVE)
    def on_presence(self, event: PresenceArrived) -> None:
        """Send the last items of one who lets the account see his presence from now on."""
        sender = event.stanza.sender
        if event.stanza.kind == "subscribed" and sender is not None and isinstance(event.entity, Account):
            self._meeting.ask((event.entity.jid, sender.bare))

    async def _catch_up(self, session: Session) -> None:
        wanted = session[WANTED]
        names = frozenset(wanted)
        wanted.clear()
        try:
            await self._newsroom.catch_up(session, names)
        except StanzaError:
            return  # its client takes nothing, or has gone: it is told the next time that it comes

    async def _meet(self, key: tuple[Jid, Jid]) -> None:
        account = self._host.directory.get(key[0])
        if isinstance(account, Account):
            try:
                await self._newsroom.catch_up_with(account, key[1])
            except StanzaError:
                return

    async def _tell(self, news: News) -> None:
        directory = self._host.directory
        account = directory.get(news.owner) or await directory.load(news.owner)
        if isinstance(account, Account):
            await self._newsroom.tell(account, news)

    # --- helpers

    def _visit(self, request: Iq[PubSubRequest] | Iq[OwnerRequest]) -> Visit:
        """Give who asks; an account that nobody has made looks like one without nodes."""
        account = account_of(request.entity)
        person = person_of(self._host, account, request.sender)
        if not account.exists:
            if person.is_owner and request.kind == "set":
                raise StanzaError("not-allowed", "an account that is not registered keeps no nodes")
            raise StanzaError("item-not-found")
        options = self._options.now
        terms = Terms(
            defaults=DEFAULTS,
            access_models=ACCESS_MODELS,
            limits=NodeLimits(nodes=options.max_nodes, items=options.max_items, octets=options.max_octets),
            item_octets=options.max_item_octets,
            people=options.max_people,
            page_items=options.page_items,
            page_octets=options.page_octets,
        )
        return Visit(
            owner=account.jid,
            person=person,
            terms=terms,
            may_make=person.is_owner,
            person_of=lambda jid: person_of(self._host, account, jid),
        )

    def _kept_elsewhere(self, node: str) -> PubSubNode | None:
        """Give the feature that keeps a node of this name, if there is one."""
        for feature in self._host.features:
            if isinstance(feature, PubSubNode) and feature.node == node:
                return feature
        return None

    def _check_ours(self, node: str) -> None:
        if node and self._kept_elsewhere(node) is not None:
            raise StanzaError("not-allowed", "the server keeps this node: it cannot be changed")


async def _read_kept(kept: PubSubNode, request: Iq[PubSubRequest]) -> Element:
    """Read a node that another feature keeps, which is the owner's alone (XEP-0223)."""
    account, asked = request.own_account, request.payload
    if request.session is None or request.session.account is not account:
        raise StanzaError("item-not-found")
    wanted = [item.id for item in asked.items if item.id is not None]
    items = await kept.items(account, wanted, asked.maximum, request.session)
    if wanted and not items:
        raise StanzaError("item-not-found")
    return items_answer(asked.node, items)


async def _publish_kept(kept: PubSubNode, request: Iq[PubSubRequest]) -> Element:
    """Publish to a node that another feature keeps."""
    account, asked = request.own_account, request.payload
    if request.session is None or request.session.account is not account:
        raise StanzaError("item-not-found")
    if asked.action != "publish":
        raise unsupported(
            {"retract": "delete-items", "create": "create-nodes"}.get(asked.action, asked.action)
        )
    if len(asked.items) != 1:
        raise unfit_payload("item-required")
    return published_answer(asked.node, (await kept.publish(account, asked.items[0], request.session),))
