"""vCards of rooms: an owner gives a room a picture, and everybody who may see the room sees it.

Implements XEP-0486 0.1.0 with the vCard of XEP-0054; the marks § point at the sections of XEP-0486. Occupants
are told by a presence of the room, too (§6.2), since clients look for the picture of a room there. Not looked
at: whether a picture is one, and what else the vCard says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.room import Room, RoomState
from tidings.features.rooms.room_access import owned, seen
from tidings.features.rooms.room_change import Change
from tidings.features.rooms.room_properties import VCARD, hashes_of
from tidings.features.rooms.showing import Showing, configuration_changed, picture_of
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn, until_done
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import PROPERTY_OCTETS
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_user import Status, about_occupant
from tidings.wire.xmpp.payloads.vcard import VCard

log = structlog.get_logger("tidings.rooms")


class RoomVCardOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How large the vCard of a room may be."""

    max_bytes: Annotated[
        int,
        Meta(
            description="Octets of the vCard of one room, its picture in base64 included; a larger one is "
            "refused with `policy-violation`.",
            ge=1_024,
            le=PROPERTY_OCTETS,
        ),
    ] = PROPERTY_OCTETS


class RoomVCards(Feature):
    """Keeps the vCard of every room."""

    spec = (
        Spec.xep(486, version="0.1.0"),
        Spec.xep(54, version="1.3.0", advertises=(ns.VCARD,)),
    )
    requires = (Entrance,)
    Options = RoomVCardOptions

    def __init__(
        self, host: Host, router: Router, ledger: Ledger, options: Current[RoomVCardOptions]
    ) -> None:
        self._host = host
        self._ledger = ledger
        self._options = options
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)

    @handles(VCard, kind="get", at=Addressee.ENTITY)  # §4.4
    async def show(self, request: Iq[VCard]) -> Element:
        """Answer with the vCard; where there is none, with an empty one."""
        kept = (await self._ledger.properties(seen(request).jid)).get(VCARD)
        return Element("vCard", ns.VCARD) if kept is None else decode(kept, "")

    @handles(VCard, kind="set", at=Addressee.ENTITY)  # §4.2
    async def publish(self, request: Iq[VCard]) -> None:
        """Keep the vCard in place of the one before; an empty one removes it."""
        room, vcard = owned(request, self._host), request.payload
        hashes_of(vcard)  # refused, where a picture is broken
        raw = vcard.encode().to_bytes() if vcard.content.children else b""
        most = self._options.now.max_bytes
        if len(raw) > most:
            raise ShareExceeded("the vCard", len(raw), most, condition="policy-violation")
        await self.keep(room, raw, by=request.sender.bare)

    async def keep(self, room: Room, raw: bytes, *, by: Jid) -> None:
        """Keep a vCard as it is written, or none, and tell who is in the room."""
        before: tuple[str, ...] = ()

        def decide(state: RoomState) -> Change:
            nonlocal before
            before = state.properties.pictures
            told = about_occupant(statuses=(Status.CONFIGURATION_CHANGED,))
            return Change(told=told, properties={VCARD: raw}, by=by)

        await self._store.change(room, decide)
        log.info("room_vcard_changed", room=room.jid.text, by=by.text, octets=len(raw))
        await until_done(in_turn(self._tell(room, before)))

    def _tell(self, room: Room, before: tuple[str, ...]) -> Iterator[MaybeAwaitable]:
        yield self._showing.to_all(room, configuration_changed(room))
        if room.state.properties.pictures != before:
            yield self._showing.to_all(room, picture_of(room))
