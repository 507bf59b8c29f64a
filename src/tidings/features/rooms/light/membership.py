"""Membership by MUC Light: who belongs to a room, who is added and removed, and who leaves."""

from __future__ import annotations

import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.light.door import Entered
from tidings.features.rooms.light.light_kind import door_of
from tidings.features.rooms.light.list_rules import ListRules, check_request, listed
from tidings.features.rooms.light.making import LightRooms, end
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light.settings import is_allowed
from tidings.features.rooms.light_view import is_in, users_written, version_of
from tidings.features.rooms.room import RoomState
from tidings.features.rooms.room_change import Change
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.wire.xmpp.payloads.muc_light import LightList, LightUser, answer
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, about_occupant
from tidings.wire.xmpp.stanza import Child

log = structlog.get_logger("tidings.rooms")


class LightMembership(Feature):
    """Shows and changes who belongs to a room."""

    requires = (LightRooms,)
    Options = LightOptions
    option_name = "muc_light"

    def __init__(self, host: Host, options: Current[LightOptions]) -> None:
        self._door = door_of(host)
        self._options = options

    @handles(LightList, kind="get", at=Addressee.ENTITY)
    async def show(self, request: Iq[LightList]) -> Child | None:
        """Answer with who belongs to the room, or nothing where the asker knows that."""
        state = (await self._door.enter(request)).room.state
        version = version_of(state.configuration, state.version)
        if request.payload.version == version:
            return None
        return answer(LightList.TAG, version, users_written(state, LightList.TAG[0]))

    @handles(LightList, kind="set", at=Addressee.ENTITY)
    async def change(self, request: Iq[LightList]) -> None:
        """Add people, remove them, or make them something else; all of it or nothing."""
        options = self._options.now
        entered = await self._door.enter(request)
        wanted = check_request(request.payload.users, options.max_changes)
        if not wanted:
            raise StanzaError("bad-request", "nobody is named")
        left_out = await self._left_out(entered, wanted, options)
        wanted = {jid: user for jid, user in wanted.items() if jid not in left_out}
        if not wanted:
            return  # in silence, and nothing has changed
        await self._change(entered, wanted, options, request.stanza.id)

    async def _change(
        self, entered: Entered, wanted: dict[Jid, LightUser], options: LightOptions, id_: str | None
    ) -> None:
        room, actor, is_service = entered

        def decide(state: RoomState) -> Change | None:
            if not room.exists or not (is_service or is_in(state.members.get(actor))):
                raise StanzaError("item-not-found")
            can_invite = is_allowed(state, "all_can_invite", options)
            rules = ListRules(self._door.domain, options, can_invite, is_service)
            members = listed(state, actor, wanted, rules)
            items = (
                OccupantItem(affiliation=member.affiliation.value, jid=jid) for jid, member in members.items()
            )
            told = about_occupant(*items)
            return Change(told=told, members=members, door=self._door.domain, id=id_, by=actor)

        change = await self._door.store.change(room, decide)
        if change is not None:
            self._log(entered, change)
        if not any(is_in(member) for member in room.state.members.values()):
            await end(self._door, room, actor, id_)

    async def _left_out(
        self, entered: Entered, wanted: dict[Jid, LightUser], options: LightOptions
    ) -> frozenset[Jid]:
        """Name the newcomers who do not want to be added, or are in enough rooms."""
        members = entered.room.state.members
        new = [
            jid
            for jid, user in wanted.items()
            if user.affiliation != "none" and not is_in(members.get(jid)) and jid != entered.jid
        ]
        return await self._door.left_out(self._door.address_of(entered.room), entered.jid, new, options)

    def _log(self, entered: Entered, change: Change) -> None:
        for jid, member in change.members.items():
            is_out = member.affiliation is Affiliation.NONE
            event = "room_affiliation_changed"
            if is_out:
                event = "room_left" if jid == entered.jid else "room_member_removed"
            log.info(
                event,
                room=entered.room.jid.text,
                account=jid.text,
                affiliation=member.affiliation.value,
                by=entered.jid.text,
            )
