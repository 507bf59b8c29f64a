"""Leaving: how a device goes from a room, by itself or since nothing reaches it any more.

The first is XEP-0045 §7.14, the other §11.1 and §18.1.2: an error says that it is a ghost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.attendance import Attendance
from tidings.features.rooms.room import Occupant, Room
from tidings.features.rooms.showing import Showing
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.wire.xmpp.stanza import Stanza, error_of

_LOST: Final = frozenset(
    {
        "gone",
        "item-not-found",
        "recipient-unavailable",
        "redirect",
        "remote-server-not-found",
        "remote-server-timeout",
    }
)


def is_lost(error: Stanza) -> bool:
    """Tell whether an error says that its sender cannot be reached any more."""
    return error_of(error).condition in _LOST


def leave(
    room: Room,
    occupant: Occupant,
    device: Jid,
    attendance: Attendance,
    showing: Showing,
    said: Stanza | None = None,
) -> MaybeAwaitable:
    """Let a device go, and the occupant with the last one.

    `said` is its last presence; None where an error says that it cannot be reached.
    """

    def steps() -> Iterator[MaybeAwaitable]:
        session = occupant.devices[device].session
        attendance.leave(room, device)
        yield showing.left(room, occupant, device, session, said)
        attendance.settle(room)

    return in_turn(steps())
