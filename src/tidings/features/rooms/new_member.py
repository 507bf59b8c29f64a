"""New member: somebody who is nothing to a room yet is made a member of it, and the others are told."""

from __future__ import annotations

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.room import Membership, Room, RoomState
from tidings.features.rooms.room_change import Change
from tidings.features.rooms.showing import Showing
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.maybe_awaitable import until_done
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, about_occupant


async def make_member(room: Room, person: Jid, store: RoomStore, showing: Showing) -> bool:
    """Make a bare JID a member; tell whether that is something new. Raises `BackendError`, `StanzaError`."""

    def decide(state: RoomState) -> Change | None:
        if state.affiliation_of(person) is not Affiliation.NONE:
            return None
        item = OccupantItem(affiliation=Affiliation.MEMBER.value, jid=person)
        return Change(told=about_occupant(item), members={person: Membership(Affiliation.MEMBER)})

    change = await store.change(room, decide)
    if change is None:
        return False
    await until_done(showing.changed_while_away(room, [person], change.steps))
    return True
