"""People: who belongs to a room, as one of them is shown the others (docs/specs/room-receipts.md §2, §4)."""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.reaction_sums import ReactionSet
from tidings.features.rooms.room import Room
from tidings.features.rooms.room_archive import may_see_addresses
from tidings.ports.ledger.reading import EntryId, Head, Reading
from tidings.wire.xmpp.payloads.room_receipts import Person


class People:
    """The people of a room as one of them is shown them; raises `forbidden` for who is none (§4)."""

    def __init__(self, room: Room, asker: Jid) -> None:
        member = room.state.members.get(asker.bare)
        if (member is None or not member.has_joined) and not room.occupants.of(asker.bare):
            raise StanzaError("forbidden", "who has read what is told to those who are in the room")
        self._room = room
        self._asker = asker.bare
        self._sees_addresses = may_see_addresses(room, asker)
        self._there = {occupant.jid: occupant.nick for occupant in room.occupants}

    def address(self, jid: Jid) -> Jid | None:
        """Give the address under which the asker knows somebody; None where the person has no name."""
        if self._sees_addresses or jid == self._asker:
            return jid
        nick = self._nick_of(jid)
        return self._room.address_of(nick) if nick else None

    def called(self, occupant_id: str) -> Jid:
        """Give the member of this id; raises `item-not-found`."""
        for jid in self._room.state.members:
            if self._room.occupant_id(jid) == occupant_id:
                return jid
        raise StanzaError("item-not-found", "nobody of that id is in the room any more")

    def reader(self, reading: Reading, head: Head) -> Person:
        """Show who has read as far as this."""
        is_there = head.first <= reading.position <= head.position
        upto = EntryId(head.epoch_at(reading.position), reading.position) if is_there else None
        return self._person(reading.member, stamp=reading.time or None, upto=str(upto) if upto else None)

    def reactor(self, reactions: ReactionSet) -> Person:
        """Show who has reacted so."""
        return self._person(reactions.sender, stamp=reactions.time, reactions=reactions.reactions)

    def _person(
        self, jid: Jid, *, stamp: int | None, upto: str | None = None, reactions: tuple[str, ...] = ()
    ) -> Person:
        return Person(
            occupant_id=self._room.occupant_id(jid),
            nick=self._nick_of(jid),
            jid=jid if self._sees_addresses else None,
            upto=upto,
            stamp=stamp,
            reactions=reactions,
        )

    def _nick_of(self, jid: Jid) -> str:
        member = self._room.state.members.get(jid)
        return member.nick if member is not None and member.nick else self._there.get(jid, "")
