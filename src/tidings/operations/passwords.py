"""Passwords become keys and are compared with keys, off the event loop: both are slow by design."""

from __future__ import annotations

import asyncio

from tidings.operations.errors import OperationError
from tidings.ports.accounts import ScramKeys
from tidings.wire.xmpp.sasl.keys import make_scram_keys, verify_password
from tidings.wire.xmpp.sasl.prepare import PreparationError


async def keys_for(password: str) -> tuple[ScramKeys, ...]:
    """Make the keys to store for a password; raises `OperationError` for a text that can be none."""
    try:
        return await asyncio.to_thread(make_scram_keys, password)
    except PreparationError as error:
        raise OperationError("invalid", str(error)) from None


async def is_password(password: str, keys: tuple[ScramKeys, ...]) -> bool:
    """Tell whether the keys were made from this password."""
    return await asyncio.to_thread(verify_password, password, keys)
