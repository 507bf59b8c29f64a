"""Rooms as a service of every domain: which features make it."""

from __future__ import annotations

from typing import Final

from tidings.app.hosts import ServiceKind
from tidings.features.disco import ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.features.rooms import (
    Entrance,
    NickRegistration,
    RoomAdministrators,
    RoomDiscovery,
    RoomKind,
    RoomModeration,
    RoomOwners,
)

ROOMS: Final = ServiceKind(
    prefix="conference",
    make_kind=RoomKind,
    features=(
        Entrance,
        RoomAdministrators,
        RoomOwners,
        NickRegistration,
        RoomDiscovery,
        RoomModeration,
        ServiceDiscovery,
        XmppPing,
    ),
)
