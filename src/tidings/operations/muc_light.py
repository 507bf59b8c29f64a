"""Operations that look at rooms by MUC Light: which there are, who belongs to them, and what was said."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.light.block_lists import BlockLists
from tidings.features.rooms.light.discovery import LightDiscovery
from tidings.features.rooms.light.settings import name_of
from tidings.features.rooms.light_view import is_in, is_open, subject_text
from tidings.features.rooms.room import room_of
from tidings.operations.catalogue import ADMINISTRATORS, EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.light_access import (
    LightAccess,
    LightMember,
    LightRoom,
    RoomAddress,
    describe,
    find_light_room,
    light_of,
    members_of,
)
from tidings.operations.muc import named_like, rooms_by_address
from tidings.operations.room_access import (
    Account,
    After,
    By,
    Filter,
    Limit,
    ListMessages,
    RoomMessage,
    about_room,
    feature_of,
    ledger_of,
    messages_of,
    must_exist,
    refusals,
)
from tidings.operations.values import Address, Domain, Page


class ListLightRooms(msgspec.Struct, frozen=True, kw_only=True):
    """Whose rooms, and which."""

    domain: Annotated[Domain, Meta(description="Domain whose rooms to list, or its service of MUC Light.")]
    filter: Filter = None
    after: After = None
    limit: Limit = 50


class ListedLightRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room that is open to MUC Light, and how many belong to it."""

    room: Address
    name: str
    subject: str
    members: int


class OneLightRoom(msgspec.Struct, frozen=True, kw_only=True):
    """The room that is meant."""

    room: RoomAddress
    by: By = None


class ListLightMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Whose members."""

    room: RoomAddress
    by: By = None
    after: After = None
    limit: Limit = 500


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    """The account that is meant."""

    user: Account


class UsersRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room that an account is in."""

    room: Address
    name: str


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Who does not add an account to rooms, or to which room nobody does."""

    kind: Literal["user", "room"]
    address: Address


@operation("muc-light", "list", roles=ADMINISTRATORS, subjects=("domain",), changes=False, needs_server=True)
async def list_rooms(context: Context, request: ListLightRooms) -> Page[ListedLightRoom]:
    """List the rooms of a domain that are open to MUC Light by address, a page at a time."""
    access = light_of(context, request.domain.domain)
    rooms = access.door.host
    wanted = named_like(request.filter)

    def is_wanted(room: Jid, configuration: RoomConfiguration) -> bool:
        return is_open(configuration) and wanted(room.local, configuration.name)

    found, next_ = await rooms_by_address(
        ledger_of(context), rooms.domain, request.after, request.limit, is_wanted
    )
    items = []
    for jid, _ in found:
        room = room_of(await rooms.directory.load(jid))
        if room.exists:  # else it has ended meanwhile
            items.append(
                ListedLightRoom(
                    room=access.door.address_of(room),
                    name=name_of(room.state, access.options),
                    subject=subject_text(room.state.subject),
                    members=sum(map(is_in, room.state.members.values())),
                )
            )
    return Page(items=tuple(items), next=next_)


@operation("muc-light", "rooms", roles=EVERYBODY, subjects=("user",), changes=False, needs_server=True)
async def rooms_of_user(context: Context, request: OneUser) -> Page[UsersRoom]:
    """List the rooms by MUC Light that an account is in, at the service of its domain."""
    access = light_of(context, request.user.domain)
    await must_exist(context, request.user)
    items = []
    for address in await feature_of(access.host, LightDiscovery).addresses_of(request.user):
        room = await access.door.load(address)
        if room.exists:
            items.append(UsersRoom(room=address, name=name_of(room.state, access.options)))
    return Page(items=tuple(items))


@about_room("muc-light", "show", changes=False)
async def show(context: Context, request: OneLightRoom) -> LightRoom:
    """Tell how a room is configured, and who belongs to it."""
    return describe(await find_light_room(context, request.room, request.by))


@about_room("muc-light", "members", changes=False)
async def list_members(context: Context, request: ListLightMembers) -> Page[LightMember]:
    """List who belongs to a room by address, a page at a time."""
    found = members_of((await find_light_room(context, request.room, request.by)).room)
    left = [each for each in found if request.after is None or each.user.text > request.after]
    page = left[: request.limit]
    return Page(items=tuple(page), next=page[-1].user.text if len(left) > len(page) else None)


@about_room("muc-light", "messages", changes=False, of_archive=True)
async def list_messages(context: Context, request: ListMessages) -> Page[RoomMessage]:
    """List what was said and changed in a room, the newest first, a page at a time."""
    asked = await find_light_room(context, request.room, request.by)
    host = asked.access.host
    with refusals({}):
        return await messages_of(context, host, host.kind.make(asked.address, exists=True), request)


@operation("muc-light", "blocked", roles=EVERYBODY, subjects=("user",), changes=False, needs_server=True)
async def list_blocked(context: Context, request: OneUser) -> Page[Blocked]:
    """List who does not add an account to rooms by MUC Light, and to which rooms nobody does."""
    return await blocked_by(context, light_of(context, request.user.domain), request.user)


async def blocked_by(context: Context, access: LightAccess, user: Jid) -> Page[Blocked]:
    """Give what an account blocks; raises `OperationError` where nothing can be blocked."""
    await must_exist(context, user)
    if not access.options.blocking:
        raise OperationError("not-allowed", "nothing can be blocked here", reason="not_allowed")
    found = await BlockLists(context.stores.documents, access.host.domain).of(user)
    users = (Blocked(kind="user", address=Jid(text)) for text in sorted(found.users))
    rooms = (Blocked(kind="room", address=Jid(text)) for text in sorted(found.rooms))
    return Page(items=(*users, *rooms))


OPERATIONS = (list_rooms, rooms_of_user, show, list_members, list_messages, list_blocked)
