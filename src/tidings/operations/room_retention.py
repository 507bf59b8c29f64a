"""Operations on how much one room keeps, where that is not what its domain keeps of rooms."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.retention import (
    RETENTION,
    OwnBounds,
    Retention,
    bounds_of_room,
    own_bounds,
    property_of,
)
from tidings.features.rooms.room import Room, RoomState
from tidings.features.rooms.storing import Change, RoomStore
from tidings.kernel.host import Host
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.muc import RoomAddress
from tidings.operations.room_access import feature_of, find_room, ledger_of, refusals, router_of
from tidings.operations.values import Address
from tidings.wire.xmpp.payloads.muc_user import Status, about_occupant

Bound = Literal["keep_days", "keep_messages", "keep_octets"]
_BOUNDS: Final[tuple[Bound, ...]] = get_args(Bound)

_Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class OneRoomArchive(msgspec.Struct, frozen=True, kw_only=True):
    """The room that is meant."""

    room: RoomAddress


class SetRetention(msgspec.Struct, frozen=True, kw_only=True):
    """What one room is to keep; what is left out is as for the other rooms of its domain."""

    room: RoomAddress
    keep_days: Annotated[_Count | None, Meta(description="Days that messages are kept; 0 is for ever.")] = (
        None
    )
    keep_messages: Annotated[
        _Count | None, Meta(description="Newest messages to keep; 0 is all of them.")
    ] = None
    keep_octets: Annotated[
        _Count | None, Meta(description="Newest octets of messages to keep; 0 is all of them.")
    ] = None


class RoomRetention(msgspec.Struct, frozen=True, kw_only=True):
    """What a room keeps; 0 is no bound.

    `own` names what holds for this room alone, the rest is as for the other rooms of its domain. While the
    archive of a room is `held`, nothing goes.
    """

    room: Address
    keep_days: int
    keep_messages: int
    keep_octets: int
    own: tuple[Bound, ...]
    held: bool


@operation(
    "muc",
    "retention",
    roles=ADMINISTRATORS,
    subjects=("room",),
    changes=False,
    needs_server=True,
    room="room",
)
async def show(context: Context, request: OneRoomArchive) -> RoomRetention:
    """Tell how much a room keeps, and what of that holds for it alone."""
    host, room = await find_room(context, request.room)
    return await _retention(context, host, room.jid)


@operation(
    "muc",
    "set-retention",
    roles=ADMINISTRATORS,
    subjects=("room",),
    changes=True,
    errors=("conflict",),
    needs_server=True,
    room="room",
)
async def change(context: Context, request: SetRetention) -> RoomRetention:
    """Set how much one room keeps, whatever its domain keeps of rooms.

    What is left out holds as for the other rooms again. The next pass of the retention brings the room down
    to it; what has gone does not come back. Legal hold goes before it. Owners of a room may not set it.
    """
    host, room = await find_room(context, request.room)
    own = OwnBounds(
        keep_days=request.keep_days, keep_messages=request.keep_messages, keep_octets=request.keep_octets
    )
    with refusals({}):
        await _keep(context, room, own)
    return await _retention(context, host, room.jid)


async def _keep(context: Context, room: Room, own: OwnBounds) -> None:
    """Write it as a change of the room, behind all that was changed before."""

    def decide(_state: RoomState) -> Change:
        told = about_occupant(statuses=(Status.CONFIGURATION_CHANGED,))
        return Change(told=told, properties={RETENTION: property_of(own)})

    await RoomStore(router_of(context), ledger_of(context)).change(room, decide)


async def _retention(context: Context, host: Host, room: Jid) -> RoomRetention:
    ledger = ledger_of(context)
    own = own_bounds(await ledger.properties(room))
    bounds = bounds_of_room(feature_of(host, Retention).options, own)
    return RoomRetention(
        room=room,
        keep_days=bounds.keep_days,
        keep_messages=bounds.keep_messages,
        keep_octets=bounds.keep_octets,
        own=tuple(name for name in _BOUNDS if getattr(own, name) is not None),
        held=await ledger.is_held(room),
    )


OPERATIONS = (show, change)
