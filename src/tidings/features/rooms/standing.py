"""Standing: with which affiliation somebody acts on a room, who need not be in it.

The service itself acts for operators: no client has its address.
"""

from __future__ import annotations

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.room import Room, RoomState
from tidings.kernel.host import Host


def standing(host: Host, state: RoomState, actor: Jid) -> Affiliation:
    """Give what somebody may do: administrators of the domain, and the service itself, what owners may."""
    jid = actor.bare
    if jid == host.jid or jid in host.admins:
        return Affiliation.OWNER
    return state.affiliation_of(jid)


def is_service(room: Room, actor: Jid) -> bool:
    """Tell whether it is the service of a room itself that acts."""
    return not actor.local and actor.domain == room.jid.domain
