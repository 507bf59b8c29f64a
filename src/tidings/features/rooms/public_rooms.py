"""Public rooms: those of a host that it lists to everybody, among all that it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from tidings.base.jid import Jid
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.storing import CONFIGURATION
from tidings.ports.ledger import Ledger

_PAGE: Final = 500


async def every_room(
    ledger: Ledger, domain: str, after: Jid | None = None
) -> AsyncIterator[tuple[Jid, RoomConfiguration]]:
    """Go through the rooms of a host, in a fixed order, or those behind one. Raises `BackendError`."""
    while page := await ledger.with_property(domain, CONFIGURATION, after, _PAGE):
        for each in page:
            yield each.archive, msgspec.json.decode(each.value, type=RoomConfiguration)
        if len(page) < _PAGE:
            return
        after = page[-1].archive


async def public_rooms(
    ledger: Ledger, domain: str, after: Jid | None = None
) -> AsyncIterator[tuple[Jid, RoomConfiguration]]:
    """Go through those that are public, as `every_room` does through all."""
    async for jid, configuration in every_room(ledger, domain, after):
        if configuration.is_listed:
            yield jid, configuration
