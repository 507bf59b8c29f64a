"""Slow mode: who is no moderator waits between two messages, where the room wants it (XEP-0500 0.1.1)."""

from __future__ import annotations

import math
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Role
from tidings.features.rooms.room import Occupant, Room
from tidings.kernel.slots import Slot
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.retry_after import RetryAfter

_SPOKE: Final[Slot[dict[Jid, float]]] = Slot("rooms.spoke", factory=dict)
"""When each person has spoken last, by bare JID: to enter anew shortens no wait."""
_MOST_REMEMBERED: Final = 10_000


def check(room: Room, occupant: Occupant, now: float) -> None:
    """Note that an occupant speaks now, on the monotonic clock, or raise `policy-violation` (§4.2)."""
    seconds = room.configuration.slow_mode_seconds
    if not seconds or occupant.role is Role.MODERATOR:
        return
    spoke = room[_SPOKE]
    left = spoke.get(occupant.jid, now - seconds) + seconds - now
    if left > 0:
        raise StanzaError(
            "policy-violation",
            f"this room is in slow mode, one message in {seconds} seconds: wait {math.ceil(left)} more",
            kind="wait",
            payload=RetryAfter(math.ceil(left)).encode().to_bytes(ns.CLIENT),
        )
    if len(spoke) >= _MOST_REMEMBERED:
        for person in [each for each, time in spoke.items() if time + seconds <= now]:
            del spoke[person]
    spoke[occupant.jid] = now
