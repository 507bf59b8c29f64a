"""Kept roles: who was given a voice in a moderated room, or lost it, comes back as he went (XEP-0045 §5.1).

They are known while the room is in memory. Who is something else to the room than he was begins anew.
"""

from __future__ import annotations

from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.room import Occupant, Room
from tidings.kernel.slots import Slot

_ROLES: Final[Slot[dict[Jid, tuple[Affiliation, Role]]]] = Slot("rooms.roles", factory=dict)
_MOST: Final = 1_000
_KEPT: Final = (Role.PARTICIPANT, Role.VISITOR)


def keep(room: Room, occupant: Occupant) -> None:
    """Note which role an occupant was given; of too many, who was given his first is forgotten."""
    if not room.configuration.is_moderated or occupant.role not in _KEPT:
        return
    roles = room[_ROLES]
    roles.pop(occupant.jid, None)
    roles[occupant.jid] = (room.state.affiliation_of(occupant.jid), occupant.role)
    if len(roles) > _MOST:
        del roles[next(iter(roles))]


def role_of(room: Room, jid: Jid) -> Role:
    """Tell with which role somebody enters."""
    usual, member = room.state.role_of(jid), room.state.members.get(jid)
    if not room.configuration.is_moderated or (member is not None and member.is_read_only):
        return usual
    affiliation, role = room[_ROLES].get(jid, (Affiliation.NONE, usual))
    return role if affiliation is room.state.affiliation_of(jid) and usual in _KEPT else usual
