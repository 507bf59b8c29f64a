"""Room properties: what is kept of a room beside its configuration, its subject and its members.

Each is a property of the archive. Of those that are large, memory has only what everybody is told of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from tidings.features.rooms.hats import Hats
from tidings.wire.xml.element import decode
from tidings.wire.xmpp.payloads.vcard import VCard

VCARD: Final = "vcard"
"""The vCard, as it was written; it has the pictures."""
DATA: Final = "data"
"""What applications have said of it."""
HATS: Final = "hats"
"""The hats that there are, and who has which."""


class KeptData(msgspec.Struct, frozen=True, kw_only=True):
    """What applications have said of a room, as it is kept."""

    text: str = "{}"
    """A JSON object."""
    version: int = 0
    """One more after each change."""

    @classmethod
    def of(cls, kept: Mapping[str, bytes]) -> KeptData:
        """Read it from the properties of a room."""
        return msgspec.json.decode(kept[DATA], type=cls) if DATA in kept else cls()


class RoomProperties(msgspec.Struct, frozen=True, kw_only=True):
    """What memory has of them."""

    pictures: tuple[str, ...] = ()
    """The SHA-1 of each picture of the vCard, in hex."""

    data_version: int = 0
    """Of what applications have said of it; 0 where nothing was said yet."""

    hats: Hats = Hats()

    def with_kept(self, kept: Mapping[str, bytes]) -> RoomProperties:
        """Give what these are after some properties have changed; an empty value removes one."""
        changed: dict[str, object] = {}
        if VCARD in kept:
            changed["pictures"] = hashes_of(VCard(decode(kept[VCARD], ""))) if kept[VCARD] else ()
        if DATA in kept:
            changed["data_version"] = KeptData.of(kept).version
        if HATS in kept:
            changed["hats"] = msgspec.json.decode(kept[HATS], type=Hats) if kept[HATS] else Hats()
        return msgspec.structs.replace(self, **changed)


def hashes_of(vcard: VCard) -> tuple[str, ...]:
    """Give the SHA-1 of each picture (XEP-0486 §4.3, §6.1); raises `StanzaError` for a broken one."""
    return tuple(hashlib.sha1(picture, usedforsecurity=False).hexdigest() for _, picture in vcard.photos)
