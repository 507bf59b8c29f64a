"""Room access: who may see a room from outside, and who may set what is known of it."""

from __future__ import annotations

from typing import Any

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.room import Room, room_of
from tidings.features.rooms.standing import standing
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq


def existing(request: Iq[Any]) -> Room:
    """Give the room that a request is for, or raise `item-not-found`."""
    room = room_of(request.entity)
    if not room.exists:
        raise StanzaError("item-not-found", "there is no such room")
    return room


def owned(request: Iq[Any], host: Host) -> Room:
    """Give the room that an owner's request is for, or one of an administrator; else raise `forbidden`."""
    room = existing(request)
    check_owner(room, request.sender.bare, host)
    return room


def check_owner(room: Room, asker: Jid, host: Host) -> None:
    """Raise `forbidden` for who is neither an owner of the room nor an administrator."""
    if standing(host, room.state, asker) is not Affiliation.OWNER:
        raise StanzaError("forbidden", "this is for the owners of the room")


def seen(request: Iq[Any]) -> Room:
    """Give the room that a request is for, or raise `forbidden` where the asker may not see it."""
    room = existing(request)
    check_seen(room, request.sender)
    return room


def check_seen(room: Room, asker: Jid) -> None:
    """Raise `forbidden` for who may not see a room."""
    if not may_see(room, asker):
        raise StanzaError("forbidden", "what the room shows is for its members")


def may_see(room: Room, asker: Jid) -> bool:
    """Tell whether somebody may know what a room is called: a hidden one of members is for them alone."""
    affiliation = room.state.affiliation_of(asker.bare)
    is_secret = room.configuration.is_members_only and not room.configuration.is_public
    return affiliation.rank > Affiliation.NONE.rank or not is_secret


def check_staff(room: Room, asker: Jid, host: Host) -> None:
    """Raise `forbidden` for who is neither owner nor admin of the room, nor an administrator."""
    if not standing(host, room.state, asker).is_staff:
        raise StanzaError("forbidden", "this is for the owners and admins of the room")


def may_list(room: Room, mine: Affiliation, role: Role | None, wanted: Affiliation) -> bool:
    """Tell who sees which list: of outcasts the staff alone; of others, who the configuration says.

    A list has real addresses. In a semi-anonymous room it is for who sees those anyway (§5.2.2), and the
    lists of owners and of admins are for owners (§10.5, §10.8). `role` is that in the room; None for who is
    not in it.
    """
    if room.configuration.is_anonymous and wanted.is_staff:
        return mine is Affiliation.OWNER
    if mine.is_staff:
        return True
    if wanted is Affiliation.OUTCAST or wanted is Affiliation.NONE:
        return False
    if room.configuration.is_anonymous:
        return role is Role.MODERATOR
    match room.configuration.shows_members_to:
        case "moderators":
            return role is Role.MODERATOR
        case "participants":
            return role in {Role.MODERATOR, Role.PARTICIPANT} or mine is Affiliation.MEMBER
        case _:
            return role is not None or mine is Affiliation.MEMBER
