"""Making and ending rooms by MUC Light.

A room that is made here stays, is hidden, for its members alone, and shows their addresses. Who makes it is
its owner, unless the rooms of the service have none, or somebody else is to be.
"""

from __future__ import annotations

import secrets
from typing import Final

import structlog

from tidings.base.clock import microseconds
from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.light.door import LightDoor
from tidings.features.rooms.light.light_kind import LightKind
from tidings.features.rooms.light.list_rules import ListRules, at_creation, check_request
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light.settings import with_fields
from tidings.features.rooms.light_view import SUBJECT, subject_content
from tidings.features.rooms.limiting import limits_of
from tidings.features.rooms.ownership import RoomOwners
from tidings.features.rooms.room import Membership, Room, Subject
from tidings.features.rooms.room_change import Change
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_light import LightCreation, LightDestruction
from tidings.wire.xmpp.payloads.muc_user import Destruction, OccupantItem, Status, about_occupant

log = structlog.get_logger("tidings.rooms")

_NAME_OCTETS: Final = 12


class LightRooms(Feature):
    """Makes rooms, and ends them."""

    spec = Spec("MUC Light", version="MongooseIM 6.8", advertises=(ns.MUC_LIGHT,))
    Options = LightOptions
    option_name = "muc_light"

    def __init__(
        self,
        host: Host,
        router: Router,
        ledger: Ledger,
        clock: Clock,
        options: Current[LightOptions],
    ) -> None:
        assert isinstance(host.kind, LightKind)
        self._kind = host.kind
        self._door = host.kind.door
        self._router = router
        self._ledger = ledger
        self._clock = clock
        self._options = options
        host.unhandled = "feature-not-implemented"

    async def start(self) -> None:
        """Let what happens in the rooms be told by this door, too."""
        self._kind.join()

    @handles(LightCreation, kind="set", at=Addressee.SERVER | Addressee.ENTITY)
    async def create(self, request: Iq[LightCreation]) -> None:
        """Make a room, under a name of the server's where the request has none."""
        await self.make(request.sender.bare, request.to.bare, request.payload, request.stanza.id)

    async def make(self, creator: Jid, address: Jid, asked: LightCreation, id_: str | None = None) -> Room:
        """Make a room as it is asked for, at an address of this door, or at the domain for any name."""
        options = self._options.now
        if creator.domain not in self._router.hosts:
            raise StanzaError("not-allowed", "rooms are made by people who have an account here")
        wanted = check_request(asked.users, 0)
        if 0 < options.max_occupants <= len(wanted):
            raise StanzaError("bad-request", "max_occupants_reached")
        values = {**options.defaults(), **options.checked(asked.fields)}
        if await self._door.has_enough(creator, options):
            raise StanzaError("bad-request", f"nobody is in more than {options.rooms_per_user} rooms")
        if not address.local:
            address = Jid.of(token(_NAME_OCTETS).lower(), self._door.domain)
        left_out = await self._door.left_out(address, creator, wanted, options)
        rules = ListRules(self._door.domain, options, options.all_can_invite)
        members = at_creation(creator, wanted, left_out, rules)
        room = await self._door.load(address)
        rooms = self._door.host
        async with limits_of(rooms).making(creator, rooms.domain, self._ledger), room.changing:
            if room.exists:
                raise StanzaError("conflict", "Room already exists")
            await self._door.store.make(room, self._creation(creator, members, values, id_))
            self._door.keep(room)
        log.info("room_created", room=room.jid.text, by=creator.text, door=self._door.domain)
        return room

    def _creation(
        self, creator: Jid, members: dict[Jid, Membership], values: dict[str, str], id_: str | None
    ) -> Change:
        now = self._clock.now()
        configuration = RoomConfiguration(
            secret=secrets.token_bytes(16),
            created=now,
            is_public=False,
            is_persistent=True,
            is_members_only=True,
            whois="anyone",
            may_change_subject=True,
        )
        subject = None
        if values.get(SUBJECT):
            content = subject_content(values[SUBJECT])
            subject = Subject(content=content, nick=creator.text, time=microseconds(now))
        items = (
            OccupantItem(affiliation=member.affiliation.value, jid=jid) for jid, member in members.items()
        )
        return Change(
            told=about_occupant(*items, statuses=(Status.CREATED,)),
            members=members,
            configuration=with_fields(configuration, values),
            subject=subject,
            door=self._door.domain,
            id=id_,
            by=creator,
        )

    @handles(LightDestruction, kind="set", at=Addressee.ENTITY)
    async def destroy(self, request: Iq[LightDestruction]) -> None:
        """End a room for good."""
        entered = await self._door.enter(request)
        if entered.member.affiliation is not Affiliation.OWNER:
            raise StanzaError("not-allowed", "a room is ended by its owner")
        await end(self._door, entered.room, entered.jid, request.stanza.id)


async def end(door: LightDoor, room: Room, by: Jid, id_: str | None) -> None:
    """End a room, for those who are in it by MUC, too."""
    owners = door.host.feature(RoomOwners)
    if owners is None:
        raise StanzaError("service-unavailable", f"rooms at {door.rooms_domain} are not ended")
    await owners.destroy(room, Destruction(), by=by, id=id_)
