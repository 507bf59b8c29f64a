"""Rooms: many people write to one archive, by Multi-User Chat (XEP-0045)."""

from tidings.features.rooms.administration import RoomAdministrators
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.hat_commands import RoomHats
from tidings.features.rooms.join_links import JoinLinks
from tidings.features.rooms.moderation import RoomModeration
from tidings.features.rooms.nick_registration import NickRegistration
from tidings.features.rooms.ownership import RoomOwners
from tidings.features.rooms.room_commands import RoomCommands
from tidings.features.rooms.room_data import RoomDataFeature
from tidings.features.rooms.room_discovery import RoomDiscovery
from tidings.features.rooms.room_kind import RoomKind
from tidings.features.rooms.room_limits import RoomLimits
from tidings.features.rooms.room_receipts import RoomReceipts
from tidings.features.rooms.room_search import RoomSearch
from tidings.features.rooms.room_vcard import RoomVCards

__all__ = [
    "Entrance",
    "JoinLinks",
    "NickRegistration",
    "RoomAdministrators",
    "RoomCommands",
    "RoomDataFeature",
    "RoomDiscovery",
    "RoomHats",
    "RoomKind",
    "RoomLimits",
    "RoomModeration",
    "RoomOwners",
    "RoomReceipts",
    "RoomSearch",
    "RoomVCards",
]
