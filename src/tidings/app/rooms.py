"""Rooms as services of every domain: which features make them, through either door."""

from __future__ import annotations

from typing import Final

from tidings.app.hosts import ServiceKind
from tidings.features.archive import Archive
from tidings.features.disco import ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.features.retention import Retention
from tidings.features.rooms import (
    Entrance,
    JoinLinks,
    NickRegistration,
    RoomAdministrators,
    RoomCommands,
    RoomDataFeature,
    RoomDiscovery,
    RoomHats,
    RoomKind,
    RoomLimits,
    RoomModeration,
    RoomOwners,
    RoomReceipts,
    RoomSearch,
    RoomVCards,
)
from tidings.features.rooms.among_nodes import RoomNodes
from tidings.features.rooms.departure import RoomDepartures
from tidings.features.rooms.light.blocking import LightBlocklists
from tidings.features.rooms.light.configuring import LightConfiguring
from tidings.features.rooms.light.discovery import LightDiscovery
from tidings.features.rooms.light.light_kind import LightKind
from tidings.features.rooms.light.making import LightRooms
from tidings.features.rooms.light.membership import LightMembership
from tidings.features.rooms.light.mirror import LightMirror
from tidings.features.rooms.light.telling import LightTelling
from tidings.features.rooms.shutdown import RoomShutdown
from tidings.kernel.clock import Clock
from tidings.messages.router import Router
from tidings.ports.stores import Stores

ROOMS: Final = ServiceKind(
    prefix="conference",
    make_kind=RoomKind,
    features=(
        Entrance,
        RoomAdministrators,
        RoomOwners,
        NickRegistration,
        RoomDiscovery,
        RoomLimits,
        RoomModeration,
        RoomCommands,
        RoomHats,
        RoomVCards,
        RoomDataFeature,
        RoomSearch,
        JoinLinks,
        RoomDepartures,
        RoomReceipts,
        RoomShutdown,
        LightTelling,
        LightMirror,
        RoomNodes,
        ServiceDiscovery,
        XmppPing,
        Archive,
        Retention,
    ),
)

_LIGHT_PREFIX: Final = "muclight"


def _light_kind(domain: str, router: Router, stores: Stores, clock: Clock) -> LightKind:
    owner = domain.removeprefix(f"{_LIGHT_PREFIX}.")
    return LightKind(domain, ROOMS.domain_for(owner), router, stores, clock)


MUC_LIGHT: Final = ServiceKind(
    prefix=_LIGHT_PREFIX,
    make_kind=_light_kind,
    features=(
        LightRooms,
        LightMembership,
        LightConfiguring,
        LightBlocklists,
        LightDiscovery,
        RoomReceipts,
        XmppPing,
        Archive,
    ),
)
"""The second door; its rooms are those of `ROOMS`, which must be there, too."""
