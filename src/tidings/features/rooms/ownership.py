"""Ownership of rooms: owners configure them and end them (XEP-0045 §10.1, §10.2, §10.9).

The marks § point at the sections of XEP-0045.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.administration import RoomAdministrators
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.attendance import attendance_of
from tidings.features.rooms.configuration import RoomConfiguration, configured, form_of, status_codes
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.light_view import is_open
from tidings.features.rooms.limiting import limits_of
from tidings.features.rooms.room import Room, RoomState
from tidings.features.rooms.room_access import owned
from tidings.features.rooms.showing import Showing, configuration_changed
from tidings.features.rooms.staff_lists import StaffLists, fields_of
from tidings.features.rooms.storing import Change, RoomStore
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn, until_done
from tidings.kernel.supervisor import Supervisor
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, FormKind
from tidings.wire.xmpp.payloads.muc_owner import RoomOwnership
from tidings.wire.xmpp.payloads.muc_user import Destruction, OccupantItem, Status, about_occupant

log = structlog.get_logger("tidings.rooms")


class RoomOwners(Feature):
    """Lets owners configure and destroy rooms, and ends temporary ones that are empty."""

    spec = Spec.xep(45, version="1.35.3", advertises=(ns.MUC_OWNER,))
    requires = (Entrance, RoomAdministrators)
    option_name = "room_ownership"

    def __init__(self, host: Host, router: Router, ledger: Ledger, supervisor: Supervisor) -> None:
        self._host = host
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)
        self._supervisor = supervisor
        self._attendance = attendance_of(host)
        self._attendance.when_empty = self._emptied

    @handles(RoomOwnership, kind="get", at=Addressee.ENTITY)  # §10.2
    def show(self, request: Iq[RoomOwnership]) -> Element:
        """Answer with the form that configures the room."""
        room = owned(request, self._host)
        staff = fields_of(room.state, limits_of(self._host).options.max_changes)
        return RoomOwnership(form=form_of(room.configuration, staff)).encode()

    @handles(RoomOwnership, kind="set", at=Addressee.ENTITY)  # §10.1, §10.2, §10.9
    async def change(self, request: Iq[RoomOwnership]) -> None:
        """Configure the room, or destroy it."""
        room, asked = owned(request, self._host), request.payload
        if asked.destruction is not None:
            limits_of(self._host).check_reasons((asked.destruction.reason,))
            await self.destroy(room, asked.destruction, by=request.sender.bare)
        elif asked.form is None:
            raise StanzaError("bad-request", "a room is configured by a form, or destroyed")
        elif asked.form.kind is FormKind.CANCEL:
            if room.configuration.is_locked:  # §10.1.3: who gives up making it has none
                await self.destroy(room, Destruction(), by=request.sender.bare)
        elif asked.form.kind is FormKind.SUBMIT:
            await self._configure(room, request.sender, asked.form)
        else:
            raise StanzaError("bad-request", "a form is submitted or cancelled")

    # --- configuring

    async def _configure(self, room: Room, by: Jid, form: DataForm) -> None:
        administrators, staff = self._host.feature(RoomAdministrators), StaffLists.of(form)
        assert administrators is not None  # required
        before, affiliations = room.configuration, dict[Jid, Affiliation]()

        def decide(state: RoomState) -> Change | None:
            nonlocal before
            before = state.configuration
            affiliations.clear()
            named = staff.changes(state)
            limits_of(self._host).check_count(len(named))
            items = ((jid, OccupantItem(affiliation=after.value)) for jid, after in named.items())
            people = administrators.changed(room, state, by.bare, items, affiliations)
            after = configured(before, form)
            if after is before:
                return people
            if is_open(before) and not is_open(after) and any(m.domain for m in state.members.values()):
                raise StanzaError(
                    "not-acceptable", "some members know the room by MUC Light, who would lose it"
                )
            if people is not None:
                return msgspec.structs.replace(people, configuration=after)
            told = about_occupant(statuses=status_codes(before, after))
            return Change(told=told, configuration=after)

        change = await self._store.change(room, decide)
        if change is None:
            return
        if change.members:
            await until_done(in_turn(administrators.changed_by(room, by, affiliations, change, {})))
        if change.configuration is not None:
            version = change.configuration.version
            log.info("room_configured", room=room.jid.text, by=by.bare.text, version=version)
            await until_done(in_turn(self.tell_configured(room, before, change.configuration)))
        self._attendance.settle(room)

    def tell_configured(
        self, room: Room, before: RoomConfiguration, after: RoomConfiguration
    ) -> Iterator[MaybeAwaitable]:
        """Tell the occupants (§10.2.1), and put out who may not be there any more (§10.2.1, example 169)."""
        if not before.is_locked:
            statuses = status_codes(before, after)
            yield self._showing.to_all(room, configuration_changed(room, statuses))
        if not after.is_members_only or before.is_members_only:
            return
        occupants = room.occupants
        for occupant in list(occupants):
            yield self._attendance.time_slice.turn()
            if room.occupants is not occupants or not room.configuration.is_members_only:
                return  # it is another room, or open again
            is_here = occupants.called(occupant.nick) is occupant
            if is_here and room.state.affiliation_of(occupant.jid) is Affiliation.NONE:
                yield self._showing.removed(room, occupant, statuses=(Status.MEMBERS_ONLY,))
                self._attendance.remove(room, occupant)

    # --- the end

    async def destroy(self, room: Room, destruction: Destruction, *, by: Jid, id: str | None = None) -> None:  # noqa: A002  # the attribute's own name
        """End a room for good (§10.9): it leaves the inboxes of its members, and its archive is forgotten."""
        async with room.changing:
            if not room.exists:
                return
            await self._store.end(room, about_occupant(destroyed=destruction), by=by, id=id)
            log.info("room_destroyed", room=room.jid.text, by=by.text, reason=destruction.reason)
            await until_done(in_turn(self._tell_destroyed(room, destruction)))
            await self._store.forget(room)

    def _tell_destroyed(self, room: Room, destruction: Destruction) -> Iterator[MaybeAwaitable]:
        for occupant in list(room.occupants):
            yield self._attendance.time_slice.turn()
            if room.occupants.called(occupant.nick) is occupant:  # else he has left meanwhile
                yield self._showing.destroyed(room, occupant, destruction)
                self._attendance.remove(room, occupant)
        self._host.directory.unpin(room)

    def _emptied(self, room: Room) -> None:
        """Let a room that nobody is in be forgotten in memory.

        One that is temporary (§4.2), or that nobody has configured (§10.1.3), is forgotten for good.
        """
        if not room.exists:
            return
        if room.configuration.is_persistent and not room.configuration.is_locked:
            self._host.directory.unpin(room)
        else:
            self._supervisor.start("end a temporary room", self._end_if_empty(room))

    async def _end_if_empty(self, room: Room) -> None:
        if not len(room.occupants):
            await self.destroy(room, Destruction(reason="everybody has left"), by=room.jid)
