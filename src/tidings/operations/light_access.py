"""Rooms by MUC Light for operations: their service, one of them, and what is told of it."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.rooms.light.door import LightDoor
from tidings.features.rooms.light.light_kind import LightKind, door_of
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light.settings import fields_of, name_of
from tidings.features.rooms.light_view import ROOM_NAME, SUBJECT, is_in, is_open, subject_text, user_of
from tidings.features.rooms.room import Room
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.operations.context import Context, Role
from tidings.operations.errors import OperationError
from tidings.operations.room_access import asking, service_at, service_of
from tidings.operations.values import Address

LightWord = Literal["owner", "member"]
RoleWord = Literal["", "administrator", "read-only"]
P = TypeVar("P")

RoomAddress = Annotated[
    Address, Meta(description="Address of the room by MUC Light, such as ward7@muclight.example.org.")
]


class LightMember(msgspec.Struct, frozen=True, kw_only=True):
    """Who belongs to a room; `role` is what a member is beyond that: an administrator, or read-only."""

    user: Address
    affiliation: LightWord
    role: RoleWord


class LightFieldInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a room's configuration beside its name and its subject."""

    field: str
    value: str


class LightRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room as MUC Light knows it."""

    room: Address
    name: str
    subject: str
    fields: tuple[LightFieldInfo, ...]
    members: tuple[LightMember, ...]


class LightAccess(NamedTuple):
    """The service of MUC Light that a request is about."""

    host: Host
    door: LightDoor

    @property
    def options(self) -> LightOptions:
        """What is configured for it."""
        options: LightOptions = self.host.options["muc_light"].now
        return options


class LightRequest(NamedTuple):
    """A room by MUC Light, and in whose name something is asked there."""

    access: LightAccess
    room: Room
    address: Jid
    actor: Jid
    """A bare address, or that of the service."""

    def asking(self, kind: str, payload: P) -> Iq[P]:
        """Make the request that the actor would send."""
        return asking(kind, self.address, self.actor, payload)


def light_of(context: Context, domain: str) -> LightAccess:
    """Give the service of MUC Light of a domain."""
    host, _ = service_of(context, domain, LightKind)
    return LightAccess(host, door_of(host))


async def find_light_room(context: Context, address: Jid, by: Jid | None) -> LightRequest:
    """Give a room that is open to MUC Light, for somebody who is in it, or for the service itself.

    A user learns of no room that he is not in.
    """
    host, _ = service_at(context, address, LightKind)
    access = light_of(context, host.domain)
    room = await access.door.load(address)
    is_there = room.exists and is_open(room.configuration)
    is_member = by is None or (is_there and is_in(room.state.members.get(by.bare)))
    if not is_there or (not is_member and context.caller.role is Role.USER):
        raise OperationError("not-found", f"there is no room {address}", reason="room_not_found")
    if not is_member:
        assert by is not None
        raise OperationError("not-allowed", f"{by.bare} is not in {address}", reason="not_room_member")
    actor = access.host.jid if by is None else by.bare
    return LightRequest(access, room, access.door.address_of(room), actor)


def describe(request: LightRequest) -> LightRoom:
    """Tell what a room is now."""
    options, state = request.access.options, request.room.state
    return LightRoom(
        room=request.address,
        name=name_of(state, options),
        subject=subject_text(state.subject),
        fields=tuple(
            LightFieldInfo(field=name, value=value)
            for name, value in fields_of(state, options)
            if name not in {ROOM_NAME, SUBJECT}
        ),
        members=members_of(request.room),
    )


def members_of(room: Room) -> tuple[LightMember, ...]:
    """List who belongs to a room, by address."""
    shown = (user_of(jid, member) for jid, member in sorted(room.state.members.items()))
    return tuple(
        msgspec.convert({"user": user.jid, "affiliation": user.affiliation, "role": user.role}, LightMember)
        for user in shown
        if user.affiliation != "none"
    )
