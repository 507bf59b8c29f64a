"""Registration with a room: a name becomes a member's own (XEP-0045 §7.10, §7.11, §9.9; XEP-0077).

Who registers with a room that is open to everybody is a member of it from then on. A room that is for members
only is registered with by its members alone; others are made members by its admins.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.limiting import limits_of
from tidings.features.rooms.nick_conflicts import check_free
from tidings.features.rooms.nicknames import prepared
from tidings.features.rooms.room import Membership, Room, RoomState
from tidings.features.rooms.room_access import existing
from tidings.features.rooms.showing import Showing
from tidings.features.rooms.storing import Change, RoomStore
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, about_occupant
from tidings.wire.xmpp.payloads.register import Register

log = structlog.get_logger("tidings.rooms")

FORM_TYPE = f"{ns.MUC}#register"
_NICK = "muc#register_roomnick"


class NickRegistration(Feature):
    """Lets people have a name of their own in a room."""

    spec = Spec.xep(77, advertises=(ns.REGISTER,))
    requires = (Entrance,)

    def __init__(self, host: Host, router: Router, ledger: Ledger) -> None:
        self._limits = limits_of(host)
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)

    @handles(Register, kind="get", at=Addressee.ENTITY)
    def show(self, request: Iq[Register]) -> Element:
        """Answer with the form, and with the name that the asker has already, if he is registered."""
        room = existing(request)
        member = room.state.members.get(request.sender.bare)
        _check(room.state, request.sender.bare)
        nick = "" if member is None else member.nick
        fields = (
            Field("FORM_TYPE", (FORM_TYPE,), FieldKind.HIDDEN),
            Field(_NICK, (nick,) if nick else (), FieldKind.TEXT_SINGLE, "Name", is_required=True),
        )
        form = DataForm(FormKind.FORM, fields, f"Registration with {room.jid}")
        known = {"username": nick} if nick else {}
        return Register(known, "Choose the name that is yours here.", bool(nick), form=form).encode()

    @handles(Register, kind="set", at=Addressee.ENTITY)
    async def register(self, request: Iq[Register]) -> None:
        """Reserve a name, or let it go."""
        room, person, asked = existing(request), request.sender.bare, request.payload
        if asked.is_removal:
            await self._change(room, person, lambda state: _unregistered(state, person))
            return
        form = asked.form
        if form is None or form.form_type != FORM_TYPE:
            raise StanzaError("bad-request", "fill in the form of this room")
        if form.kind is FormKind.CANCEL:
            return
        nick = self._limits.check_nick(prepared(form.text(_NICK)))
        await self._change(room, person, lambda state: _registered(room, state, person, nick))

    async def _change(self, room: Room, person: Jid, decide: Callable[[RoomState], Change | None]) -> None:
        before = room.state.affiliation_of(person)
        change = await self._store.change(room, decide)
        if change is None:
            return
        member = change.members[person]
        log.info("room_nick_registered", room=room.jid.text, account=person.text, nick=member.nick)
        if member.affiliation is before:
            return
        step, there = change.steps.get(person), room.occupants.of(person)
        for occupant in there:
            await until_done(self._showing.updated(room, occupant, step=step))
        if not there:
            await until_done(self._showing.changed_while_away(room, [person], change.steps))


def _registered(room: Room, state: RoomState, person: Jid, nick: str) -> Change | None:
    _check(state, person)
    check_free(room, state, person, nick)
    old = state.members.get(person, Membership(Affiliation.MEMBER))
    if old.nick == nick:
        return None
    return _change_of(person, old._replace(nick=nick))


def _unregistered(state: RoomState, person: Jid) -> Change | None:
    old = state.members.get(person)
    if old is None or old.affiliation is Affiliation.OUTCAST:
        raise StanzaError("registration-required", "you are not registered with this room")
    if old.affiliation is Affiliation.MEMBER and not state.configuration.is_members_only:
        return _change_of(person, Membership(Affiliation.NONE))
    return _change_of(person, old._replace(nick="")) if old.nick else None


def _change_of(person: Jid, member: Membership) -> Change:
    item = OccupantItem(affiliation=member.affiliation.value, jid=person, nick=member.nick)
    return Change(told=about_occupant(item), members={person: member})


def _check(state: RoomState, person: Jid) -> None:
    affiliation = state.affiliation_of(person)
    if affiliation is Affiliation.OUTCAST:
        raise StanzaError("forbidden", "you are banned from this room")
    if affiliation is Affiliation.NONE and state.configuration.is_members_only:
        raise StanzaError("not-allowed", "the members of this room are made by its admins")
