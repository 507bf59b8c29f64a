"""Light kind: what the MUC Light address of rooms says about messages for them.

The rooms are those of another host, by their canonical addresses: their archive, their members and what their
kind says are used here, and nothing is kept under this host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol, cast

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.held_back import is_marker
from tidings.features.rooms.light.door import LightDoor
from tidings.features.rooms.light_delivery import LightDelivery
from tidings.features.rooms.light_view import as_light, is_in, is_notice, is_open
from tidings.features.rooms.room import Membership, Occupant, Room, room_of
from tidings.features.rooms.room_archive import CHANGES, first_shown, freshened
from tidings.features.rooms.storing import member_change
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.clock import Clock
from tidings.kernel.domains import Domains
from tidings.kernel.entity import Entity
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.messages.router import Router
from tidings.messages.submission import MessageKind, Plan, Submission
from tidings.ports.ledger.batch import Accepted, Entry
from tidings.ports.ledger.reading import Archived
from tidings.ports.stores import Stores
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.payloads.arrival import kept, without_forgeries
from tidings.wire.xmpp.stanza import Stanza

_IGNORED: Final = "a room takes no errors"
WITH_RESOURCE: Final = "Resource expected to be empty"


class SpokenRooms(MessageKind, Protocol):
    """What the kind of the rooms themselves says of what is said in them."""

    light: LightDelivery

    def plan_said(
        self,
        submission: Submission,
        classification: Classification,
        room: Room,
        speaker: Occupant,
        *,
        may_name: bool,
    ) -> Plan:
        """Plan what somebody says who may speak."""
        ...

    def deliver_said(
        self, submission: Submission, accepted: Accepted | None, room: Room, speaker: Occupant
    ) -> MaybeAwaitable:
        """Send it to everybody, through both doors."""
        ...


class LightKind:
    """Hosts under which rooms of another host are known by MUC Light."""

    name = "light room"
    identity = ("conference", "text")
    host_identity = ("conference", "text")
    has_parties = False
    reads_messages = False

    def __init__(self, domain: str, rooms: str, router: Router, stores: Stores, clock: Clock) -> None:
        del clock  # what is counted is the rooms'
        assert stores.ledger is not None  # services are made for hosts with archives
        self._ledger = stores.ledger
        self.domain = domain
        self.door = LightDoor(domain, rooms, router, stores.ledger, stores.documents)
        """The way to the rooms."""
        self._router = router

    def join(self) -> None:
        """Let what happens in the rooms be told under this domain, too."""
        if self._router.hosts.get(self.door.rooms_domain) is not None:
            self.rooms.light.domain = self.domain
            if self._router.seats is not None:
                self._router.seats.doors.add(self.domain)

    @property
    def rooms(self) -> SpokenRooms:
        """The kind of the rooms; raises as the host of the door does."""
        return cast("SpokenRooms", self.door.host.kind)

    async def exists(self, jid: Jid) -> bool:  # noqa: ARG002  # nothing is kept here
        """Tell that nothing is kept under this address; what the room is, its own address says."""
        return False

    def make(self, jid: Jid, *, exists: bool) -> Entity:
        """Make what stands for the address of a room here."""
        return Entity(jid, exists=exists)

    def address(self, jid: Jid) -> Jid:
        """Give the canonical address of a room."""
        return self.door.canonical(jid)

    def shown(self, entry: Archived, body: bytes) -> bytes | None:
        """Give what is kept as this door shows it; what it has no form for is for nobody's eyes here."""
        message = kept(body)
        is_told = entry.kind not in CHANGES or is_notice(message)
        return self._as_light(entry, message) if is_told else None

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:
        """Let members read what was said and told; nobody else learns that there is a room."""
        room = room_of(await self.door.host.directory.load(self.address(entity.jid)))
        room = await freshened(room, self._router, self._ledger)
        member = room.state.members.get(asker.bare) if room.exists else None
        may_read = is_in(member) or (room.exists and asker == Jid(self.domain))
        if not may_read or not is_open(room.configuration):
            raise StanzaError("item-not-found")

        def shown(entry: Archived, body: bytes) -> bytes:
            return self._as_light(entry, kept(body))

        def matches(entry: Archived, address: Jid) -> bool:
            """Tell whether somebody has said this, who is named by his place in the room or by himself."""
            if address.bare == entity.jid:
                return address.is_bare or (entry.sender is not None and entry.sender.text == address.resource)
            return entry.sender == address.bare

        above = 0 if member is None else first_shown(room, asker.bare)
        return ArchiveView(archive=room.jid, above=above, shown=shown, matches=matches)

    def _as_light(self, entry: Archived, message: Stanza) -> bytes:
        """Show a message of the archive as this door does: from the room, or from who has said it."""
        assert message.sender is not None  # every message of a room is from one of its addresses
        room = Jid(f"{message.sender.local}@{self.domain}")
        said_by = None if entry.kind in CHANGES or not message.sender.resource else entry.sender
        return as_light(message, room, said_by).to_bytes()

    def parties(self, submission: Submission) -> tuple[Jid, ...]:  # noqa: ARG002  # nobody stands behind it
        """Name nobody."""
        return ()

    # --- before the commit: pure

    def keep(self, submission: Submission, classification: Classification) -> Entry | None:  # noqa: ARG002  # a room sends nothing
        """Keep nothing: a room is no origin of what has an outcome."""
        return None

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:  # noqa: ARG002  # the room keeps it
        """Let members speak; raises `StanzaError` for everybody else."""
        message = submission.message
        if message.kind == "error":
            return Plan(reason=_IGNORED)
        assert message.to is not None
        if message.to.resource:
            raise StanzaError("bad-request", WITH_RESOURCE)
        if message.kind != "groupchat":
            raise StanzaError("bad-request", "a message to a room is of type groupchat")
        room = room_of(submission.entity)
        speaker, member = self._speaker(room, message)
        submission.message = message = without_forgeries(message, message.to)
        if speaker.role is Role.VISITOR and not is_marker(message, classification):
            raise StanzaError("not-allowed", "you may read this room, and not write to it")
        if not message.id:  # a missing one is invented
            submission.message = message.replace(id=token(12))
        plan = self.rooms.plan_said(submission, classification, room, speaker, may_name=True)
        is_kept = plan.append is not None and bool(plan.append.entries)
        if member.domain == self.domain or not is_kept:
            return plan
        return self._entering(plan, room, speaker.jid, member)

    def _speaker(self, room: Room, message: Stanza) -> tuple[Occupant, Membership]:
        """Give who speaks; nobody learns whether there is a room who is not in it."""
        assert message.sender is not None
        jid = message.sender.bare
        member = room.state.members.get(jid) if room.exists else None
        if member is None or not is_in(member) or not is_open(room.configuration):
            raise StanzaError("item-not-found")
        return speaker_of(room, jid, member), member

    def _entering(self, plan: Plan, room: Room, jid: Jid, member: Membership) -> Plan:
        """Let a member who knew the room by MUC know it by MUC Light: this is the door entered last."""
        assert plan.append is not None
        change = member_change(room.jid, jid, member, entered(member, self.domain))
        append = msgspec.structs.replace(plan.append, members=(change,), raises=(room.jid.text,))
        return msgspec.structs.replace(plan, append=append)

    # --- after it

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:
        """Send it to everybody, through both doors."""
        message = submission.message
        if message.kind == "error":
            return None
        assert message.sender is not None
        room, jid, rooms = room_of(submission.entity), message.sender.bare, self.rooms
        member, append = room.state.members.get(jid), submission.plan.append
        if member is None:  # put out meanwhile, and who is there hears what is kept
            gone = speaker_of(room, jid, Membership(Affiliation.NONE))
            return None if accepted is None else rooms.deliver_said(submission, accepted, room, gone)
        if append is not None and append.members and member.domain != self.domain:
            planned = append.entries[0].version
            if planned == room.state.version and not append.properties:
                room.state.version += 1
            room.state.members[jid] = entered(member, self.domain)
            noted = rooms.light.note(room, jid, room.state.members[jid])
            if noted is not None:  # before what is said, so that he gets it on every node
                return in_turn(self._after(noted, submission, accepted, room, jid, member))
        return rooms.deliver_said(submission, accepted, room, speaker_of(room, jid, member))

    def _after(
        self,
        noted: MaybeAwaitable,
        submission: Submission,
        accepted: Accepted | None,
        room: Room,
        jid: Jid,
        member: Membership,
    ) -> Iterator[MaybeAwaitable]:
        yield noted
        yield self.rooms.deliver_said(submission, accepted, room, speaker_of(room, jid, member))

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:  # noqa: ARG002  # whatever the room
        """Refuse what is for an occupant: there are no addresses of occupants here."""
        if stanza.kind in {"result", "error"}:
            return None
        raise StanzaError("bad-request", WITH_RESOURCE)


def entered(member: Membership, domain: str) -> Membership:
    """Give what a member is who knows the room by MUC Light from now on."""
    return member._replace(has_joined=True, domain=domain)


def speaker_of(room: Room, jid: Jid, member: Membership) -> Occupant:
    """Give a member as the others see him who are in the room by MUC: under his address if he has no name."""
    there = room.occupants.of(jid)
    if there:
        return there[0]
    nick = member.nick or jid.text
    return Occupant(nick, jid, room.state.role_of(jid), room.occupant_id(jid))


def service_for(domain: str, domains: Domains, router: Router) -> LightKind | None:
    """Give the service of MUC Light of a domain whose accounts know rooms by it; None where it has none."""
    for each in domains.with_services(domain)[1:]:
        host = router.hosts.get(each)
        if host is not None and isinstance(host.kind, LightKind):
            return host.kind
    return None


def door_of(host: Host) -> LightDoor:
    """Give the door of a host of MUC Light."""
    assert isinstance(host.kind, LightKind)
    return host.kind.door
