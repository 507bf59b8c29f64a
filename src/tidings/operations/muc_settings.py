"""Operations that make rooms of Multi-User Chat, configure them and end them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.rooms import Entrance, RoomKind, RoomOwners
from tidings.features.rooms.configuration import (
    FORM_TYPE,
    HISTORY_VISIBILITY,
    LONGEST_HISTORY,
    MOST_SLOW_MODE_SECONDS,
    Whisperers,
)
from tidings.features.rooms.room import Room, room_of
from tidings.kernel.host import Host
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context, Role
from tidings.operations.muc import OneRoom, RoomAddress
from tidings.operations.muc_presence import Nick, enter_as, must_be_connected, nick_of
from tidings.operations.room_access import (
    By,
    about_room,
    actor_of,
    asking,
    feature_of,
    find_room,
    must_exist,
    refusals,
    service_at,
)
from tidings.operations.values import AUDITED, Address, Reason, SessionAddress
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.muc_owner import RoomOwnership
from tidings.wire.xmpp.payloads.muc_user import Destruction


class CreateRoom(msgspec.Struct, frozen=True, kw_only=True):
    """The room to make, and for whom."""

    room: RoomAddress
    owner: Annotated[
        SessionAddress,
        Meta(description="Account that owns the room; with /resource, that device enters it at once."),
    ]
    nick: Annotated[Nick, Meta(description="Name of the owner in the room, which is reserved for him.")]


class RoomSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a room is configured.

    `whois` is who sees real addresses. `password` is empty where none is asked for. `max_occupants` is 0 for
    as many as the server allows. `private_messages` and `member_list` are who may send the ones and see the
    other.

    The last six are the same in every room, or follow from another setting; nobody sets them. Occupants ask
    things of each other, visitors say how they are and take other names, who is in a room is told to nobody
    outside, others than members have a voice unless the room is moderated, and somebody enters with several
    devices under one name.
    """

    room: Address
    name: str
    description: str
    lang: str
    public: bool
    persistent: bool
    members_only: bool
    moderated: bool
    password: str
    whois: Literal["moderators", "anyone"]
    max_occupants: int
    change_subject: bool
    member_invites: bool
    private_messages: Whisperers
    member_list: Literal["moderators", "participants", "anyone"]
    history_visibility: Literal["all", "joined"]
    history: int
    slow_mode_seconds: int
    members_by_default: bool
    query_users: bool = True
    visitor_status: bool = True
    visitor_nick_change: bool = True
    public_list: bool = False
    multiple_sessions: bool = True


class ConfigureRoom(msgspec.Struct, frozen=True, kw_only=True):
    """The room, and what is to be different; what is left out stays as it is."""

    room: RoomAddress
    name: Annotated[Annotated[str, Meta(extra=AUDITED)] | None, Meta(description="What it is called.")] = None
    description: Annotated[
        Annotated[str, Meta(extra=AUDITED)] | None, Meta(description="What it is about.")
    ] = None
    lang: Annotated[
        Annotated[str, Meta(max_length=35, extra=AUDITED)] | None,
        Meta(description="Language that is spoken, such as en."),
    ] = None
    public: Annotated[bool | None, Meta(description="List it for everybody.")] = None
    persistent: Annotated[
        bool | None, Meta(description="Keep it when the last occupant has left; else it ends with that.")
    ] = None
    members_only: Annotated[bool | None, Meta(description="Let members enter only.")] = None
    moderated: Annotated[
        bool | None, Meta(description="Let others than members speak only when they are given a voice.")
    ] = None
    password: Annotated[
        str | None, Meta(description="Password without which nobody enters; empty for none.")
    ] = None
    whois: Annotated[Literal["moderators", "anyone"] | None, Meta(description="Who sees real addresses.")] = (
        None
    )
    max_occupants: Annotated[
        Annotated[int, Meta(ge=0, le=100_000)] | None,
        Meta(description="Occupants at most; 0 for as many as the server allows."),
    ] = None
    change_subject: Annotated[bool | None, Meta(description="Let participants change the subject.")] = None
    member_invites: Annotated[
        bool | None, Meta(description="Let members invite into a room that is for members only.")
    ] = None
    private_messages: Annotated[
        Whisperers | None, Meta(description="Who may send private messages to occupants.")
    ] = None
    member_list: Annotated[
        Literal["moderators", "participants", "anyone"] | None,
        Meta(description="Who may see the lists of members, admins and owners."),
    ] = None
    history_visibility: Annotated[
        Literal["all", "joined"] | None,
        Meta(description="Show members what was said before they joined: all of it, or nothing (joined)."),
    ] = None
    history: Annotated[
        Annotated[int, Meta(ge=0, le=LONGEST_HISTORY)] | None,
        Meta(description="Messages that are sent to who enters."),
    ] = None
    slow_mode_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=MOST_SLOW_MODE_SECONDS)] | None,
        Meta(description="Seconds that somebody waits between two messages; 0 for none."),
    ] = None
    by: By = None


class DestroyRoom(msgspec.Struct, frozen=True, kw_only=True):
    """The room to end."""

    room: RoomAddress
    reason: Annotated[Reason | None, Meta(description="Why; who is in it is told.")] = None
    alternative: Annotated[
        Address | None, Meta(description="Room where people meet instead; who is in it is told.")
    ] = None
    by: By = None


class RoomDestroyed(msgspec.Struct, frozen=True, kw_only=True):
    """The room that is no more."""

    room: Address


_FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "name": ("muc#roomconfig_roomname", "name"),
    "description": ("muc#roomconfig_roomdesc", "description"),
    "lang": ("muc#roomconfig_lang", "lang"),
    "public": ("muc#roomconfig_publicroom", "is_public"),
    "persistent": ("muc#roomconfig_persistentroom", "is_persistent"),
    "members_only": ("muc#roomconfig_membersonly", "is_members_only"),
    "moderated": ("muc#roomconfig_moderatedroom", "is_moderated"),
    "password": ("muc#roomconfig_roomsecret", "password"),
    "whois": ("muc#roomconfig_whois", "whois"),
    "max_occupants": ("muc#roomconfig_maxusers", "most_occupants"),
    "change_subject": ("muc#roomconfig_changesubject", "may_change_subject"),
    "member_invites": ("muc#roomconfig_allowinvites", "may_invite"),
    "private_messages": ("muc#roomconfig_allowpm", "whisperers"),
    "member_list": ("muc#roomconfig_getmemberlist", "shows_members_to"),
    "history_visibility": (HISTORY_VISIBILITY, "history_visibility"),
    "history": ("muc#maxhistoryfetch", "history"),
    "slow_mode_seconds": ("muc#roomconfig_slow_mode_duration", "slow_mode_seconds"),
}
"""By field of a request: the field of the form by which owners set it, and that of the configuration."""

_PROTECTED: Final = "muc#roomconfig_passwordprotectedroom"


@operation(
    "muc",
    "create",
    roles=EVERYBODY,
    subjects=("owner",),
    changes=True,
    errors=("conflict",),
    needs_server=True,
    room="room",
)
async def create(context: Context, request: CreateRoom) -> RoomSettings:
    """Make a room as a new one is by default, which is open at once.

    Who may make rooms by entering them may do it so, and administrators for their accounts.
    """
    host, _ = service_at(context, request.room, RoomKind)
    room = room_of(await host.directory.load(request.room))
    nick = nick_of(room, request.nick)
    entrance, owner = feature_of(host, Entrance), request.owner.bare
    await must_exist(context, owner)
    if request.owner.resource:
        await must_be_connected(context, request.owner)
    with refusals({"conflict": "could_not_create_room", "not-allowed": "not_allowed"}):
        if context.caller.role is Role.USER:
            entrance.check_maker(owner)
        await entrance.make(room, owner, nick)
    if request.owner.resource:
        await enter_as(context, room, request.owner, nick)
    return _settings(room)


@about_room("muc", "show", changes=False)
async def show(context: Context, request: OneRoom) -> RoomSettings:
    """Tell how a room is configured."""
    host, room = await find_room(context, request.room)
    with refusals({"forbidden": "not_allowed"}):
        actor = actor_of(host, room, request.by)
        feature_of(host, RoomOwners).show(asking("get", room.jid, actor, RoomOwnership(), room))
    return _settings(room)


@about_room("muc", "configure", changes=True)
async def configure(context: Context, request: ConfigureRoom) -> RoomSettings:
    """Change how a room is configured; who is in it is told, and put out where he may not stay."""
    host, room = await find_room(context, request.room)
    fields = [Field("FORM_TYPE", (FORM_TYPE,), FieldKind.HIDDEN)]
    for name, (field, _) in _FIELDS.items():
        value = getattr(request, name)
        if value is not None:
            fields.append(Field(field, _written(value)))
    if request.password is not None:
        fields.append(Field(_PROTECTED, ("1" if request.password else "0",)))
    form = DataForm(FormKind.SUBMIT, tuple(fields))
    await _own(host, room, request.by, RoomOwnership(form=form))
    return _settings(room)


@about_room("muc", "destroy", changes=True, irreversible=True)
async def destroy(context: Context, request: DestroyRoom) -> RoomDestroyed:
    """End a room for good, with all that was said in it; by MUC Light, too.

    It leaves the inboxes of its members, and who is in it is told. This cannot be undone.
    """
    host, room = await find_room(context, request.room)
    end = Destruction(alternative=request.alternative, reason=request.reason or "")
    await _own(host, room, request.by, RoomOwnership(destruction=end))
    return RoomDestroyed(room=room.jid)


async def _own(host: Host, room: Room, by: Jid | None, asked: RoomOwnership) -> None:
    """Ask what owners ask."""
    actor = actor_of(host, room, by)
    with refusals({"forbidden": "not_allowed"}, not_acceptable="conflict"):
        await feature_of(host, RoomOwners).change(asking("set", room.jid, actor, asked, room))


def _written(value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("1" if value else "0",)
    return tuple(str(value).split("\n"))


def _settings(room: Room) -> RoomSettings:
    configuration = room.configuration
    values = {name: getattr(configuration, attribute) for name, (_, attribute) in _FIELDS.items()}
    follows = {"members_by_default": not configuration.is_moderated}
    return msgspec.convert({"room": room.jid, **values, **follows}, RoomSettings)


OPERATIONS = (create, show, configure, destroy)
