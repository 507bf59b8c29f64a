"""Operations that list accounts, with what is known of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.operations.administrators import administrators_of
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.former_domains import must_be_known
from tidings.operations.values import (
    AccountAddress,
    Domain,
    Moment,
    Page,
    Time,
    moment_of,
    read_address,
    read_time,
)
from tidings.ports.accounts import EVERY_ACCOUNT, AccountFilter, AccountSummary

PAGE: Final = 1000
"""The most accounts that one answer lists."""

_DAY: Final = 86_400

OneDomain = Annotated[Domain | None, Meta(description="Domain to look at; without it, all of them.")]


class ListAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts to list: those for which all of this holds."""

    domain: OneDomain = None
    search: Annotated[str, Meta(max_length=1023, description="Part of the names, in capitals or not.")] = ""
    banned: Annotated[bool | None, Meta(description="Banned accounts alone, or those that are not.")] = None
    leaving: Annotated[
        bool | None, Meta(description="Accounts that are to be removed alone, or those that stay.")
    ] = None
    created_before: Annotated[
        Time | None, Meta(description="Accounts made before this time, such as 2026-01-31.")
    ] = None
    not_seen_since: Annotated[
        Time | None, Meta(description="Accounts that are not connected and were not since this time.")
    ] = None
    idle_days: Annotated[
        Annotated[int, Meta(ge=0, le=100_000)] | None,
        Meta(description="Accounts that have not been connected for so many days."),
    ] = None
    after: Annotated[
        str | None, Meta(description="Begin behind this account: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=PAGE, description="The most accounts to list.")] = 100


class AccountInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One account.

    `sessions` is how many it has now, null where no server runs; `last_activity` is when the last one ended.
    `entries` and `octets` are those of its archive, as `archive size` tells them; `password` says whether
    it has one, and `removal` when it is to be removed.
    """

    user: AccountAddress
    created: Moment
    last_activity: Moment | None
    sessions: int | None
    administrator: bool
    banned: bool
    ban_reason: str | None
    removal: Moment | None
    password: bool
    entries: int
    octets: int


@operation(
    "account",
    "list",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    on_former_domains=True,
    changes=False,
)
async def list_accounts(context: Context, request: ListAccounts) -> Page[AccountInfo]:
    """List accounts by domain and then by name, a page at a time.

    An account that was never connected counts as last seen when it was made. What is counted of archives has
    the tombstones in it. Those of a domain that is served no more are listed where it is named.
    """
    await must_be_known(context, request.domain)
    after = None if request.after is None else read_address(request.after)
    chosen = _chosen(context, request)
    admins = await administrators_of(context)
    found: list[AccountInfo] = []
    for domain in sorted(context.domains_for(request.domain)):
        if after is not None and domain < after.domain:
            continue
        start = after if after is not None and after.domain == domain else None
        async for each in summaries(context, domain, chosen, after=start, page=request.limit + 1):
            if len(found) == request.limit:
                return Page(items=tuple(found), next=found[-1].user.text)
            found.append(await _describe(context, each, admins))
    return Page(items=tuple(found))


async def summaries(
    context: Context,
    domain: str,
    chosen: AccountFilter = EVERY_ACCOUNT,
    *,
    after: Jid | None = None,
    page: int = PAGE,
) -> AsyncIterator[AccountSummary]:
    """Go through the accounts of a domain that are chosen; who is connected now has been seen now."""
    store = context.stores.accounts
    while rows := await store.summaries(domain, chosen=chosen, after=after, limit=page):
        for each in rows:
            if chosen.unseen_since is None or not context.is_connected(each.jid):
                yield each
        if len(rows) < page:
            return
        after = rows[-1].jid


def _chosen(context: Context, request: ListAccounts) -> AccountFilter:
    """Read which accounts are meant; raises `OperationError`."""
    unseen = read_time(request.not_seen_since, "not_seen_since")
    if request.idle_days is not None:
        idle = context.clock.now() - request.idle_days * _DAY
        unseen = idle if unseen is None else min(unseen, idle)
    return AccountFilter(
        banned=request.banned,
        is_leaving=request.leaving,
        created_before=read_time(request.created_before, "created_before"),
        unseen_since=unseen,
        part=request.search.strip().lower(),  # as names are kept
    )


async def _describe(context: Context, summary: AccountSummary, admins: frozenset[Jid]) -> AccountInfo:
    jid, ban, last, removal = summary.jid, summary.ban, summary.last_activity, summary.removal
    return AccountInfo(
        user=jid,
        created=moment_of(summary.created),
        last_activity=None if last is None else moment_of(last),
        sessions=None if context.live is None else await context.sessions_now(jid),
        administrator=jid in admins,
        banned=ban is not None,
        ban_reason=(ban.reason or None) if ban else None,
        removal=None if removal is None else moment_of(removal.due),
        password=summary.has_keys,
        entries=summary.entries,
        octets=summary.octets,
    )


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts are meant."""

    domain: OneDomain = None


@operation(
    "account",
    "export",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    on_former_domains=True,
    changes=False,
)
async def export(context: Context, request: Whose) -> AsyncIterator[AccountInfo]:
    """Give every account with what is known of it, one after another.

    The list can be of any length. Accounts that are made or removed meanwhile may be in it or not.
    """
    await must_be_known(context, request.domain)
    admins = await administrators_of(context)
    for domain in sorted(context.domains_for(request.domain)):
        async for each in summaries(context, domain):
            yield await _describe(context, each, admins)


OPERATIONS = (list_accounts, export)
