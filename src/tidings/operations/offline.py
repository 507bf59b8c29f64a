"""Operations on what waits for devices that are away: how much of the archive each has still to be sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.features.devices import Devices, count_waiting
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.stored_archive import archive_of
from tidings.operations.values import AccountAddress, Moment, exact_moment_of


class OneAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Whose messages."""

    user: Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]


class DeviceWaits(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a device."""

    device: str
    seen: Moment
    fetches: bool
    messages: int


class OfflineCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages wait: `count` of them no device has got, and a new one would be sent them.

    A device that `fetches` reads what it missed in the archive, and is sent nothing from before. Where not
    all was counted, as with tens of thousands, `complete` is false.
    """

    user: AccountAddress
    count: int
    complete: bool
    devices: tuple[DeviceWaits, ...]


@operation("offline", "count", roles=EVERYBODY, subjects=("user",), changes=False)
async def count(context: Context, request: OneAccount) -> OfflineCount:
    """Count the messages that wait for an account, and for each of its devices.

    There is no store of offline messages beside the archive: what waits for a device is what it has not
    acknowledged.
    """
    ledger = await archive_of(context, request.user)
    host = context.host(request.user.domain)
    devices = None if host is None else host.feature(Devices)
    if devices is None:
        found = await count_waiting(ledger, request.user, {})
    else:
        found = await devices.waiting(request.user)
    return OfflineCount(
        user=request.user,
        count=found.of_all,
        complete=found.is_complete,
        devices=tuple(
            DeviceWaits(
                device=each.device,
                seen=exact_moment_of(each.seen),
                fetches=each.pulls,
                messages=each.messages,
            )
            for each in found.devices
        ),
    )


OPERATIONS = (count,)
