"""Door: the way from a request at a MUC Light address to the room, and to those who may be added to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.light.block_lists import BlockLists
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light_view import is_in, is_open
from tidings.features.rooms.room import Membership, Room, room_of
from tidings.features.rooms.rooms_of_account import rooms_of
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.messages.router import Router
from tidings.ports.documents import DocumentStore
from tidings.ports.ledger import Ledger

_SERVICE: Final = Membership(Affiliation.OWNER)

P = TypeVar("P")


class Entered(NamedTuple):
    """A room and the member who asks for something there."""

    room: Room
    jid: Jid
    """The bare JID of the member."""
    is_service: bool = False
    """Whether it is the service itself, in whose name operators act, and not a member."""

    @property
    def member(self) -> Membership:
        """What he is now; raises `item-not-found` where he is put out meanwhile."""
        if self.is_service:
            return _SERVICE
        member = self.room.state.members.get(self.jid)
        if member is None or not is_in(member):
            raise StanzaError("item-not-found")
        return member


class LightDoor:
    """What the features of one host of MUC Light have in common."""

    def __init__(
        self, domain: str, rooms_domain: str, router: Router, ledger: Ledger, documents: DocumentStore
    ) -> None:
        self.domain = domain
        """The domain of this door."""
        self.rooms_domain = rooms_domain
        """The host of the rooms."""
        self.store = RoomStore(router, ledger)
        self.block_lists = BlockLists(documents, domain)
        self._router = router
        self._ledger = ledger

    @property
    def host(self) -> Host:
        """The host of the rooms; raises `service-unavailable` where there is none."""
        host = self._router.hosts.get(self.rooms_domain)
        if host is None or not hasattr(host.kind, "light"):
            raise StanzaError("service-unavailable", f"there are no rooms at {self.rooms_domain}")
        return host

    def canonical(self, jid: Jid) -> Jid:
        """Give the address that a room has at its own host."""
        return Jid(f"{jid.local}@{self.rooms_domain}") if jid.local else Jid(self.rooms_domain)

    def address_of(self, room: Room) -> Jid:
        """Give the address of a room by this door."""
        return Jid.of(room.jid.local, self.domain)

    async def load(self, jid: Jid) -> Room:
        """Bring the room of an address into memory, whether it exists or not."""
        return room_of(await self.host.directory.load(self.canonical(jid)))

    async def opens_to(self, jid: Jid) -> bool:
        """Tell whether there is a room at an address here that this door opens to."""
        room = await self.load(jid)
        return room.exists and is_open(room.configuration)

    def keep(self, room: Room) -> None:
        """Have a room that has just been made in memory among those that exist."""
        directory = self.host.directory
        directory.pin(room)
        if not len(room.occupants):
            directory.unpin(room)

    async def enter(self, request: Iq[P]) -> Entered:
        """Give the room of a request; raises `item-not-found` for who is no member of any."""
        room, jid = await self.load(request.to.bare), request.sender.bare
        if jid == Jid(self.domain) and room.exists and is_open(room.configuration):
            return Entered(room, jid, is_service=True)
        member = room.state.members.get(jid) if room.exists else None
        if member is None or not is_in(member) or not is_open(room.configuration):
            raise StanzaError("item-not-found")
        return Entered(room, jid)

    async def left_out(
        self, room: Jid, inviter: Jid, invited: Iterable[Jid], options: LightOptions
    ) -> frozenset[Jid]:
        """Name those who are not added, in silence: they block it, or are in enough rooms.

        `room` is the address by this door.
        """
        found: set[Jid] = set()
        for jid in invited:
            host = self._router.hosts.get(jid.domain)
            if host is not None and host.kind.name != "account":
                raise StanzaError("bad-request", f"{jid} is nobody")
            is_blocked = (
                options.blocking
                and host is not None
                and (await self.block_lists.of(jid)).prevents(room, inviter)
            )
            if is_blocked or await self.has_enough(jid, options):
                found.add(jid)
        return frozenset(found)

    async def has_enough(self, jid: Jid, options: LightOptions) -> bool:
        """Tell whether somebody is in as many rooms by MUC Light as one may be."""
        if not options.rooms_per_user:
            return False
        count = 0
        async for each in rooms_of(self._ledger, jid):
            count += each.domain == self.domain
            if count >= options.rooms_per_user:
                return True
        return False
