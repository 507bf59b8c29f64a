"""Attendance: who is in which rooms of a host now, and what becomes of a room that nobody is in any more.

A room is kept in memory while somebody is in it. A temporary one ends with the last who leaves (§4.2 of
XEP-0045).

Whoever comes, goes or changes is shown to everybody in the room, which takes a while in a large one. Where
thousands do so at once, they do it one after another, by a time slice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from tidings.base.jid import Jid
from tidings.features.rooms.light_delivery import LightDelivery
from tidings.features.rooms.room import Occupant, Room
from tidings.kernel.clock import Clock
from tidings.kernel.entity import EntityKind
from tidings.kernel.host import Host
from tidings.kernel.session import Session
from tidings.kernel.time_slice import TimeSlice
from tidings.messages.router import Router
from tidings.wire.xmpp.stanza import Stanza


class Attendance:
    """Notes who comes and goes."""

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        self.time_slice = TimeSlice(clock.monotonic)
        """What shows something to everybody in a room waits here for its turn."""
        self._rooms_of: dict[Jid, int] = {}
        self.when_empty: Callable[[Room], object] | None = None
        """Called with a room that the last occupant has left."""
        self.is_closed = False
        """Whether nobody enters any more, since the service goes down."""

    def rooms_of(self, device: Jid) -> int:
        """Count the rooms that a full JID is in."""
        return self._rooms_of.get(device, 0)

    def put(
        self, room: Room, occupant: Occupant, device: Jid, presence: Stanza, session: Session | None
    ) -> None:
        """Let a device be in a room, or say something else of itself there."""
        if room.occupants.at(device) is None:
            self._rooms_of[device] = self._rooms_of.get(device, 0) + 1
        room.occupants.put(occupant, device, presence, session)
        if session is None and self._router.guests is not None:
            self._router.guests.let_in(room.jid, device, room.address_of(occupant.nick))

    def leave(self, room: Room, device: Jid) -> None:
        """Let a device be in a room no more."""
        if room.occupants.leave(device) is not None:
            self._forget(room, device)

    def remove(self, room: Room, occupant: Occupant) -> None:
        """Let an occupant be in a room no more, with all devices."""
        for device in occupant.devices:
            self._forget(room, device)
        room.occupants.remove(occupant)

    def settle(self, room: Room) -> None:
        """See to a room that may be empty now."""
        if not len(room.occupants) and self.when_empty is not None:
            self.when_empty(room)

    def _forget(self, room: Room, device: Jid) -> None:
        if self._router.guests is not None:
            self._router.guests.let_out(room.jid, device)
        left = self._rooms_of.get(device, 1) - 1
        if left:
            self._rooms_of[device] = left
        else:
            self._rooms_of.pop(device, None)


class _HasAttendance(EntityKind, Protocol):
    attendance: Attendance
    light: LightDelivery


def attendance_of(host: Host) -> Attendance:
    """Give the attendance of a host whose entities are rooms."""
    return cast("_HasAttendance", host.kind).attendance


def delivery_of(host: Host) -> LightDelivery:
    """Give what delivers by MUC Light on a host whose entities are rooms."""
    return cast("_HasAttendance", host.kind).light
