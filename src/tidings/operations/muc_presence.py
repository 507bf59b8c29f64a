"""Operations that let people enter rooms of Multi-User Chat, speak there and leave, as clients do."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.features.rooms import Entrance
from tidings.features.rooms.nicknames import check_nick
from tidings.features.rooms.room import Room
from tidings.kernel.account import Account
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.origin import Origin, Via
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.muc import RoomAddress
from tidings.operations.room_access import Body, actor_of, feature_of, find_room, refusals, router_of, send
from tidings.operations.stanza import Sent
from tidings.operations.values import AUDITED, Address, SessionAddress
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

Nick = Annotated[str, Meta(min_length=1, max_length=255, extra=AUDITED)]
Device = Annotated[
    SessionAddress, Meta(description="Session that is meant, with its resource: alice@example.org/phone.")
]
Sender = Annotated[
    SessionAddress,
    Meta(description="In whose name: somebody who is in the room, with /resource by that device."),
]


class EnterRoom(msgspec.Struct, frozen=True, kw_only=True):
    """Who enters which room under which name."""

    room: RoomAddress
    user: Device
    nick: Annotated[Nick, Meta(description="Name in the room.")]
    password: Annotated[str, Meta(description="Password of the room, where it has one.")] = ""


class ExitRoom(msgspec.Struct, frozen=True, kw_only=True):
    """Who leaves which room."""

    room: RoomAddress
    user: Annotated[
        SessionAddress,
        Meta(description="Who leaves: with /resource that device, without it all that are in the room."),
    ]


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in a room now."""

    room: Address
    user: Address
    nick: str


class Exited(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in a room no more, and how many devices that were."""

    room: Address
    user: Address
    devices: int


class SayInRoom(msgspec.Struct, frozen=True, kw_only=True):
    """Who says what in which room."""

    room: RoomAddress
    sender: Sender
    body: Body


class SayToOccupant(msgspec.Struct, frozen=True, kw_only=True):
    """Who says what to whom alone."""

    room: RoomAddress
    sender: Sender
    nick: Annotated[Nick, Meta(description="Name in the room of whom it is for.")]
    body: Body


@operation(
    "muc",
    "enter",
    roles=EVERYBODY,
    subjects=("user",),
    changes=True,
    errors=("conflict",),
    needs_server=True,
    room="room",
)
async def enter(context: Context, request: EnterRoom) -> Entered:
    """Let a session enter a room, as if its client had asked; that gets what it would get then."""
    host, room = await find_room(context, request.room)
    nick = nick_of(room, request.nick)
    await must_be_connected(context, request.user)
    with refusals(_NOT_ALLOWED):
        feature_of(host, Entrance).check(room, request.user, nick, request.password)
    await enter_as(context, room, request.user, nick, request.password)
    return Entered(room=room.jid, user=request.user, nick=nick)


@operation("muc", "exit", roles=EVERYBODY, subjects=("user",), changes=True, needs_server=True, room="room")
async def leave(context: Context, request: ExitRoom) -> Exited:
    """Let somebody leave a room, as if his client had said so."""
    _, room = await find_room(context, request.room)
    person = request.user
    devices = [
        (device, each.nick)
        for each in room.occupants.of(person.bare)
        for device in each.devices
        if person.resource in {"", device.resource}
    ]
    if not devices:
        raise OperationError("not-found", f"{person} is not in {room.jid}", reason="user_not_found")
    for device, nick in devices:
        presence = Stanza.build("presence", kind="unavailable", sender=device, to=room.address_of(nick))
        await _show(context, device, presence)
    return Exited(room=room.jid, user=person, devices=len(devices))


@operation("muc", "send", roles=EVERYBODY, subjects=("sender",), changes=True, needs_server=True, room="room")
async def say(context: Context, request: SayInRoom) -> Sent:
    """Send a message to a room, in the name of somebody who is in it."""
    host, room = await find_room(context, request.room)
    sender = actor_of(host, room, request.sender)
    _must_be_in(room, sender)
    with refusals(_NOT_ALLOWED):
        return await send(context, sender, room.jid, "groupchat", request.body)


@operation(
    "muc", "send-private", roles=EVERYBODY, subjects=("sender",), changes=True, needs_server=True, room="room"
)
async def say_privately(context: Context, request: SayToOccupant) -> Sent:
    """Send a message to one occupant of a room, in the name of somebody who is in it."""
    host, room = await find_room(context, request.room)
    sender = actor_of(host, room, request.sender)
    _must_be_in(room, sender)
    if room.occupants.called(request.nick) is None:
        told = f"nobody in {room.jid} is called {request.nick!r}"
        raise OperationError("not-found", told, reason="user_not_found")
    with refusals(_NOT_ALLOWED):
        return await send(context, sender, room.address_of(request.nick), "chat", request.body)


_NOT_ALLOWED = dict.fromkeys(("forbidden", "not-authorized", "registration-required"), "not_allowed")


async def enter_as(context: Context, room: Room, device: Jid, nick: str, password: str = "") -> None:
    """Let a session enter a room; raises `OperationError` where it is not there afterwards."""
    inside = [Element("password", ns.MUC, None, password)] if password else []
    presence = Stanza.build(
        "presence",
        sender=device,
        to=room.address_of(nick),
        content=(Element("x", ns.MUC, None, *inside),),
    )
    await _show(context, device, presence)
    occupant = room.occupants.at(device)
    if occupant is None or occupant.nick != nick:
        told = f"{device} was not let in; the error that its client got says why"
        raise OperationError("conflict", told, reason="not_allowed")


async def must_be_connected(context: Context, device: Jid) -> None:
    """Raise `OperationError` unless a full address is that of a session, on whichever node."""
    if not device.resource:
        raise OperationError("invalid", f"{device} names no session; write {device}/RESOURCE")
    host = context.host(device.domain)
    account = None if host is None else await host.directory.load(device.bare)
    if not isinstance(account, Account) or device.resource not in account.resources:
        raise OperationError("not-found", f"{device} is not connected", reason="no_session")


def nick_of(room: Room, text: str) -> str:
    """Give a name as addresses have it; raises `invalid` for one that cannot be."""
    try:
        return check_nick(room.jid.with_resource(text).resource)
    except (JidError, StanzaError) as error:
        raise OperationError("invalid", f"`nick` is wrong: {error}") from None


async def _show(context: Context, device: Jid, presence: Stanza) -> None:
    """Send presence of a device, by its session where it has one here."""
    router, sessions = router_of(context), context.sessions_of(device)
    if not sessions:
        await until_done(router.route(presence))
        return
    session = sessions[0]
    origin = Origin(session.account.jid, session.host, Via.SESSION, session.account, session)
    await until_done(router.submit(origin, (presence,)))


def _must_be_in(room: Room, sender: Jid) -> None:
    if room.occupants.at(sender) is None:
        told = f"{sender} is not in {room.jid}; let it enter first"
        raise OperationError("not-allowed", told, reason="not_allowed")


OPERATIONS = (enter, leave, say, say_privately)
