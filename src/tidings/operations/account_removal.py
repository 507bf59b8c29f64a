"""Removing accounts that nobody has used for long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.clock import format_utc
from tidings.base.jid import Jid
from tidings.operations.account_list import summaries
from tidings.operations.administrators import administrators_of
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.values import AccountAddress, Domain, Moment, moment_of
from tidings.ports.accounts import AccountFilter, AccountSummary, NoSuchAccount

_DAY: Final = 86_400
_SECOND: Final = 1_000_000  # in the microseconds of the ledger


class RemoveInactive(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts are to go."""

    idle_days: Annotated[
        int, Meta(ge=1, le=100_000, description="Days for which nobody was connected to the account.")
    ]
    domain: Annotated[Domain | None, Meta(description="Domain to look at; without it, all of them.")] = None
    never_connected: Annotated[
        bool, Meta(description="Also accounts that nobody ever connected to, and that are as old as that.")
    ] = False
    dry_run: Annotated[bool, Meta(description="Remove nothing, and tell what would be removed.")] = False


class InactiveAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account that nobody has used for so long: removed, or kept for this reason."""

    user: AccountAddress
    last_seen: Moment | None
    outcome: Literal["removed", "kept"]
    reason: str = ""


@operation(
    "account",
    "remove-inactive",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    changes=True,
    irreversible=True,
)
async def remove_inactive(context: Context, request: RemoveInactive) -> AsyncIterator[InactiveAccount]:
    """Remove the accounts that nobody has used for so many days, with everything stored for them.

    Administrators are kept, and so are banned accounts, whose names would be free again, accounts that are to
    be removed later, and those whose archive or messages are under legal hold. Accounts that nobody ever
    connected to are left alone unless that is asked for: those of an import are as old as its file says. Each
    account goes as by `account remove`; what is interrupted goes on when it is run again. This cannot be
    undone.
    """
    before = context.clock.now() - request.idle_days * _DAY
    admins = await administrators_of(context)
    for domain in sorted(context.domains_for(request.domain)):
        async for each in summaries(context, domain, AccountFilter(unseen_since=before)):
            if each.last_activity is None and not request.never_connected:
                continue
            seen = await _last_seen(context, each)
            if seen is not None and seen >= before:
                continue
            reason = await _reason_to_keep(context, each, admins)
            if not reason and not request.dry_run and not await _remove(context, each.jid):
                continue
            yield _told(each, seen, reason)


async def _last_seen(context: Context, account: AccountSummary) -> float | None:
    """Tell when an account was last there, also where the server was killed while it was connected."""
    ledger = context.stores.ledger
    devices = {} if ledger is None else await ledger.devices(account.jid)
    times = [device.seen / _SECOND for device in devices.values()]
    if account.last_activity is not None:
        times.append(account.last_activity)
    return max(times, default=None)


async def _reason_to_keep(context: Context, account: AccountSummary, admins: frozenset[Jid]) -> str:
    if account.jid in admins:
        return "it is an administrator"
    if account.ban is not None:
        return "it is banned"
    if account.removal is not None:
        return f"it is to be removed at {format_utc(int(account.removal.due))}"
    ledger = context.stores.ledger
    if ledger is not None and await ledger.is_held(account.jid):
        return "messages of it are under legal hold"
    return ""


async def _remove(context: Context, jid: Jid) -> bool:
    """Remove an account; tell whether it was still there, and nobody has come meanwhile."""
    if context.is_connected(jid):
        return False
    try:
        await context.accounts.remove(jid)
    except NoSuchAccount:
        return False
    return True


def _told(account: AccountSummary, seen: float | None, reason: str) -> InactiveAccount:
    last: datetime | None = None if seen is None else moment_of(seen)
    outcome: Literal["removed", "kept"] = "kept" if reason else "removed"
    return InactiveAccount(user=account.jid, last_seen=last, outcome=outcome, reason=reason)


OPERATIONS = (remove_inactive,)
