"""Entrance: how people come into rooms, go by other names, and leave (XEP-0045 §7.1 to §7.7, §7.14).

Implements XEP-0045 1.35.3 for who enters with several devices under one name, too; the marks § point at its
sections. Left out: the protocol of 1999 (groupchat 1.0): who sends a presence without `<x/>` and is not in
the room is told so by a kick (§7.2.18), since a client that believes to be in it would otherwise never find
out.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Literal, Protocol, runtime_checkable

import msgspec
import structlog
from msgspec import Meta

from tidings.base.clock import microseconds
from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms import kept_roles, recent
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.affiliation_changes import told_at_entering
from tidings.features.rooms.attendance import attendance_of
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.entrants import Entrants
from tidings.features.rooms.leaving import leave
from tidings.features.rooms.limiting import limits_of
from tidings.features.rooms.nick_conflicts import check_free
from tidings.features.rooms.presence_writing import stranger_kicked
from tidings.features.rooms.room import STATE, Occupant, Room, RoomState, room_of
from tidings.features.rooms.room_archive import first_shown
from tidings.features.rooms.room_claims import presence_without_claims
from tidings.features.rooms.showing import Showing
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.account import Account
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import ArchiveShortened, PresenceArrived
from tidings.kernel.feature import Feature, Spec, listens, loads
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session import Session
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc import Entering
from tidings.wire.xmpp.payloads.muc_user import Destruction, OccupantItem, Status, about_occupant
from tidings.wire.xmpp.payloads.preauth import Preauth
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.rooms")


class EntranceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes rooms, and how large they get."""

    create: Annotated[
        Literal["accounts", "admins"],
        Meta(description="Who may make a room by entering it: everybody with an account here, or admins."),
    ] = "accounts"
    keeps_new: Annotated[
        bool,
        Meta(
            description="Whether a new room stays when everybody has left it, unless its owner configures it "
            "otherwise. A room that does not stay loses what was said in it."
        ),
    ] = True
    locks_new: Annotated[
        bool,
        Meta(description="Whether a new room waits for its owner to configure it before others enter."),
    ] = True
    max_occupants: Annotated[int, Meta(description="Occupants of one room.", ge=1)] = 5_000
    max_rooms_of_occupant: Annotated[
        int, Meta(description="Rooms that one device may be in at the same time.", ge=1)
    ] = 200
    max_history_octets: Annotated[
        int,
        Meta(
            description="Octets of the last messages of a room that memory has and who enters is sent.",
            ge=1,
        ),
    ] = 262_144


@runtime_checkable
class TakesTokens(Protocol):
    """A feature that makes members of those who have a token."""

    async def let_in(self, room: Room, person: Jid, token: str) -> None:
        """Make somebody a member who has a valid token; nothing happens where it is none."""
        ...


class Entrance(Feature):
    """Lets people into rooms."""

    spec = (Spec.xep(45, version="1.35.3", advertises=(ns.MUC,)), Spec.xep(463, version="0.2.0"))
    Options = EntranceOptions
    option_name = "muc"

    def __init__(
        self, host: Host, router: Router, ledger: Ledger, clock: Clock, options: Current[EntranceOptions]
    ) -> None:
        self._host = host
        self._router = router
        self._ledger = ledger
        self._clock = clock
        self._options = options
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)
        self._entrants = Entrants()
        self._attendance = attendance_of(host)
        self._limits = limits_of(host)

    @loads(STATE)
    async def load(self, jid: Jid) -> RoomState:
        """Bring what is kept of a room into memory."""
        if self._router.seats is not None:
            await self._router.seats.confirm(jid)
        return await self._store.load(jid)

    @listens(ArchiveShortened)
    def read_anew(self, event: ArchiveShortened) -> None:
        """Let nobody who enters be sent what was erased."""
        room = self._host.directory.get(event.archive)
        if room is not None:
            recent.forget(room)

    @listens(PresenceArrived, stage=Stage.DELIVER)
    async def on_arrived(self, event: PresenceArrived) -> None:
        """Take what somebody says of himself to a room."""
        room, presence = room_of(event.entity), event.stanza
        assert presence.sender is not None
        assert presence.to is not None
        if presence.kind in {"unavailable", "error"}:
            self._entrants.leave(room.jid, presence.sender)
        match presence.kind:
            case "" if not presence.to.resource:
                raise StanzaError("jid-malformed", "say under which name you enter")  # §7.2.1
            case "" if presence.has(*Entering.TAG):
                await self._enter(room, presence)
            case "" | "unavailable" | "error":
                await until_done(self._attendance.time_slice.turn())
                await self._take(room, presence)

    async def _take(self, room: Room, presence: Stanza) -> None:
        """Take what somebody says who is in the room, or was a moment ago."""
        assert presence.sender is not None
        assert presence.to is not None
        occupant = room.occupants.at(presence.sender)
        if occupant is None:
            if not presence.kind:
                await until_done(self._router.route(stranger_kicked(room, presence)))
            return
        shown = presence_without_claims(presence, room.jid)
        if presence.kind:
            await self._leave(room, occupant, shown)
        elif presence.to.resource != occupant.nick:
            await self._take_rename(room, occupant, presence)
        else:
            await self._update(room, occupant, shown)

    # --- entering

    async def _enter(self, room: Room, presence: Stanza) -> None:
        element = presence.decode(*Entering.TAG)
        assert element is not None  # by it an entering is told
        entering = Entering.decode(element)
        self._check_open()
        presence = presence_without_claims(presence, room.jid)
        assert presence.sender is not None
        assert presence.to is not None
        device, nick = presence.sender, self._limits.check_nick(presence.to.resource)
        self._limits.check_presence(presence)
        self._limits.count_presence(room, device.bare)  # first: passwords are not guessed fast either
        statuses = []
        with self._entrants.coming(room.jid, device) as entrant:
            if room.changing.locked() and not len(room.occupants):
                async with room.changing:  # it may be about to end, since everybody has left
                    pass
                room = room_of(await self._host.directory.load(room.jid))
            if not room.exists:
                await self._create(room, device)
                statuses.append(Status.CREATED)
            most_octets = self._options.now.max_history_octets
            await recent.load(room, self._ledger, most_octets)
            await self._use_link(room, device.bare, entering, presence)
            await until_done(self._attendance.time_slice.turn())
            role = kept_roles.role_of(room, device.bare)
            await self._showing.write_ahead(room, role, self._attendance.time_slice)
            room = room_of(self._host.directory.get(room.jid) or room)  # one may have taken its place
            affiliations: Sequence[Stanza] = ()
            since = entering.affiliations_since
            if since is not None:
                self.check(room, device, nick, entering.password)
                affiliations = await told_at_entering(room, self._ledger, device, since)
            await recent.load(room, self._ledger, most_octets)  # where something was erased meanwhile
        if entrant.is_gone:
            return  # else he would never leave
        # From here on nothing is awaited until everybody has been told.
        self._check_open()
        if not room.exists:
            raise StanzaError("gone", "the room was destroyed just now")
        before = room.occupants.at(device)
        if before is not None and before.nick != nick:  # a second entering under another name
            await self._rename(room, before, presence)
            return
        self.check(room, device, nick, entering.password)
        self._limits.count_entering(room, device.bare)
        occupant = room.occupants.called(nick)
        if occupant is None:
            role = kept_roles.role_of(room, device.bare)
            occupant = Occupant(nick, device.bare, role, room.occupant_id(device.bare))
        self._attendance.put(room, occupant, device, presence, self._session_of(device))
        self._host.directory.pin(room)
        if since is not None:
            room.occupants.asking.add(device)
        now, above = microseconds(self._clock.now()), first_shown(room, device.bare)
        history = recent.history(room, entering.history, now, above)
        await until_done(self._showing.entered(room, occupant, device, statuses, history, affiliations))
        member = room.state.members.get(device.bare)
        if member is not None and not member.has_joined:
            await self._store.join(room, device.bare)

    def _check_open(self) -> None:
        if self._attendance.is_closed:
            raise StanzaError("service-unavailable", "the service goes down; come back", kind="wait")

    async def _use_link(self, room: Room, jid: Jid, entering: Entering, presence: Stanza) -> None:
        """Let in who has a link into the room, and is nothing to it yet."""
        token = entering.password
        if presence.has(*Preauth.TAG) and (element := presence.decode(*Preauth.TAG)) is not None:
            token = Preauth.decode(element).token
        if not token or room.state.affiliation_of(jid) is not Affiliation.NONE:
            return
        links = self._host.feature(TakesTokens)  # type: ignore[type-abstract]  # asks for whoever satisfies it
        if links is not None:
            await links.let_in(room, jid, token)

    def check(self, room: Room, device: Jid, nick: str, password: str) -> None:
        """Let somebody in under a name, or raise why not, in the order of §7.2."""
        jid = device.bare
        configuration, affiliation = room.configuration, room.state.affiliation_of(jid)
        if configuration.is_locked and affiliation is not Affiliation.OWNER:
            raise StanzaError("item-not-found", "the room is not ready yet")  # §10.1.1
        if affiliation is Affiliation.OUTCAST:
            raise StanzaError("forbidden", "you are banned from this room")  # §7.2.7
        if configuration.is_members_only and affiliation is Affiliation.NONE:
            raise StanzaError("registration-required", "the room is for its members")  # §7.2.6
        if configuration.password and not secrets.compare_digest(
            configuration.password.encode(), password.encode()
        ):
            raise StanzaError("not-authorized", "the room needs another password")  # §7.2.5
        check_free(room, room.state, jid, nick)  # §7.2.8
        if room.occupants.called(nick) is None:
            self._check_room(room, device)

    def _check_room(self, room: Room, device: Jid) -> None:
        """Make sure that there is room for one more (§7.2.9)."""
        options = self._options.now
        most = min(room.configuration.most_occupants or options.max_occupants, options.max_occupants)
        is_staff = room.state.affiliation_of(device.bare).is_staff
        if len(room.occupants) >= most and not is_staff:
            text = f"the room has {most} occupants, and no more enter"
            raise StanzaError("service-unavailable", text, kind="wait")
        if self._attendance.rooms_of(device) >= options.max_rooms_of_occupant:
            most = options.max_rooms_of_occupant
            raise StanzaError("resource-constraint", f"one device may be in {most} rooms at a time")

    async def _create(self, room: Room, device: Jid) -> None:
        """Make the room, whose owner is who enters first (§10.1)."""
        self.check_maker(device.bare)
        async with self._limited(device.bare), room.changing:
            if not room.exists:
                await self._make(room, device.bare, is_locked=self._options.now.locks_new)

    def check_maker(self, jid: Jid) -> None:
        """Raise `not-allowed` for who may not make rooms."""
        is_ours = jid.domain in self._router.hosts
        if not (jid in self._host.admins or (self._options.now.create == "accounts" and is_ours)):
            raise StanzaError("not-allowed", "you may not make rooms here")

    async def make(self, room: Room, owner: Jid, nick: str) -> None:
        """Make a room that is open at once, in which nobody is yet; raises `conflict` where there is one.

        The name is reserved for the owner.
        """
        async with self._limited(owner), room.changing:
            if room.exists:
                raise StanzaError("conflict", f"there is a room {room.jid} already")
            await self._make(room, owner, is_locked=False, nick=self._limits.check_nick(nick))
            self._host.directory.pin(room)  # has it among those that exist
            self._host.directory.unpin(room)

    def _limited(self, owner: Jid) -> AbstractAsyncContextManager[None]:
        """Let somebody make a room meanwhile who has few enough; administrators have as many as they want."""
        if owner in self._host.admins:
            return nullcontext()
        return self._limits.making(owner, self._host.domain, self._ledger)

    async def _make(self, room: Room, owner: Jid, *, is_locked: bool, nick: str = "") -> None:
        """Make a room as the options say; to be called by who holds `room.changing`."""
        configuration = RoomConfiguration(
            secret=secrets.token_bytes(16),
            created=self._clock.now(),
            is_locked=is_locked,
            is_persistent=self._options.now.keeps_new,
        )
        item = OccupantItem(affiliation=Affiliation.OWNER.value, jid=owner, nick=nick)
        told = about_occupant(item, statuses=(Status.CREATED,))
        await self._store.create(room, owner, configuration, told, nick)
        log.info("room_created", room=room.jid.text, by=owner.text)

    def _session_of(self, device: Jid) -> Session | None:
        """Find the session of a device, where it is connected to this process."""
        host = self._router.hosts.get(device.domain)
        account = None if host is None else host.directory.get(device.bare)
        return account.sessions.get(device.resource) if isinstance(account, Account) else None

    # --- being there

    async def _update(self, room: Room, occupant: Occupant, presence: Stanza) -> None:
        """Show what an occupant says now (§7.7)."""
        assert presence.sender is not None
        self._limits.check_presence(presence)
        self._limits.count_presence(room, occupant.jid)
        self._attendance.put(room, occupant, presence.sender, presence, self._session_of(presence.sender))
        await until_done(self._showing.updated(room, occupant))

    async def _take_rename(self, room: Room, occupant: Occupant, presence: Stanza) -> None:
        """Take an occupant's wish for another name, which is refused as an entry is (§7.6)."""
        try:
            await self._rename(room, occupant, presence_without_claims(presence, room.jid))
        except (StanzaError, BackendError) as error:
            asked = presence.replace(append=(Element("x", ns.MUC),))
            self._router.refuse(asked, self._router.refusal(error))

    async def _rename(self, room: Room, occupant: Occupant, presence: Stanza) -> None:
        """Let an occupant go by another name, with all devices (§7.6)."""
        assert presence.sender is not None
        assert presence.to is not None
        nick = self._limits.check_nick(presence.to.resource)
        self._limits.check_presence(presence)
        check_free(room, room.state, occupant.jid, nick)
        if room.occupants.called(nick) is not None:
            raise StanzaError("conflict", f"you are called {nick} here already, with another device")
        self._limits.count_renaming(room, occupant.jid)
        before = occupant.nick
        room.occupants.rename(occupant, nick)  # before anybody is told, who may have to be waited for
        self._attendance.put(room, occupant, presence.sender, presence, self._session_of(presence.sender))
        await until_done(self._showing.renamed(room, occupant, before))
        if room.occupants.called(nick) is occupant:  # and is not out meanwhile, or called otherwise again
            await until_done(self._showing.updated(room, occupant))

    # --- leaving

    async def _leave(self, room: Room, occupant: Occupant, presence: Stanza) -> None:
        """Let a device go, and the occupant with the last one (§7.14)."""
        assert presence.sender is not None
        said = presence if presence.kind == "unavailable" and self._limits.is_shown(presence) else None
        if room.configuration.is_locked and len(occupant.devices) == 1:  # §10.1.3: nobody will configure it
            self._attendance.remove(room, occupant)
            await until_done(self._showing.destroyed(room, occupant, Destruction()))
            self._attendance.settle(room)
            return
        await until_done(leave(room, occupant, presence.sender, self._attendance, self._showing, said))
