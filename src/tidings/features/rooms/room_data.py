"""Data of rooms: applications keep a JSON object of their own with each room (docs/specs/rooms.md).

The marks § point at the sections of docs/specs/rooms.md.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.room import Room, RoomState
from tidings.features.rooms.room_access import check_staff, existing
from tidings.features.rooms.room_change import Change
from tidings.features.rooms.room_properties import DATA, KeptData
from tidings.features.rooms.showing import Showing, configuration_changed
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.events import DiscoInfo
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_user import Status, about_occupant
from tidings.wire.xmpp.payloads.room_data import RoomData, read_object

MOST_OCTETS: Final = 8_192
"""Of the data of one room."""

log = structlog.get_logger("tidings.rooms")


class RoomDataFeature(Feature):
    """Keeps what applications say of rooms."""

    spec = Spec(ns.TIDINGS_ROOMS, advertises=(ns.TIDINGS_ROOMS,), note="docs/specs/rooms.md")
    requires = (Entrance,)
    option_name = "room_data"

    def __init__(self, host: Host, router: Router, ledger: Ledger) -> None:
        self._host = host
        self._ledger = ledger
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)

    @listens(DiscoInfo)
    def describe(self, event: DiscoInfo) -> None:
        """Say of a room that it keeps data."""
        if event.entity is not None and event.entity.exists and not event.node:
            event.features.append(ns.TIDINGS_ROOMS)

    @handles(RoomData, kind="get", at=Addressee.ENTITY)  # §3.1
    async def show(self, request: Iq[RoomData]) -> Element:
        """Answer with the data and their version."""
        room = existing(request)
        affiliation = room.state.affiliation_of(request.sender.bare)
        if affiliation is Affiliation.OUTCAST:
            raise StanzaError("forbidden", "you are banned from this room")
        if affiliation is Affiliation.NONE and room.occupants.at(request.sender) is None:
            raise StanzaError("forbidden", "the data of a room are for who is in it")
        return (await self.data_of(room)).encode()

    @handles(RoomData, kind="set", at=Addressee.ENTITY)  # §3.2
    async def change(self, request: Iq[RoomData]) -> Element:
        """Keep other data in place of those before; gives their version."""
        room, asked, asker = existing(request), request.payload, request.sender.bare
        check_staff(room, asker, self._host)
        return RoomData(version=await self.put(room, asked, by=asker)).encode()

    async def data_of(self, room: Room) -> RoomData:
        """Read what applications have said of a room; of a room without data that is an empty object."""
        kept = KeptData.of(await self._ledger.properties(room.jid))
        return RoomData(kept.text, kept.version)

    async def put(self, room: Room, data: RoomData, *, by: Jid) -> int:
        """Keep other data and give their version.

        Raises `conflict` where the version that is known is not that of now, `bad-request` for what is no
        JSON object, and `policy-violation` for more than `MOST_OCTETS`.
        """
        read_object(data.text, MOST_OCTETS)

        def decide(state: RoomState) -> Change:
            now = state.properties.data_version
            if data.version not in {None, now}:
                raise StanzaError("conflict", f"somebody has changed the data: they are at version {now}")
            value = msgspec.json.encode(KeptData(text=data.text, version=now + 1))
            told = about_occupant(statuses=(Status.CONFIGURATION_CHANGED,))
            return Change(told=told, properties={DATA: value}, by=by)

        await self._store.change(room, decide)
        version = room.state.properties.data_version
        log.info("room_data_changed", room=room.jid.text, by=by.text, version=version)
        await until_done(self._showing.to_all(room, configuration_changed(room)))
        return version
