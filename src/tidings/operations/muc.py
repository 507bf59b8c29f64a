"""Operations that look at rooms of Multi-User Chat: which there are, who is in them, and what was said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal, cast, get_args

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.rooms import RoomAdministrators, RoomKind
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.public_rooms import every_room
from tidings.features.rooms.room import Room
from tidings.features.rooms.room_archive import may_see_addresses
from tidings.features.rooms.rooms_of_account import rooms_of
from tidings.features.rooms.standing import standing
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.room_access import (
    After,
    By,
    Filter,
    Limit,
    ListMessages,
    RoomMessage,
    about_room,
    actor_of,
    feature_of,
    find_room,
    ledger_of,
    messages_of,
    refusals,
    service_of,
)
from tidings.operations.values import Address, Domain, Page, SessionAddress
from tidings.ports.ledger import Ledger

RoomAddress = Annotated[Address, Meta(description="Address of the room, such as tea@conference.example.org.")]
AffiliationWord = Literal["owner", "admin", "member", "outcast"]
_AFFILIATIONS: Final[tuple[AffiliationWord, ...]] = get_args(AffiliationWord)
StandingWord = Literal["owner", "admin", "member", "none"]
RoleWord = Literal["moderator", "participant", "visitor"]


class ListRooms(msgspec.Struct, frozen=True, kw_only=True):
    """Whose rooms."""

    domain: Annotated[Domain, Meta(description="Domain whose rooms to list, or its service of rooms.")]
    by: Annotated[
        SessionAddress | None,
        Meta(description="Only rooms that this account may see; without it, hidden ones, too."),
    ] = None
    filter: Filter = None
    after: After = None
    limit: Limit = 100


class RoomInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A room. `occupants` are in it now; `public` ones are listed for everybody."""

    room: Address
    name: str
    occupants: int
    public: bool
    members_only: bool
    persistent: bool


class OneRoom(msgspec.Struct, frozen=True, kw_only=True):
    """The room that is meant."""

    room: RoomAddress
    by: By = None


class OccupantInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in a room now; `user` is null for who may not know real addresses."""

    nick: str
    user: Address | None
    role: RoleWord
    affiliation: StandingWord
    devices: int


class ListAffiliations(msgspec.Struct, frozen=True, kw_only=True):
    """Of which room, and which affiliations."""

    room: RoomAddress
    affiliation: Annotated[AffiliationWord | None, Meta(description="Only those who are this.")] = None
    by: By = None
    after: After = None
    limit: Limit = 500


class AffiliationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is to a room for good, and the name that is reserved for him."""

    user: Address
    affiliation: AffiliationWord
    nick: str


def _domain_unless_by(request: ListRooms) -> Jid | None:
    return None if request.by is not None else request.domain


@operation(
    "muc", "list", roles=EVERYBODY, subjects=("by", _domain_unless_by), changes=False, needs_server=True
)
async def list_rooms(context: Context, request: ListRooms) -> Page[RoomInfo]:
    """List the rooms of a domain by address, a page at a time."""
    host, _ = service_of(context, request.domain.domain, RoomKind)
    by = None if request.by is None else request.by.bare
    mine = frozenset[Jid]() if by is None else await _rooms_of(ledger_of(context), by)
    wanted = named_like(request.filter)

    def is_wanted(room: Jid, configuration: RoomConfiguration) -> bool:
        is_visible = by is None or by in host.admins or configuration.is_listed or room in mine
        return is_visible and wanted(room.local, configuration.name)

    found, next_ = await rooms_by_address(
        ledger_of(context), host.domain, request.after, request.limit, is_wanted
    )
    items = []
    for jid, configuration in found:
        room = host.directory.get(jid)
        items.append(
            RoomInfo(
                room=jid,
                name=configuration.name,
                occupants=len(room.occupants) if isinstance(room, Room) else 0,
                public=configuration.is_public,
                members_only=configuration.is_members_only,
                persistent=configuration.is_persistent,
            )
        )
    return Page(items=tuple(items), next=next_)


def named_like(text: str | None) -> Callable[[str, str], bool]:
    """Make what tells whether an address or a name has a text in it, in any case."""
    wanted = (text or "").casefold()
    return lambda local, name: wanted in local or wanted in name.casefold()


async def rooms_by_address(
    ledger: Ledger,
    domain: str,
    after: str | None,
    limit: int,
    is_wanted: Callable[[Jid, RoomConfiguration], bool],
) -> tuple[list[tuple[Jid, RoomConfiguration]], str | None]:
    """Give the first rooms behind a place in the order of their addresses, and the place of the next page."""
    found: list[tuple[Jid, RoomConfiguration]] = []
    async for room, configuration in every_room(ledger, domain):
        if (after is None or room.local > after) and is_wanted(room, configuration):
            found.append((room, configuration))
            if len(found) > 2 * limit + 1:
                found = _first(found, limit + 1)
    found = _first(found, limit + 1)
    if len(found) <= limit:
        return found, None
    return found[:limit], found[limit - 1][0].local


def _first(found: list[tuple[Jid, RoomConfiguration]], count: int) -> list[tuple[Jid, RoomConfiguration]]:
    return sorted(found, key=lambda each: each[0].local)[:count]


async def _rooms_of(ledger: Ledger, jid: Jid) -> frozenset[Jid]:
    """Give the rooms that somebody is anything to, and not banned from."""
    found = [each.room async for each in rooms_of(ledger, jid) if each.affiliation != Affiliation.OUTCAST]
    return frozenset(found)


@about_room("muc", "occupants", changes=False)
async def list_occupants(context: Context, request: OneRoom) -> Page[OccupantInfo]:
    """List who is in a room now, in the order in which they came."""
    host, room = await find_room(context, request.room)
    actor = actor_of(host, room, request.by)
    is_anything = standing(host, room.state, actor).rank > Affiliation.NONE.rank
    if not is_anything and not room.occupants.of(actor.bare):
        raise OperationError(
            "not-allowed", f"{actor.bare} is neither in the room nor a member", reason="not_allowed"
        )
    shows = may_see_addresses(room, actor)
    items = (
        OccupantInfo(
            nick=each.nick,
            user=each.jid if shows else None,
            role=cast("RoleWord", each.role.value),
            affiliation=cast("StandingWord", room.state.affiliation_of(each.jid).value),
            devices=len(each.devices),
        )
        for each in room.occupants
    )
    return Page(items=tuple(items))


@about_room("muc", "affiliations", changes=False)
async def list_affiliations(context: Context, request: ListAffiliations) -> Page[AffiliationInfo]:
    """List who is what to a room for good, by address, a page at a time.

    In the name of somebody who may not see some of it, that is left out, unless it is asked for.
    """
    host, room = await find_room(context, request.room)
    actor = actor_of(host, room, request.by)
    administrators = feature_of(host, RoomAdministrators)
    words = _AFFILIATIONS if request.affiliation is None else (request.affiliation,)
    shown = {word for word in words if administrators.may_list(room, actor, Affiliation(word))}
    if not shown:
        with refusals({"forbidden": "not_allowed"}):
            administrators.check_list(room, actor, Affiliation(words[-1]))
    found = (
        AffiliationInfo(user=jid, affiliation=word, nick=member.nick)
        for jid, member in room.state.members.items()
        if (word := member.affiliation.value) in shown
    )
    left = sorted(
        (each for each in found if request.after is None or each.user.text > request.after),
        key=lambda each: each.user.text,
    )
    page = left[: request.limit]
    return Page(items=tuple(page), next=page[-1].user.text if len(left) > len(page) else None)


@about_room("muc", "messages", changes=False, of_archive=True)
async def list_messages(context: Context, request: ListMessages) -> Page[RoomMessage]:
    """List what was said in a room, the newest first, a page at a time."""
    host, room = await find_room(context, request.room)
    with refusals({"forbidden": "not_allowed"}):
        return await messages_of(context, host, room, request)


OPERATIONS = (list_rooms, list_occupants, list_affiliations, list_messages)
