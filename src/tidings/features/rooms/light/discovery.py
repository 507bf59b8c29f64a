"""Discovery by MUC Light: what the service is, and which rooms somebody is in.

Implements XEP-0030 for a service that tells everybody of his own rooms alone, in pages (XEP-0059). Of a room
nobody learns anything who is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.light.light_kind import door_of
from tidings.features.rooms.light.making import LightRooms
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light.settings import name_of
from tidings.features.rooms.light_view import is_in, version_of
from tidings.features.rooms.rooms_of_account import rooms_of
from tidings.features.rooms.storing import membership_of
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.disco import Identity, Info, ItemsWanted
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest

SERVICE_NAME: Final = "MUC Light"


class LightDiscovery(Feature):
    """Tells what the service is and which rooms there are for somebody."""

    spec = Spec.xep(30, version="2.5.0", advertises=(ns.DISCO_INFO, ns.DISCO_ITEMS))
    requires = (LightRooms,)
    Options = LightOptions
    option_name = "muc_light"

    def __init__(self, host: Host, ledger: Ledger, options: Current[LightOptions]) -> None:
        self._host = host
        self._door = door_of(host)
        self._ledger = ledger
        self._options = options

    @handles(Info, kind="get", at=Addressee.SERVER)
    async def describe(self, request: Iq[Info]) -> Element:
        """Answer for the service."""
        event = DiscoInfo(self._host.jid, request.payload.node, request.sender, None)
        if not event.node:
            event.identities.append((*self._host.kind.host_identity, SERVICE_NAME))
            specs = (spec for feature in self._host.features for spec in feature.specs())
            event.features += (each for spec in specs for each in spec.advertises)
        return await self._gathered(event)

    @handles(Info, kind="get", at=Addressee.ENTITY)
    async def describe_room(self, request: Iq[Info]) -> Element:
        """Answer for a room, to who is in it."""
        room = (await self._door.enter(request)).room
        event = DiscoInfo(request.to.bare, request.payload.node, request.sender, room)
        if not event.node:
            event.identities.append((*self._host.kind.identity, name_of(room.state, self._options.now)))
            event.features += (ns.MUC_LIGHT, ns.STANZA_ID)
        return await self._gathered(event)

    async def _gathered(self, event: DiscoInfo) -> Element:
        wait = self._host.hooks.run(event)
        if wait is not None:
            await wait
        if event.node and not event.known:
            raise StanzaError("item-not-found", "there is no such node")
        return Info(
            event.node,
            tuple(Identity(*identity) for identity in dict.fromkeys(event.identities)),
            tuple(sorted(set(event.features))),
            tuple(DataForm.decode(form) for form in event.forms),
        ).encode()

    @handles(ItemsWanted, kind="get", at=Addressee.SERVER)
    async def list_rooms(self, request: Iq[ItemsWanted]) -> Element:
        """Answer with a page of the rooms that the asker is in, in the order of their addresses."""
        asked = request.payload
        if asked.node not in {"", ns.MUC_LIGHT}:
            raise StanzaError("item-not-found", "there is no such node")
        query = Element("query", ns.DISCO_ITEMS, {"node": asked.node} if asked.node else None)
        addresses = await self.addresses_of(request.sender.bare)
        if not addresses:
            return query
        options = self._options.now
        found = _page(addresses, asked.page, options.rooms_per_page)
        query.append(found.encode(len(addresses)))
        for address in found.addresses:
            room = await self._door.load(address)
            if not room.exists:
                continue  # it has ended meanwhile
            attributes = {
                "jid": address.text,
                "name": name_of(room.state, options),
                "version": version_of(room.configuration, room.state.version),
            }
            query.append(Element("item", ns.DISCO_ITEMS, attributes))
        return query

    @handles(ItemsWanted, kind="get", at=Addressee.ENTITY)
    async def list_room(self, request: Iq[ItemsWanted]) -> Element:
        """Answer that a room holds nothing that is listed, to who is in it."""
        await self._door.enter(request)
        return Element("query", ns.DISCO_ITEMS)

    async def addresses_of(self, jid: Jid) -> list[Jid]:
        """Give the rooms that somebody is in and that this door opens to, by their addresses here, sorted.

        Rooms that he knows by this door are not looked at: they are open to it as long as he does.
        """
        found: list[Jid] = []
        async for each in rooms_of(self._ledger, jid):
            address = Jid(f"{each.room.local}@{self._door.domain}")
            is_here = each.room.domain == self._door.rooms_domain and is_in(membership_of(each))
            if is_here and (each.domain or await self._door.opens_to(address)):
                found.append(address)
        return sorted(found)


class _Found(NamedTuple):
    """A page of rooms."""

    addresses: list[Jid]
    start: int

    def encode(self, count: int) -> Element:
        """Return `<set/>`."""
        if not self.addresses:
            return Page(count=count).encode()
        first, last = self.addresses[0].text, self.addresses[-1].text
        return Page(first, last, self.start, count).encode()


def _page(addresses: list[Jid], asked: PageRequest, most: int) -> _Found:
    """Cut the page that is asked for; raises `item-not-found` for an id or an index that is none."""
    size = asked.size(default=most, limit=most)
    if asked.index is not None:
        if asked.index >= len(addresses):
            raise StanzaError("item-not-found", "there are not so many rooms")
        start = asked.index
    elif asked.before is not None:
        end = _position(addresses, asked.before) if asked.before else len(addresses)
        start = max(0, end - size)
        size = end - start
    else:
        start = _position(addresses, asked.after) + 1 if asked.after else 0
    return _Found(addresses[start : start + size], start)


def _position(addresses: Iterable[Jid], wanted: str) -> int:
    for number, address in enumerate(addresses):
        if address.text == wanted:
            return number
    raise StanzaError("item-not-found", "that room is not among yours")
