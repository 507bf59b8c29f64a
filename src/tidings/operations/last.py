"""Operations on last activity: when somebody was there last, and what he said then (XEP-0012)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.values import AccountAddress, Moment, moment_of
from tidings.ports.accounts import NoSuchAccount


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whose last activity."""

    user: Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]


class LastSeen(msgspec.Struct, frozen=True, kw_only=True):
    """When an account was there last.

    `sessions` is how many it has now, null where no server runs; `last_activity` is when the last one ended,
    and `status` what its presence said then.
    """

    user: AccountAddress
    sessions: int | None
    last_activity: Moment | None
    status: str


@operation("last", "get", roles=EVERYBODY, subjects=("user",), changes=False)
async def get(context: Context, request: OneUser) -> LastSeen:
    """Tell when an account was there last: now, or when its last session ended."""
    record = await context.stores.accounts.get(request.user)
    if record is None:
        raise NoSuchAccount(request.user)
    return LastSeen(
        user=request.user,
        sessions=None if context.live is None else await context.sessions_now(request.user),
        last_activity=None if record.last_activity is None else moment_of(record.last_activity),
        status=record.last_status,
    )


OPERATIONS = (get,)
