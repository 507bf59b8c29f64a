"""Operations on domains: add and remove them while the server runs, let people log in or not.

Domains of the configuration are listed, too, and stay what the configuration says.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.kernel.domains import Source
from tidings.operations.catalogue import ADMINISTRATORS, OPERATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, Domain, Page
from tidings.ports.domains import DomainRecord, DomainState

PAGE = 1000
"""The most domains that one page lists."""


class AddDomain(msgspec.Struct, frozen=True, kw_only=True):
    """The domain to add."""

    domain: Annotated[Domain, Meta(description="Domain to serve from now on.")]
    administrators: Annotated[
        tuple[AccountAddress, ...],
        Meta(description="Accounts that may administer it, beside those of the whole server."),
    ] = ()


class OneDomain(msgspec.Struct, frozen=True, kw_only=True):
    """The domain that is meant."""

    domain: Annotated[Domain, Meta(description="A domain that was added while the server ran.")]


class DomainInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A domain.

    `state` is enabled, disabled or removing; `source` says whether the configuration names it or it is in the
    database.
    """

    domain: Domain
    state: str
    source: str
    administrators: tuple[AccountAddress, ...]
    services: tuple[Domain, ...]


class DomainChange(msgspec.Struct, frozen=True, kw_only=True):
    """The domain that was changed, its state now, and how many of its sessions ended for that."""

    domain: Domain
    state: str
    sessions_ended: int = 0


class ListDomains(msgspec.Struct, frozen=True, kw_only=True):
    """Which domains to list."""

    after: Annotated[
        str | None, Meta(description="Begin behind this domain: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=PAGE, description="The most domains to list.")] = 100


@operation("domain", "add", roles=OPERATORS, changes=True, errors=("conflict",))
async def add(context: Context, request: AddDomain) -> DomainChange:
    """Serve one more domain, with its services, at once and after every start from now on.

    Accounts log in to it as in [server] of the configuration, and its features have the options that hold for
    all domains. If the certificate directory has a certificate for it, clients get that.
    """
    domain = request.domain.domain
    if domain in context.domains:
        raise OperationError("conflict", f"the domain {domain} exists already")
    record = DomainRecord(domain=domain, created=context.clock.now(), admins=request.administrators)
    if context.live is None:
        await context.stores.domains.add(record)
    else:
        await context.live.hosting.add(record)
    return DomainChange(domain=request.domain, state=record.state.value)


@operation("domain", "enable", roles=OPERATORS, changes=True, errors=("not-found", "conflict"))
async def enable(context: Context, request: OneDomain) -> DomainChange:
    """Let people log in to a domain again."""
    return await _set_state(context, request, DomainState.ENABLED)


@operation("domain", "disable", roles=OPERATORS, changes=True, errors=("not-found", "conflict"))
async def disable(context: Context, request: OneDomain) -> DomainChange:
    """Let nobody log in to a domain, and end its sessions; messages for its accounts are kept."""
    return await _set_state(context, request, DomainState.DISABLED)


@operation(
    "domain",
    "remove",
    roles=OPERATORS,
    changes=True,
    errors=("not-found", "conflict"),
    irreversible=True,
)
async def remove(context: Context, request: OneDomain) -> DomainChange:
    """Serve a domain no more, and remove its accounts, archives and services.

    The domain is gone at once; what is stored goes in small steps beside the traffic, also after a restart,
    and the domain can be added again when that is done. Messages under legal hold stay, and the domain with
    them, until they are released. This cannot be undone.
    """
    domain = request.domain.domain
    _must_be_added(context, domain)
    if context.live is not None:
        ended = await context.live.hosting.remove(domain)
    else:
        ended = 0 if await context.stores.domains.set_state(domain, DomainState.REMOVING) else None
    if ended is None:
        raise _unknown(domain)
    return DomainChange(domain=request.domain, state=DomainState.REMOVING.value, sessions_ended=ended)


@operation("domain", "list", roles=ADMINISTRATORS, without_subject="own", changes=False)
async def list_domains(context: Context, request: ListDomains) -> Page[DomainInfo]:
    """List the domains by name, also those that are still being removed."""
    known = {domain: _describe(context, domain) for domain in context.domains_for(None)}
    for record in await context.stores.domains.list():
        if record.state is DomainState.REMOVING and context.may_act_for(Jid(record.domain)):
            known.setdefault(record.domain, _being_removed(record))
    names = [name for name in sorted(known) if request.after is None or name > request.after]
    page = names[: request.limit]
    return Page(items=tuple(known[name] for name in page), next=page[-1] if len(names) > len(page) else None)


async def _set_state(context: Context, request: OneDomain, state: DomainState) -> DomainChange:
    domain = request.domain.domain
    _must_be_added(context, domain)
    if context.live is not None:
        ended = await context.live.hosting.set_state(domain, state)
    else:
        ended = 0 if await context.stores.domains.set_state(domain, state) else None
    if ended is None:
        raise _unknown(domain)
    return DomainChange(domain=request.domain, state=state.value, sessions_ended=ended)


def _must_be_added(context: Context, domain: str) -> None:
    """Refuse to change what the configuration says."""
    served = context.domains.get(domain)
    if served is not None and served.source is Source.CONFIGURATION:
        told = f"{domain} is named in the configuration; change it there and restart the server"
        raise OperationError("conflict", told)
    if context.domains.owner(domain) != domain:
        told = f"{domain} is a service of {context.domains.owner(domain)}, and comes and goes with it"
        raise OperationError("conflict", told)


def _unknown(domain: str) -> OperationError:
    return OperationError("not-found", f"{domain} is no domain that was added, or it is being removed")


def _describe(context: Context, domain: str) -> DomainInfo:
    served = context.domains.get(domain)
    assert served is not None
    return DomainInfo(
        domain=Jid(domain),
        state=served.state.value,
        source=served.source.value,
        administrators=served.admins,
        services=tuple(map(Jid, served.services)),
    )


def _being_removed(record: DomainRecord) -> DomainInfo:
    return DomainInfo(
        domain=Jid(record.domain),
        state=record.state.value,
        source=Source.DATABASE.value,
        administrators=record.admins,
        services=(),
    )


OPERATIONS = (add, enable, disable, remove, list_domains)
