"""Options of retention: what archives keep, and how fast the rest goes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RetentionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What archives keep, and how fast the rest goes."""

    keep_days: Annotated[int, Meta(description="Days that messages are kept; 0 is for ever.", ge=0)] = 0
    keep_messages: Annotated[
        int, Meta(description="Newest messages that each archive keeps; 0 is all of them.", ge=0)
    ] = 0
    keep_octets: Annotated[
        int,
        Meta(
            description="Newest octets of messages that each archive keeps; 0 is all of them. It is brought "
            "down to that in the passes, and may grow beyond it between two.",
            ge=0,
        ),
    ] = 0
    room_keep_days: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Days that messages in rooms are kept; 0 is for ever. Unset: `keep_days`. What one "
            "room keeps, administrators set by `muc set-retention`."
        ),
    ] = None
    room_keep_messages: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Newest messages that the archive of each room keeps; 0 is all of them. Unset: "
            "`keep_messages`."
        ),
    ] = None
    room_keep_octets: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Newest octets of messages that the archive of each room keeps; 0 is all of them. "
            "Unset: `keep_octets`."
        ),
    ] = None
    offline_only_days: Annotated[
        int,
        Meta(
            description="Days that a message with the hint `no-permanent-store` waits for devices that are "
            "away. The longest of all domains counts.",
            ge=1,
        ),
    ] = 30
    device_days: Annotated[
        int,
        Meta(
            description="Days until an unused device is forgotten. The longest of all domains counts.", ge=1
        ),
    ] = 90
    follower_days: Annotated[
        int,
        Meta(
            description="Days that messages which are too old or too many wait for a follower, such as the "
            "text search, that has not read them yet; then it is told of a gap.",
            ge=0,
        ),
    ] = 7
    interval_hours: Annotated[float, Meta(description="Hours from one pass to the next.", gt=0)] = 6.0
    step: Annotated[
        int, Meta(description="The most messages that one step forgets, in one transaction.", ge=1, le=10_000)
    ] = 500
    pause: Annotated[float, Meta(description="Seconds between two steps.", ge=0)] = 0.05
