"""Bounds: how much an archive keeps, by age, number and size.

What holds for one room alone is a property of its archive, and goes before what is configured, in either
direction. Administrators of the domain set it, never an owner of the room: how long something is kept is a
duty of who runs the service, towards the people whose words they are. An owner who could keep less would
destroy what others have said, or evidence; one who could keep more would keep what was promised to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tidings.features.retention.options import RetentionOptions

RETENTION: Final = "retention"
"""The property of an archive that has bounds of its own."""


class OwnBounds(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What holds for one room alone; None is what holds for the others, and 0 is no bound."""

    keep_days: int | None = None
    keep_messages: int | None = None
    keep_octets: int | None = None


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive keeps; 0 is no bound."""

    keep_days: int
    keep_messages: int
    keep_octets: int


def bounds_of_account(options: RetentionOptions) -> Bounds:
    """Give what holds for accounts."""
    return Bounds(
        keep_days=options.keep_days, keep_messages=options.keep_messages, keep_octets=options.keep_octets
    )


def bounds_of_room(options: RetentionOptions, own: OwnBounds) -> Bounds:
    """Give what holds for a room: its own, else what is configured for rooms, else that for accounts."""
    configured = OwnBounds(
        keep_days=options.room_keep_days,
        keep_messages=options.room_keep_messages,
        keep_octets=options.room_keep_octets,
    )
    return _with(_with(bounds_of_account(options), configured), own)


def _with(bounds: Bounds, others: OwnBounds) -> Bounds:
    found = {name: value for name, value in msgspec.structs.asdict(others).items() if value is not None}
    return msgspec.structs.replace(bounds, **found)


def own_bounds(properties: Mapping[str, bytes]) -> OwnBounds:
    """Read what holds for one room alone from the properties of its archive."""
    kept = properties.get(RETENTION)
    return OwnBounds() if kept is None else msgspec.json.decode(kept, type=OwnBounds)


def property_of(own: OwnBounds) -> bytes:
    """Give the property that keeps it; nothing, by which it is removed, where nothing is of its own."""
    return b"" if own == OwnBounds() else msgspec.json.encode(own)
