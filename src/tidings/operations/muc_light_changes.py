"""Operations that make rooms by MUC Light, configure and end them, add and remove people, and speak there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.ids import token
from tidings.base.jid import Jid, JidError
from tidings.features.rooms.light.blocking import LightBlocklists
from tidings.features.rooms.light.configuring import LightConfiguring
from tidings.features.rooms.light.making import LightRooms
from tidings.features.rooms.light.membership import LightMembership
from tidings.features.rooms.light_view import ROOM_NAME, SUBJECT, is_in
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.light_access import (
    LightRequest,
    LightRoom,
    RoomAddress,
    describe,
    find_light_room,
    light_of,
)
from tidings.operations.muc_light import Blocked, OneLightRoom, blocked_by
from tidings.operations.room_access import (
    Account,
    Body,
    By,
    about_room,
    asking,
    feature_of,
    must_be_somebody,
    must_exist,
    refusals,
    send,
)
from tidings.operations.stanza import Sent
from tidings.operations.values import AUDITED, AccountAddress, Address, Domain, Page, SessionAddress
from tidings.wire.xmpp.payloads.muc_light import (
    BlockingItem,
    LightBlocking,
    LightConfiguration,
    LightCreation,
    LightDestruction,
    LightField,
    LightList,
    LightUser,
)

_WORDS = {
    "max_occupants_reached": "max_occupants_reached",
    "bad-request": "validation_error",
    "not-allowed": "not_allowed",
    "conflict": "already_exists",
    "item-not-found": "not_room_member",
}

Name = Annotated[str, Meta(extra=AUDITED)]
Fields = Annotated[
    tuple[Annotated[str, Meta(extra=AUDITED, pattern="=")], ...],
    Meta(
        max_length=100, description="Further fields of the schema with their values, each as `field=value`."
    ),
]


class CreateLightRoom(msgspec.Struct, frozen=True, kw_only=True):
    """Whose room, and what it is to be."""

    owner: Annotated[AccountAddress, Meta(description="Account that makes the room, and owns it.")]
    name: Annotated[Name | None, Meta(description="What it is called; without it, by the default.")] = None
    subject: Annotated[Name | None, Meta(description="What it talks about.")] = None
    id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255, extra=AUDITED)] | None,
        Meta(description="First part of its address; without it, the server invents one."),
    ] = None
    domain: Annotated[
        Domain | None,
        Meta(description="Domain at which it is made, or its service; without it, that of the owner."),
    ] = None
    members: Annotated[
        tuple[Address, ...], Meta(max_length=500, description="Who belongs to it beside its owner.")
    ] = ()
    fields: Fields = ()


class ConfigureLightRoom(msgspec.Struct, frozen=True, kw_only=True):
    """The room, and what is to be different; what is left out stays as it is."""

    room: RoomAddress
    name: Annotated[Name | None, Meta(description="What it is called.")] = None
    subject: Annotated[Name | None, Meta(description="What it talks about.")] = None
    fields: Fields = ()
    by: By = None


class InviteLight(msgspec.Struct, frozen=True, kw_only=True):
    """Who adds whom."""

    room: RoomAddress
    sender: Annotated[
        AccountAddress, Meta(description="In whose name: its owner, or a member where all may add others.")
    ]
    recipient: Annotated[Address, Meta(description="Who becomes a member, here or on another server.")]


class LightInvited(msgspec.Struct, frozen=True, kw_only=True):
    """Who was to become a member; he has not where he blocks it, or is in enough rooms."""

    room: Address
    recipient: Address
    added: bool


class KickLight(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to belong to a room no more."""

    room: RoomAddress
    target: Annotated[Address, Meta(description="Whom it concerns; in his own name he leaves.")]
    by: By = None


class LightKicked(msgspec.Struct, frozen=True, kw_only=True):
    """Who belongs to a room no more."""

    room: Address
    target: Address


class LightDestroyed(msgspec.Struct, frozen=True, kw_only=True):
    """The room that is no more."""

    room: Address


class SayLight(msgspec.Struct, frozen=True, kw_only=True):
    """Who says what in which room."""

    room: RoomAddress
    sender: Annotated[SessionAddress, Meta(description="In whose name: somebody who belongs to the room.")]
    body: Body


class ChangeBlocked(msgspec.Struct, frozen=True, kw_only=True):
    """What an account blocks from now on, and what no more."""

    user: Account
    users: Annotated[
        tuple[Address, ...], Meta(max_length=500, description="Who is to add the account to no room.")
    ] = ()
    rooms: Annotated[
        tuple[Address, ...], Meta(max_length=500, description="Rooms to which nobody is to add it.")
    ] = ()
    allow_users: Annotated[
        tuple[Address, ...], Meta(max_length=500, description="Who may add it to rooms again.")
    ] = ()
    allow_rooms: Annotated[
        tuple[Address, ...], Meta(max_length=500, description="Rooms to which it may be added again.")
    ] = ()


@operation(
    "muc-light",
    "create",
    roles=EVERYBODY,
    subjects=("owner",),
    changes=True,
    errors=("not-found", "conflict"),
    needs_server=True,
)
async def create(context: Context, request: CreateLightRoom) -> LightRoom:
    """Make a room by MUC Light: it stays, is hidden, for its members alone, and shows their addresses."""
    access = light_of(context, (request.domain or request.owner).domain)
    await must_exist(context, request.owner)
    service = access.host.jid
    address = service if request.id is None else _with_local(service, request.id)
    members = tuple(LightUser(_person(each), "member") for each in request.members)
    for each in members:
        await must_be_somebody(context, each.jid)
    asked = LightCreation(_fields(request.name, request.subject, request.fields), members)
    with refusals(_WORDS):
        room = await feature_of(access.host, LightRooms).make(request.owner, address, asked, token(12))
    return describe(LightRequest(access, room, access.door.address_of(room), request.owner))


@about_room("muc-light", "configure", changes=True)
async def configure(context: Context, request: ConfigureLightRoom) -> LightRoom:
    """Set the name, the subject and other fields of a room; its members are told."""
    asked = await find_light_room(context, request.room, request.by)
    fields = _fields(request.name, request.subject, request.fields)
    with refusals(_WORDS):
        configuring = feature_of(asked.access.host, LightConfiguring)
        await configuring.change(asked.asking("set", LightConfiguration(fields)))
    return describe(asked)


@operation(
    "muc-light",
    "invite",
    roles=EVERYBODY,
    subjects=("sender",),
    changes=True,
    errors=("not-found", "conflict"),
    needs_server=True,
    room="room",
)
async def invite(context: Context, request: InviteLight) -> LightInvited:
    """Make somebody a member of a room, in the name of who may add others."""
    asked = await find_light_room(context, request.room, request.sender)
    person = _person(request.recipient)
    await must_be_somebody(context, person)
    await _change(asked, LightUser(person, "member"))
    return LightInvited(
        room=asked.address, recipient=person, added=is_in(asked.room.state.members.get(person))
    )


@about_room("muc-light", "kick", changes=True)
async def kick(context: Context, request: KickLight) -> LightKicked:
    """Take a member off a room; in his own name he leaves it. The others are told.

    Where the last owner goes, somebody else owns the room, and with its last member it ends.
    """
    asked = await find_light_room(context, request.room, request.by)
    person = _person(request.target)
    if not is_in(asked.room.state.members.get(person)):
        raise OperationError("not-found", f"{person} is not in {asked.address}", reason="user_not_found")
    await _change(asked, LightUser(person, "none"))
    return LightKicked(room=asked.address, target=person)


@about_room("muc-light", "destroy", changes=True, irreversible=True)
async def destroy(context: Context, request: OneLightRoom) -> LightDestroyed:
    """End a room for good, with all that was said in it; by Multi-User Chat, too.

    It leaves the inboxes of its members, who are told. This cannot be undone.
    """
    asked = await find_light_room(context, request.room, request.by)
    with refusals(_WORDS):
        await feature_of(asked.access.host, LightRooms).destroy(asked.asking("set", LightDestruction()))
    return LightDestroyed(room=asked.address)


@operation(
    "muc-light",
    "send",
    roles=EVERYBODY,
    subjects=("sender",),
    changes=True,
    errors=("not-found",),
    needs_server=True,
    room="room",
)
async def say(context: Context, request: SayLight) -> Sent:
    """Send a message to a room, in the name of somebody who belongs to it."""
    asked = await find_light_room(context, request.room, request.sender)
    with refusals(_WORDS):
        return await send(context, request.sender, asked.address, "groupchat", request.body)


@operation("muc-light", "block", roles=EVERYBODY, subjects=("user",), changes=True, needs_server=True)
async def block(context: Context, request: ChangeBlocked) -> Page[Blocked]:
    """Let nobody add an account to some rooms, or some people to none; all is changed or nothing."""
    access = light_of(context, request.user.domain)
    await must_exist(context, request.user)
    items = (
        *(BlockingItem("user", _person(each)) for each in request.users),
        *(BlockingItem("room", _person(each)) for each in request.rooms),
        *(BlockingItem("user", _person(each), is_denied=False) for each in request.allow_users),
        *(BlockingItem("room", _person(each), is_denied=False) for each in request.allow_rooms),
    )
    asked = asking("set", access.host.jid, request.user, LightBlocking(items))
    with refusals(_WORDS):
        await feature_of(access.host, LightBlocklists).change(asked)
    return await blocked_by(context, access, request.user)


async def _change(asked: LightRequest, user: LightUser) -> None:
    """Ask for another list of members."""
    with refusals(_WORDS):
        membership = feature_of(asked.access.host, LightMembership)
        await membership.change(asked.asking("set", LightList(users=(user,))))


def _person(address: Jid) -> Jid:
    if not address.local:
        raise OperationError("invalid", f"{address} is nobody; write name@{address.domain}")
    return address.bare


def _with_local(service: Jid, local: str) -> Jid:
    try:
        return Jid.of(local, service.domain)
    except JidError as error:
        raise OperationError("invalid", f"`id` is wrong: {error}") from None


def _fields(name: str | None, subject: str | None, others: tuple[str, ...]) -> tuple[LightField, ...]:
    given = ((ROOM_NAME, name), (SUBJECT, subject))
    named = [LightField(field, value) for field, value in given if value is not None]
    for text in others:
        field, _, value = text.partition("=")
        named.append(LightField(field.strip(), value))
    return tuple(named)


OPERATIONS = (create, configure, invite, kick, destroy, say, block)
