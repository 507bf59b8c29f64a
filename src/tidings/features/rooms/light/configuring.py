"""Configuring by MUC Light: the fields of a room, and the room as a whole.

Who knows the present version of a room is answered with nothing.
"""

from __future__ import annotations

import structlog

from tidings.base.clock import microseconds
from tidings.base.errors import StanzaError
from tidings.features.rooms.configuration import status_codes
from tidings.features.rooms.light.light_kind import door_of, speaker_of
from tidings.features.rooms.light.making import LightRooms
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light.settings import fields_of, may_configure, new_subject, with_fields
from tidings.features.rooms.light_view import is_in, users_written, version_of
from tidings.features.rooms.room import RoomState
from tidings.features.rooms.room_change import Change
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_light import LightConfiguration, LightInfo, answer, fields_written
from tidings.wire.xmpp.payloads.muc_user import about_occupant
from tidings.wire.xmpp.stanza import Child

log = structlog.get_logger("tidings.rooms")


class LightConfiguring(Feature):
    """Shows and changes how a room is configured."""

    requires = (LightRooms,)
    Options = LightOptions
    option_name = "muc_light"

    def __init__(self, host: Host, clock: Clock, options: Current[LightOptions]) -> None:
        self._door = door_of(host)
        self._clock = clock
        self._options = options

    @handles(LightConfiguration, kind="get", at=Addressee.ENTITY)
    async def show(self, request: Iq[LightConfiguration]) -> Child | None:
        """Answer with every field."""
        state = (await self._door.enter(request)).room.state
        version = version_of(state.configuration, state.version)
        if request.payload.version == version:
            return None
        fields = fields_of(state, self._options.now)
        return answer(LightConfiguration.TAG, version, fields_written(fields, LightConfiguration.TAG[0]))

    @handles(LightInfo, kind="get", at=Addressee.ENTITY)
    async def show_all(self, request: Iq[LightInfo]) -> Child | None:
        """Answer with every field and every member."""
        state = (await self._door.enter(request)).room.state
        version, namespace = version_of(state.configuration, state.version), ns.MUC_LIGHT_INFO
        if request.payload.version == version:
            return None
        fields = fields_written(fields_of(state, self._options.now), namespace)
        content = b"<configuration>%b</configuration><occupants>%b</occupants>"
        return answer(LightInfo.TAG, version, content % (fields, users_written(state, namespace)))

    @handles(LightConfiguration, kind="set", at=Addressee.ENTITY)
    async def change(self, request: Iq[LightConfiguration]) -> None:
        """Set the fields that are named; all of them or none."""
        options = self._options.now
        room, actor, is_service = await self._door.enter(request)
        values = options.checked(request.payload.fields)
        if not values:
            raise StanzaError("bad-request", "no field is named")
        now = microseconds(self._clock.now())

        def decide(state: RoomState) -> Change | None:
            member = state.members.get(actor)
            if not room.exists or not (is_service or is_in(member)):
                raise StanzaError("item-not-found")
            if member is not None and not may_configure(state, member, values, options):
                raise StanzaError("not-allowed", "a room is configured by its owner")
            before = state.configuration
            after = with_fields(before, values)
            nick = actor.text if member is None else speaker_of(room, actor, member).nick
            return Change(
                told=about_occupant(statuses=status_codes(before, after)),
                configuration=None if after is before else after,
                subject=new_subject(state, values, nick, now),
                fields=values,
                door=self._door.domain,
                id=request.stanza.id,
                by=actor,
            )

        await self._door.store.change(room, decide)
        log.info("room_configured", room=room.jid.text, by=actor.text, fields=sorted(values))
