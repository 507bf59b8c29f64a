"""Operations that change what people are in rooms of Multi-User Chat, put them out and invite them."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.rooms import RoomAdministrators, RoomKind
from tidings.features.rooms.room import Room
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.muc import RoleWord, RoomAddress
from tidings.operations.muc_presence import Nick
from tidings.operations.room_access import (
    By,
    about_room,
    actor_of,
    asking,
    feature_of,
    find_room,
    must_be_somebody,
    refusals,
)
from tidings.operations.values import Address, Reason, SessionAddress
from tidings.wire.xmpp.payloads.muc_admin import RoomAdministration
from tidings.wire.xmpp.payloads.muc_user import OccupantItem


class SetAffiliation(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be what to a room for good."""

    room: RoomAddress
    target: Annotated[Address, Meta(description="Whom it concerns, here or on another server.")]
    affiliation: Annotated[
        Literal["owner", "admin", "member", "outcast", "none"],
        Meta(description="What he is to be; an outcast is banned."),
    ]
    reason: Annotated[Reason | None, Meta(description="Why; who is in the room is told.")] = None
    by: By = None


class AffiliationSet(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is to a room now."""

    room: Address
    target: Address
    affiliation: Literal["owner", "admin", "member", "outcast", "none"]


class SetRole(msgspec.Struct, frozen=True, kw_only=True):
    """What an occupant may do while he is in the room."""

    room: RoomAddress
    nick: Annotated[Nick, Meta(description="Name of the occupant in the room.")]
    role: Annotated[
        RoleWord, Meta(description="A visitor may not speak, a moderator gives and takes voices.")
    ]
    reason: Annotated[Reason | None, Meta(description="Why; who is in the room is told.")] = None
    by: By = None


class RoleSet(msgspec.Struct, frozen=True, kw_only=True):
    """What an occupant may do now."""

    room: Address
    nick: str
    role: RoleWord


class KickOccupant(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be put out of a room."""

    room: RoomAddress
    nick: Annotated[Nick, Meta(description="Name of the occupant in the room.")]
    reason: Annotated[Reason | None, Meta(description="Why; who is in the room is told.")] = None
    by: By = None


class OccupantKicked(msgspec.Struct, frozen=True, kw_only=True):
    """Who was put out of a room."""

    room: Address
    nick: str


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """Who invites whom."""

    room: RoomAddress
    sender: Annotated[
        SessionAddress, Meta(description="In whose name: somebody who is in the room, or a member of it.")
    ]
    recipient: Annotated[Address, Meta(description="Who is invited, here or on another server.")]
    reason: Annotated[Reason | None, Meta(description="Why; the recipient is told.")] = None


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """Who was invited into a room."""

    room: Address
    recipient: Address


@about_room("muc", "set-affiliation", changes=True)
async def set_affiliation(context: Context, request: SetAffiliation) -> AffiliationSet:
    """Make somebody owner, admin or member of a room, ban him, or make him nothing to it.

    Who may not stay is put out. A room has an owner: the last one cannot become anything else.
    """
    host, room = await find_room(context, request.room)
    person = request.target.bare
    if not person.local:
        raise OperationError("invalid", f"{person} is nobody; write name@{person.domain}")
    item = OccupantItem(affiliation=request.affiliation, jid=person, reason=request.reason or "")
    with refusals({"forbidden": "not_allowed", "not-allowed": "not_allowed"}):
        await _administer(host, room, actor_of(host, room, request.by), item)
    return AffiliationSet(room=room.jid, target=person, affiliation=request.affiliation)


@about_room("muc", "set-role", changes=True)
async def set_role(context: Context, request: SetRole) -> RoleSet:
    """Give an occupant a voice, take it, or make him a moderator, until he leaves."""
    host, room = await find_room(context, request.room)
    await _change_role(host, room, request.by, request.nick, request.role, request.reason)
    return RoleSet(room=room.jid, nick=request.nick, role=request.role)


@about_room("muc", "kick", changes=True)
async def kick(context: Context, request: KickOccupant) -> OccupantKicked:
    """Put an occupant out of a room; he may enter it again, unless he is banned."""
    host, room = await find_room(context, request.room)
    await _change_role(host, room, request.by, request.nick, "none", request.reason)
    return OccupantKicked(room=room.jid, nick=request.nick)


@operation(
    "muc", "invite", roles=EVERYBODY, subjects=("sender",), changes=True, needs_server=True, room="room"
)
async def invite(context: Context, request: Invite) -> Invited:
    """Invite somebody into a room, in the name of somebody who may (XEP-0249).

    Into a room that is for members only he is made a member, as by an invitation through the room.
    """
    host, room = await find_room(context, request.room)
    await must_be_somebody(context, request.recipient)
    kind = cast("RoomKind", host.kind)  # found by it
    known = {
        "forbidden": "not_allowed",
        "not-acceptable": "not_allowed",
        "service-unavailable": "user_not_found",
    }
    with refusals(known, not_acceptable="not-allowed", service_unavailable="not-found"):
        await kind.requests.invite_directly(room, request.sender, request.recipient, request.reason or "")
    return Invited(room=room.jid, recipient=request.recipient)


async def _change_role(
    host: Host,
    room: Room,
    by: Jid | None,
    nick: str,
    role: Literal["none", "moderator", "participant", "visitor"],
    reason: str | None,
) -> None:
    if room.occupants.called(nick) is None:
        raise OperationError("not-found", f"nobody in {room.jid} is called {nick!r}", reason="user_not_found")
    known = dict.fromkeys(("forbidden", "not-allowed", "not-acceptable"), "moderator_not_found")
    item = OccupantItem(nick=nick, role=role, reason=reason or "")
    with refusals(known, not_acceptable="not-allowed"):
        await _administer(host, room, actor_of(host, room, by), item)


async def _administer(host: Host, room: Room, actor: Jid, item: OccupantItem) -> None:
    """Ask what those ask who administer a room."""
    request = asking("set", room.jid, actor, RoomAdministration((item,)), room)
    changed = await feature_of(host, RoomAdministrators).change(request)
    await until_done(changed.then())


OPERATIONS = (set_affiliation, set_role, kick, invite)
