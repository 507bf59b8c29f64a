"""Waiting: how many messages the devices of an account have still to be sent, and how many nobody has got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tidings.base.jid import Jid
from tidings.features.devices.progress import RESOURCE, is_meant_for
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import CursorMove
from tidings.ports.ledger.reading import Device, PageQuery

MOST_COUNTED: Final = 10_000
"""So many entries of an archive are looked at; what lies beyond is not counted."""
_PAGE: Final = 500
_PAGE_OCTETS: Final = 1_048_576


class WaitingFor(msgspec.Struct):
    """What waits for one device."""

    device: str
    position: int
    seen: int
    """In microseconds since the epoch."""
    pulls: bool
    """It fetches what it missed by itself, and is sent nothing from before."""
    messages: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """What waits for an account."""

    of_all: int
    """Messages that no device has got: what a new one would be sent."""
    devices: tuple[WaitingFor, ...]
    is_complete: bool
    """Whether all of it was counted."""


async def count_waiting(ledger: Ledger, account: Jid, moves: Mapping[str, CursorMove]) -> Waiting:
    """Count what waits; `moves` of devices are those that the ledger does not know yet."""
    devices = [
        _known(name, device, moves.get(name)) for name, device in (await ledger.devices(account)).items()
    ]
    anybody = WaitingFor("", max((each.position for each in devices), default=0), 0, pulls=False)
    counted = [anybody, *(each for each in devices if not each.pulls)]
    above, looked_at = min(each.position for each in counted), 0
    is_complete = False
    while not is_complete and looked_at < MOST_COUNTED:
        query = PageQuery(above=above, offline_only=True, limit=_PAGE, counted=False, octets=_PAGE_OCTETS)
        page = await ledger.page(account, query)
        for entry in page.entries:
            above = entry.id.position
            if entry.body is None or entry.retracted is not None:
                continue
            for each in counted:
                resource = each.device.removeprefix(RESOURCE) if each.device.startswith(RESOURCE) else ""
                if above > each.position and is_meant_for(entry, resource):
                    each.messages += 1
        looked_at += len(page.entries)
        is_complete = page.is_complete
    devices.sort(key=lambda each: each.seen, reverse=True)
    return Waiting(anybody.messages, tuple(devices), is_complete)


def _known(name: str, device: Device, move: CursorMove | None) -> WaitingFor:
    position, pulls = device.position, device.pulls
    if move is not None:
        position, pulls = max(position, move.position), pulls or move.pulls
    return WaitingFor(name, position, device.seen, pulls)
