"""Room: what is known of a room in memory, and who is in it now.

What is kept (configuration, members, subject) is read from the ledger, with the version of the archive that
it belongs to: what was planned with another version is `Stale`, and is planned anew. Who is in the room now
is known to this process alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from tidings.base.jid import Jid, JidError
from tidings.features.rooms.affiliation import Affiliation, Role, role_at_entering
from tidings.features.rooms.affiliation_version import AffiliationVersion, VersionStep
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.look_alikes import Looks
from tidings.features.rooms.names import Names
from tidings.features.rooms.room_properties import RoomProperties
from tidings.kernel.entity import Entity
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.wire.xmpp.stanza import Stanza

MOST_REMEMBERED: Final = 1_000
"""So many names of people who are not in the room any more are remembered."""


class Membership(NamedTuple):
    """What somebody is to a room for good."""

    affiliation: Affiliation
    nick: str = ""
    """The name that is reserved for the member; empty where none is."""
    has_joined: bool = False
    """Whether the room is in the member's inbox."""
    domain: str = ""
    """The domain under which the member knows the room; empty for its own."""
    is_read_only: bool = False
    """Whether a member may not speak; of others it says nothing."""
    joined: int = 0
    """The position of the archive at which the member joined."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What the room is talking about now."""

    content: bytes
    """The elements `<subject/>` as they came."""
    nick: str
    time: int
    """In microseconds since 1970."""


class RoomState:
    """What is kept of a room, as it is at one version of its archive."""

    __slots__ = (
        "_outcast_domains",
        "affiliations",
        "configuration",
        "looks",
        "members",
        "names",
        "outcasts",
        "properties",
        "subject",
        "version",
    )

    def __init__(
        self,
        version: int,
        configuration: RoomConfiguration,
        subject: Subject | None = None,
        properties: RoomProperties | None = None,
    ) -> None:
        self.version = version
        self.configuration = configuration
        self.members: dict[Jid, Membership] = {}
        self.subject = subject
        self.properties = RoomProperties() if properties is None else properties
        self.outcasts = 0
        """How many of those who are anything are outcasts."""
        self.names = Names()
        """Those that are reserved for members."""
        self.looks = Looks()
        """The same by how they look."""
        self.affiliations = AffiliationVersion(configuration.secret)
        self._outcast_domains: set[str] = set()

    def put(self, jid: Jid, member: Membership | None) -> None:
        """Let somebody be something else to the room; None for nothing."""
        before = self.members.pop(jid, None)
        if before is not None:
            self.outcasts -= before.affiliation is Affiliation.OUTCAST
            if before.nick:
                self.names.discard(before.nick, jid)
                self.looks.discard(before.nick, jid)
        if not jid.local:
            self._outcast_domains.discard(jid.domain)
        if member is not None:
            self.members[jid] = member
            self.outcasts += member.affiliation is Affiliation.OUTCAST
            if member.nick:
                self.names.add(member.nick, jid)
                self.looks.add(member.nick, jid)
            if member.affiliation is Affiliation.OUTCAST and not jid.local:
                self._outcast_domains.add(jid.domain)
        was = Affiliation.NONE if before is None else before.affiliation
        self.affiliations.change(jid, was, Affiliation.NONE if member is None else member.affiliation)

    def steps(self, members: Mapping[Jid, Membership]) -> dict[Jid, VersionStep]:
        """Give the steps by which the version of the affiliations would change."""
        return self.affiliations.steps(
            (jid, self._kept_of(jid), member.affiliation) for jid, member in members.items()
        )

    def _kept_of(self, jid: Jid) -> Affiliation:
        member = self.members.get(jid)
        return Affiliation.NONE if member is None else member.affiliation

    def affiliation_of(self, jid: Jid) -> Affiliation:
        """Tell what a bare JID is to the room; who is nothing is banned if his domain is (§9.2)."""
        kept = self._kept_of(jid)
        if kept is not Affiliation.NONE:
            return kept
        return Affiliation.OUTCAST if jid.domain in self._outcast_domains else Affiliation.NONE

    def role_of(self, jid: Jid) -> Role:
        """Tell with which role somebody enters."""
        member = self.members.get(jid)
        if member is not None and member.is_read_only and member.affiliation is Affiliation.MEMBER:
            return Role.VISITOR
        return role_at_entering(self.affiliation_of(jid), is_moderated=self.configuration.is_moderated)

    def may_be_in(self, jid: Jid) -> bool:
        """Tell whether somebody is neither banned nor a stranger in a room of members."""
        affiliation = self.affiliation_of(jid)
        if affiliation is Affiliation.NONE:
            return not self.configuration.is_members_only
        return affiliation is not Affiliation.OUTCAST

    def holder_of(self, nick: str) -> Jid | None:
        """Give the member for whom a name is reserved; a member's address is nobody else's name."""
        if "@" in nick:
            try:
                named = Jid(nick).bare
            except JidError:
                named = None
            if named in self.members:
                return named
        return self.looks.holder_of(nick)


class Occupant:
    """Somebody who is in the room now under one nickname, with one or more devices."""

    __slots__ = ("devices", "id", "jid", "nick", "role", "written")

    def __init__(self, nick: str, jid: Jid, role: Role, id_: str) -> None:
        self.nick = nick
        self.jid = jid
        """The bare JID."""
        self.role = role
        self.id = id_
        """What the room calls the person under every name (XEP-0421)."""
        self.devices: dict[Jid, Device] = {}
        """By full JID, in the order in which they came."""
        self.written: dict[bool, WrittenPresence] = {}
        """As it was shown last, with the real address and without."""

    @property
    def presence(self) -> Stanza:
        """What the device that spoke last says of itself."""
        return next(reversed(self.devices.values())).presence


class WrittenPresence(NamedTuple):
    """What an occupant is shown by, and what that was written of."""

    shown: Stanza
    presence: Stanza
    of: tuple[object, ...]
    """All else that is in it."""


class Device(NamedTuple):
    """One device of an occupant."""

    presence: Stanza
    session: Session | None
    """None for one that is not connected to this process."""


class Occupants:
    """Who is in a room now, by name and by address."""

    def __init__(self) -> None:
        self._by_nick: dict[str, Occupant] = {}
        self._by_device: dict[Jid, Occupant] = {}
        self._called: dict[str, Jid] = {}
        self._by_person: dict[Jid, list[Occupant]] = {}
        self.looks = Looks()
        """The names of who is in the room, by how they look."""
        self.names = Names()
        """Those of who is in the room, and of some who were."""
        self.asking: set[Jid] = set()
        """The devices that have asked for versions of affiliations (XEP-0463)."""

    def __len__(self) -> int:
        return len(self._by_nick)

    def __iter__(self) -> Iterator[Occupant]:
        return iter(self._by_nick.values())

    def called(self, nick: str) -> Occupant | None:
        """Give the occupant of this name."""
        return self._by_nick.get(nick)

    def at(self, device: Jid) -> Occupant | None:
        """Give the occupant who has this full JID."""
        return self._by_device.get(device)

    def last_called(self, nick: str) -> Jid | None:
        """Give the bare JID of who has this name, or had it last."""
        return self._called.get(nick)

    def remember(self, nick: str, jid: Jid) -> None:
        """Note that somebody has a name in the room, or had it last."""
        before = self._called.get(nick)
        if before == jid:
            return
        if before is not None:
            self.names.discard(nick, before)
        self._called[nick] = jid
        self.names.add(nick, jid)

    def _gone(self, nick: str) -> None:
        """Forget who has left first of those who have, where they are too many."""
        if len(self._called) > len(self._by_nick) + MOST_REMEMBERED:
            for oldest in [*islice(self._called, len(self._called) - len(self._by_nick)), nick]:
                if oldest not in self._by_nick:
                    self.names.discard(oldest, self._called.pop(oldest))
                    return

    def of(self, jid: Jid) -> list[Occupant]:
        """Give the occupants that a bare JID has, under whatever names."""
        return self._by_person.get(jid, [])[:]

    def devices(self) -> Iterator[tuple[Jid, Session | None]]:
        """Go through the devices of all."""
        for occupant in self._by_nick.values():
            for jid, device in occupant.devices.items():
                yield jid, device.session

    def put(self, occupant: Occupant, device: Jid, presence: Stanza, session: Session | None) -> None:
        """Let a device be in the room, or say something else of itself."""
        occupant.devices.pop(device, None)
        occupant.devices[device] = Device(presence, session)
        if occupant.nick not in self._by_nick:
            self._by_person.setdefault(occupant.jid, []).append(occupant)
            self.looks.add(occupant.nick, occupant.jid)
        self._by_nick[occupant.nick] = occupant
        self._by_device[device] = occupant
        self.remember(occupant.nick, occupant.jid)

    def rename(self, occupant: Occupant, nick: str) -> None:
        """Let an occupant have another name."""
        del self._by_nick[occupant.nick]
        self.looks.discard(occupant.nick, occupant.jid)
        self._gone(occupant.nick)
        occupant.nick = nick
        self._by_nick[nick] = occupant
        self.looks.add(nick, occupant.jid)
        self.remember(nick, occupant.jid)

    def leave(self, device: Jid) -> Occupant | None:
        """Let a device be in the room no more; gives whose it was."""
        occupant = self._by_device.pop(device, None)
        if occupant is not None:
            del occupant.devices[device]
            self.asking.discard(device)
            if not occupant.devices:
                self._drop(occupant)
        return occupant

    def remove(self, occupant: Occupant) -> None:
        """Let an occupant be in the room no more, with all devices."""
        self._drop(occupant)
        for device in occupant.devices:
            del self._by_device[device]
            self.asking.discard(device)

    def _drop(self, occupant: Occupant) -> None:
        del self._by_nick[occupant.nick]
        self.looks.discard(occupant.nick, occupant.jid)
        own = self._by_person[occupant.jid]
        own.remove(occupant)
        if not own:
            del self._by_person[occupant.jid]
        self._gone(occupant.nick)


STATE: Final[Slot[RoomState]] = Slot("rooms.state", default=None, is_guarded=True)  # type: ignore[arg-type]  # see `Room.state`
OCCUPANTS: Final[Slot[Occupants]] = Slot("rooms.occupants", factory=Occupants)
CHANGING: Final[Slot[asyncio.Lock]] = Slot("rooms.changing", factory=asyncio.Lock)
TELLING: Final[Slot[asyncio.Lock]] = Slot("rooms.telling", factory=asyncio.Lock)


class Room(Entity):
    """The kind of entity that has occupants."""

    __slots__ = ()

    @property
    def state(self) -> RoomState:
        """What is kept of it; only of a room that exists."""
        return self[STATE]

    @property
    def configuration(self) -> RoomConfiguration:
        """What is set of it."""
        return self[STATE].configuration

    @property
    def occupants(self) -> Occupants:
        """Who is in it now."""
        return self[OCCUPANTS]

    @property
    def changing(self) -> asyncio.Lock:
        """Held by who changes what is kept of it."""
        return self[CHANGING]

    @property
    def telling(self) -> asyncio.Lock:
        """Held by who tells what has become of people; after `changing`, where both are."""
        return self[TELLING]

    def occupant_id(self, jid: Jid) -> str:
        """Give what the room calls a person (XEP-0421 §3.1): nobody finds out who that is."""
        key = self.configuration.secret
        return hmac.new(key, jid.text.encode(), hashlib.sha256).hexdigest()[:32]

    def address_of(self, nick: str) -> Jid:
        """Give the address of an occupant."""
        return self.jid.with_resource(nick)


def room_of(entity: Entity | None) -> Room:
    """Give the entity of a host of rooms as what it is."""
    assert isinstance(entity, Room)
    return entity
