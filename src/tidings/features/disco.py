"""Service Discovery: clients and servers learn what this server is, what it speaks and what it holds.

Implements XEP-0030 2.5.0, and the server's own capabilities by XEP-0115 1.6.0 and XEP-0390 0.3.2; the marks
§ point at the sections of XEP-0030. Everything is gathered: the features of a domain from the documents
that its features implement, the rest from whoever listens to `DiscoInfo` and `DiscoItems`. Left out: caps
optimisation (XEP-0115 §8.4).
"""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.domains import Domains
from tidings.kernel.entity import Entity
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.feature import Addressee, Feature, Spec, StreamStage, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.watchers import Watchers
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.caps import Capabilities, CapabilityHashSet, capabilities, capability_hash_set
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.disco import Identity, Info, Item, Items, ItemsWanted

CAPS_NODE: Final = "urn:tidings:server"
"""What this software calls itself in XEP-0115, whose `node` names the software rather than the domain."""

_LANG: Final = "en"
"""Written out on every identity: XEP-0390 §4.1 would else hash the language of the stream it travels on."""


class DiscoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the server calls itself."""

    name: Annotated[str, Meta(description="Name of the service, for people.")] = "Tidings"


class ServiceDiscovery(Feature):
    """Tells what a domain and its entities are, and announces the domain's capabilities on every stream."""

    spec = (
        Spec.xep(30, version="2.5.0", advertises=(ns.DISCO_INFO, ns.DISCO_ITEMS)),
        Spec.xep(115, version="1.6.0", advertises=(ns.CAPS,)),
        Spec.xep(390, version="0.3.2", advertises=(ns.CAPS2,)),
    )
    Options = DiscoOptions

    def __init__(self, host: Host, domains: Domains, options: DiscoOptions) -> None:
        self._host = host
        self._domains = domains
        self._name = options.name
        self._known = Info()
        self._announced: tuple[Capabilities, CapabilityHashSet] | None = None
        self._nodes: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Find out what the server is, for the capabilities: from now on it stays that."""
        self._known = await self._describe_server("", self._host.jid)
        caps, hashes = capabilities(self._known, CAPS_NODE), capability_hash_set(self._known)
        self._announced = caps, hashes
        self._nodes = frozenset((caps.query_node, *(each.query_node for each in hashes.hashes)))

    def stream_features(self, stage: StreamStage) -> Iterable[Element]:
        """Announce the capabilities after log-in (XEP-0115 §6.3, XEP-0390 §5.2)."""
        if stage is StreamStage.BEFORE_LOGIN or self._announced is None:
            return ()
        return (announced.encode() for announced in self._announced)

    @handles(Info, kind="get", at=Addressee.SERVER)  # §3
    async def describe_server(self, request: Iq[Info]) -> Element:
        """Answer for the domain; the nodes of its capabilities say the same as the domain itself."""
        node = request.payload.node
        if node in self._nodes:
            return msgspec.structs.replace(self._known, node=node).encode()
        return (await self._describe_server(node, request.sender)).encode()

    @handles(Info, kind="get", at=Addressee.SELF | Addressee.ENTITY)  # §3, §7
    async def describe_entity(self, request: Iq[Info]) -> Element:
        """Answer for an entity; an account's to itself and to those who may see its presence."""
        entity, node = self._visible(request), request.payload.node
        if entity is None:  # whether there is an account is told to nobody (RFC 6121 §8.5.1)
            is_account = isinstance(request.entity, Account)
            raise StanzaError("service-unavailable" if is_account else "item-not-found")
        event = DiscoInfo(entity.jid, node, request.sender, entity)
        if not node:
            category, kind = self._host.kind.identity
            kind = "admin" if entity.jid in self._host.admins else kind
            event.identities.append((category, kind, ""))
            event.features += self._entity_features(request.sender.bare == entity.jid)
        return (await self._gather(event)).encode()

    @handles(ItemsWanted, kind="get", at=Addressee.SERVER)  # §4
    async def list_server(self, request: Iq[ItemsWanted]) -> Element:
        """Answer with what belongs to the domain, its services first, or to one of its nodes."""
        asked = request.payload
        event = DiscoItems(self._host.jid, asked.node, request.sender, None, page=asked.page)
        if not event.node:
            services = self._domains.with_services(self._host.domain)[1:]
            event.items += ((Jid(service), "", "") for service in services)
        return await self._list(event)

    @handles(ItemsWanted, kind="get", at=Addressee.SELF | Addressee.ENTITY)  # §4, §7
    async def list_entity(self, request: Iq[ItemsWanted]) -> Element:
        """Answer with what belongs to an entity; who may not see an account's presence finds nothing."""
        entity, node = self._visible(request), request.payload.node
        if entity is None:
            return Items(node).encode()
        event = DiscoItems(entity.jid, node, request.sender, entity, page=request.payload.page)
        if not node and isinstance(entity, Account):
            event.items += ((jid, "", "") for jid in entity.available_jids)
        return await self._list(event)

    async def _describe_server(self, node: str, asker: Jid) -> Info:
        event = DiscoInfo(self._host.jid, node, asker, None)
        if not node:
            event.identities.append((*self._host.kind.host_identity, self._name))
            event.features += (each for _, spec in self._specs() for each in spec.advertises)
        return await self._gather(event)

    async def _gather(self, event: DiscoInfo) -> Info:
        """Let every feature add what it knows, and put it into one answer without repetitions."""
        wait = self._host.hooks.run(event)
        if wait is not None:
            await wait
        if event.node and not event.known:
            raise StanzaError("item-not-found", "there is no such node")
        return Info(
            event.node,
            tuple(Identity(*identity, _LANG) for identity in dict.fromkeys(event.identities)),
            tuple(sorted(set(event.features))),
            tuple(DataForm.decode(form) for form in event.forms),
        )

    async def _list(self, event: DiscoItems) -> Element:
        wait = self._host.hooks.run(event)
        if wait is not None:
            await wait
        if event.node and not event.known:
            raise StanzaError("item-not-found", "there is no such node")
        items = tuple(Item(*item) for item in dict.fromkeys(event.items))
        return Items(event.node, items, event.shown).encode()

    def _specs(self) -> Iterable[tuple[Feature, Spec]]:
        return ((feature, spec) for feature in self._host.features for spec in feature.specs())

    def _entity_features(self, is_own: bool) -> Iterable[str]:
        """Give the advertised namespaces in which an entity answers: to its owner, or to others."""
        where = Addressee.SELF if is_own else Addressee.ENTITY
        answered = {tag[0] for kind, tag, at in self._host.iq_handlers if at is where and kind == "get"}
        return (each for _, spec in self._specs() for each in spec.advertises if each in answered)

    def _visible(self, request: Iq[Info] | Iq[ItemsWanted]) -> Entity | None:
        """Give the addressed entity, if the asker may learn that there is such a one (§7)."""
        entity, asker = request.entity, request.sender.bare
        assert entity is not None  # of a handler at SELF and ENTITY
        if asker == entity.jid:
            return entity
        if not isinstance(entity, Account):
            return entity if entity.exists else None
        watchers = self._host.feature(Watchers)  # type: ignore[type-abstract]  # asks for whoever satisfies it
        is_seen = entity.exists and watchers is not None and watchers.is_watched_by(entity, asker)
        return entity if is_seen else None
