"""Password check: compares a password with an account's keys, and adds the SCRAM keys that it lacks.

Accounts that were taken over from another server often have keys of SCRAM-SHA-1 alone, and keys of another
hash can be made of the password only. So they are made when somebody has shown the right one.

Invariants:
- nothing is added for a wrong password, or to an account that may not log in or has no keys;
- keys that are there stay as they are; the new ones have as many iterations as these at least;
- a store that cannot be written keeps nobody out: the keys are made another time.
"""

from __future__ import annotations

import asyncio

import structlog

from tidings.base.errors import BackendError
from tidings.ports.accounts import AccountRecord, AccountStore
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS, HASHES, make_scram_keys, verify_password

log = structlog.get_logger("tidings.accounts")


async def check_password(
    store: AccountStore,
    record: AccountRecord | None,
    password: str,
    iterations: int = DEFAULT_ITERATIONS,
) -> bool:
    """Tell whether the password is that of an account; an unknown account costs as much as a known one."""
    keys = None if record is None else record.keys
    is_right = await asyncio.to_thread(verify_password, password, keys, iterations)
    if is_right and record is not None and record.disabled is None:
        await _complete(store, record, password, iterations)
    return is_right


async def _complete(store: AccountStore, record: AccountRecord, password: str, iterations: int) -> None:
    """Give the account the keys of every mechanism that it has none for."""
    missing = [mechanism for mechanism in HASHES if record.keys_for(mechanism) is None]
    if not missing:
        return
    rounds = max(iterations, *(keys.iterations for keys in record.keys))
    made = await asyncio.to_thread(make_scram_keys, password, missing, rounds)
    try:
        is_added = await store.add_keys(record.jid, made, beside=record.keys)
    except BackendError as error:
        log.warning("scram_keys_not_added", account=record.jid.text, error=str(error))
        return
    if is_added:
        log.info("scram_keys_added", account=record.jid.text, mechanisms=missing)
