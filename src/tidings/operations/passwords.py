"""Passwords become keys and are compared with keys, off the event loop: both are slow by design."""

from __future__ import annotations

import asyncio

import msgspec

from tidings.operations.errors import OperationError
from tidings.ports.accounts import ScramKeys
from tidings.wire.xmpp.sasl import keys as sasl
from tidings.wire.xmpp.sasl.prepare import PreparationError


async def keys_for(password: str) -> tuple[ScramKeys, ...]:
    """Make the keys to store for a password; raises `OperationError` for a text that can be none."""
    try:
        made = await asyncio.to_thread(sasl.make_scram_keys, password)
    except PreparationError as error:
        raise OperationError("invalid", str(error)) from None
    return tuple(
        ScramKeys(one.mechanism, one.salt, one.iterations, one.stored_key, one.server_key) for one in made
    )


async def is_password(password: str, keys: tuple[ScramKeys, ...]) -> bool:
    """Tell whether the keys were made from this password."""
    stored = [sasl.ScramKeys(**msgspec.structs.asdict(one)) for one in keys]
    return await asyncio.to_thread(sasl.verify_password, password, stored)
