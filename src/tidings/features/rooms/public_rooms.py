"""Public rooms: those of a host that it lists to everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from tidings.base.jid import Jid
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.storing import CONFIGURATION
from tidings.ports.ledger import Ledger

_PAGE: Final = 500


async def public_rooms(
    ledger: Ledger, domain: str, after: Jid | None = None
) -> AsyncIterator[tuple[Jid, RoomConfiguration]]:
    """Go through the public rooms of a host, in a fixed order, or those behind one. Raises `BackendError`."""
    while True:
        page = await ledger.with_property(domain, CONFIGURATION, after, _PAGE)
        for each in page:
            configuration = msgspec.json.decode(each.value, type=RoomConfiguration)
            if configuration.is_listed:
                yield each.archive, configuration
        if len(page) < _PAGE:
            return
        after = page[-1].archive
