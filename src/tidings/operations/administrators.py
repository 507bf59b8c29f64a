"""Operations on administrators: who may administer which domain, why, and letting others do it.

Only the operator promotes and demotes. An administrator of a domain could do all in it that one whom he
promoted could; but one whose password was stolen would leave others behind him when it is changed.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import structlog
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.kernel.domains import Source
from tidings.operations.catalogue import ADMINISTRATORS, OPERATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, Domain, Moment, Page, moment_of
from tidings.ports.accounts import NoSuchAccount, Promotion

log = structlog.get_logger("tidings.operations")

Why = Literal["configuration", "added with the domain", "promoted", "promoted for every domain"]


class Promote(msgspec.Struct, frozen=True, kw_only=True):
    """Who, and for which domain."""

    user: Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]
    domain: Annotated[
        Domain | None, Meta(description="Domain to administer; without it, that of the account.")
    ] = None
    every_domain: Annotated[bool, Meta(description="Every domain of the server, also those to come.")] = False


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """Whose rights were changed; without a `domain`, those for every domain."""

    user: AccountAddress
    domain: Domain | None


class WhichDomain(msgspec.Struct, frozen=True, kw_only=True):
    """Whose administrators."""

    domain: Annotated[Domain | None, Meta(description="Domain to look at; without it, all of them.")] = None


class AdministratorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who may administer a domain with its services, and why.

    `since` and `by` tell when and by whose word somebody was promoted.
    """

    domain: Domain
    user: AccountAddress
    why: Why
    since: Moment | None = None
    by: str = ""


@operation("account", "promote", roles=OPERATORS, changes=True, errors=("not-found",))
async def promote(context: Context, request: Promote) -> Promoted:
    """Let an account administer a domain and its services, at once and after every start from now on.

    It holds beside what the configuration says, until it is taken back or the account is removed.
    """
    domain = _domain(context, request)
    promotion = Promotion(jid=request.user, domain=domain, since=context.clock.now(), by=context.caller.name)
    if not await context.stores.accounts.promote(promotion):
        raise NoSuchAccount(request.user)
    await _changed("account_promoted", context, request.user, domain)
    return Promoted(user=request.user, domain=Jid(domain) if domain else None)


@operation("account", "demote", roles=OPERATORS, changes=True, errors=("not-found", "conflict"))
async def demote(context: Context, request: Promote) -> Promoted:
    """Take back that an account was promoted; what it may do ends at once, and its sessions go on.

    Whom the configuration names stays an administrator until that is changed.
    """
    domain = _domain(context, request)
    if not await context.stores.accounts.demote(request.user, domain):
        raise await _not_promoted(context, request.user, domain)
    await _changed("account_demoted", context, request.user, domain)
    return Promoted(user=request.user, domain=Jid(domain) if domain else None)


@operation(
    "account", "admins", roles=ADMINISTRATORS, subjects=("domain",), without_subject="own", changes=False
)
async def admins(context: Context, request: WhichDomain) -> Page[AdministratorInfo]:
    """Tell who may administer which domain, and why: by the configuration, or since somebody promoted him."""
    found = []
    for domain in sorted(context.domains_for(request.domain)):
        found += await _of_domain(context, context.domains.owner(domain))
    return Page(items=tuple(found))


async def administrators_of(context: Context) -> frozenset[Jid]:
    """Give everybody who may administer a domain of this server."""
    served = (context.domains.get(domain) for domain in context.domains)
    named = {jid for each in served if each is not None for jid in each.admins}
    return frozenset(named.union(each.jid for each in await context.stores.accounts.promotions()))


async def _of_domain(context: Context, domain: str) -> list[AdministratorInfo]:
    served, record = context.domains.get(domain), await context.stores.domains.get(domain)
    assert served is not None
    added = () if record is None or served.source is Source.CONFIGURATION else record.admins
    found = [
        AdministratorInfo(
            domain=Jid(domain),
            user=jid,
            why="added with the domain" if jid in added else "configuration",
        )
        for jid in served.admins
    ]
    found += [
        AdministratorInfo(
            domain=Jid(domain),
            user=each.jid,
            why="promoted" if each.domain else "promoted for every domain",
            since=moment_of(each.since),
            by=each.by,
        )
        for each in await context.stores.accounts.promotions()
        if each.domain in {"", domain}
    ]
    return sorted(found, key=lambda each: each.user.text)


def _domain(context: Context, request: Promote) -> str:
    """Give the domain that is meant, "" for all; raises `OperationError` for one that nobody serves."""
    context.require(request.user)
    if request.every_domain:
        if request.domain is not None:
            raise OperationError("invalid", "give `domain` or `every_domain`, not both")
        return ""
    domain = request.domain or Jid(request.user.domain)
    context.require(domain)
    return context.domains.owner(domain.domain)


async def _not_promoted(context: Context, jid: Jid, domain: str) -> OperationError:
    """Say why there is nothing to take back."""
    where = domain or "every domain"
    for each in await _of_domain(context, domain or context.domains.owner(jid.domain)):
        if each.user != jid:
            continue
        if each.why == "configuration":
            told = f"{jid} administers {each.domain} by the configuration; change it there"
            return OperationError("conflict", told)
        if each.why == "added with the domain":
            told = f"{jid} was named when {each.domain} was added, and stays its administrator"
            return OperationError("conflict", told)
    return OperationError("not-found", f"{jid} was not promoted for {where}")


async def _changed(event: str, context: Context, jid: Jid, domain: str) -> None:
    if context.live is not None:
        await context.live.administrators.changed(domain)
        log.info(event, account=jid.text, domain=domain or "every domain", by=context.caller.name)


OPERATIONS = (promote, demote, admins)
