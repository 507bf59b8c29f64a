"""Operations on invitations: tokens by which people register, become somebody's contacts, or both."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.jid import Jid, JidError
from tidings.kernel.former_names import NameRests
from tidings.kernel.invitations import Invitation, Invitations, invitation_uri, landing_path
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, Domain, Moment, Page, moment_of
from tidings.ports.accounts import NoSuchAccount

log = structlog.get_logger("tidings.operations")

MOST: Final = 1_000
"""The most invitations that one page lists."""
_HOUR: Final = 3_600.0

OfDomain = Annotated[Domain, Meta(description="Domain that people are invited to.")]
Id = Annotated[
    str, Meta(max_length=64, description="The invitation, as `list` shows it.", extra={"audited": True})
]


class CreateInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """What the invitation is for."""

    domain: Annotated[
        Domain | None,
        Meta(description="Domain that people are invited to; without it, that of the user who invites."),
    ] = None
    name: Annotated[
        Annotated[str, Meta(max_length=1023)] | None,
        Meta(description="Name that the new account must have; it is kept for it. Without it, any name."),
    ] = None
    user: Annotated[
        AccountAddress | None,
        Meta(description="Account of this domain that invites: both become each other's contacts."),
    ] = None
    register: Annotated[
        bool,
        Meta(description="Let whoever is invited make an account. Without it, name the user who invites."),
    ] = True
    hours: Annotated[int, Meta(ge=1, le=8_784, description="Hours for which it holds.")] = 168
    uses: Annotated[int, Meta(ge=1, le=10_000, description="How often it can be used.")] = 1


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The invitation, to be handed on; its token is nowhere kept, and cannot be shown again.

    `uri` opens it in a client. `landing_url` is a page about it, where `public_url` in [http] says how this
    server is reached, and empty otherwise.
    """

    id: str
    uri: str
    landing_url: str
    expires: Moment
    uses: int


class InvitationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation that can be used; its token is not known any more."""

    domain: Domain
    id: str
    name: str
    contact: str
    register: bool
    created: Moment
    expires: Moment
    uses: int
    used: int
    by: str


class ListInvitations(msgspec.Struct, frozen=True, kw_only=True):
    """Which invitations to list."""

    domain: Annotated[
        Domain | None, Meta(description="Domain that people are invited to; without it, all of them.")
    ] = None
    after: Annotated[
        str | None, Meta(description="Begin behind this one: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="The most invitations to look at.")] = 100


class OneInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """The invitation that is meant."""

    domain: OfDomain
    id: Id


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """The invitation that nobody can use any more."""

    domain: Domain
    id: str


@operation(
    "invitation",
    "create",
    roles=ADMINISTRATORS,
    subjects=("domain", "user"),
    changes=True,
    errors=("conflict",),
)
async def create(context: Context, request: CreateInvitation) -> Created:
    """Invite somebody to make an account, to become a contact, or both.

    Whoever has the link can use it: hand it on as you would a password. It works while registration is
    closed, unless `invitations` in [features.registration] is off.
    """
    contact = request.user
    domain = request.domain if contact is None or request.domain is not None else Jid(contact.domain)
    if domain is None:
        raise OperationError("invalid", "name the domain that people are invited to, or a user who invites")
    if contact is None and not request.register:
        raise OperationError("invalid", "an invitation without a user who invites must let people register")
    if request.name is not None and not (request.register and request.uses == 1):
        raise OperationError("invalid", "a name is for one who may register")
    invitation, token = await make(
        context,
        domain,
        name="" if request.name is None else read_name(request.name, domain),
        contact=contact,
        registers=request.register,
        hours=request.hours,
        uses=request.uses,
    )
    return Created(
        id=invitation.id,
        uri=invitation_uri(domain, invitation, token, to_contact=not invitation.name),
        landing_url=landing_url(context, domain, token),
        expires=moment_of(invitation.expires),
        uses=invitation.uses,
    )


@operation(
    "invitation",
    "list",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    changes=False,
)
async def list_invitations(context: Context, request: ListInvitations) -> Page[InvitationInfo]:
    """List the invitations that can be used, by domain, a page at a time.

    Without a domain they are those of every domain that the caller administers. A page may have fewer than
    were asked for.
    """
    first, behind = _read_after(request.after)
    found: list[InvitationInfo] = []
    for domain in sorted(context.domains_for(request.domain)):
        if domain < first:
            continue
        jid = Jid(domain)
        room, after = request.limit - len(found), behind if domain == first else ""
        invitations, rest = await _invitations(context).list(jid, after=after, limit=room)
        found += [_describe(jid, each) for each in invitations]
        if rest:
            return Page(items=tuple(found), next=f"{domain}/{rest}")
    return Page(items=tuple(found))


@operation("invitation", "revoke", roles=ADMINISTRATORS, subjects=("domain",), changes=True)
async def revoke(context: Context, request: OneInvitation) -> Revoked:
    """Make an invitation worthless, also for those who have its link."""
    if not await _invitations(context).revoke(request.domain, request.id):
        raise OperationError("not-found", f"there is no invitation {request.id}")
    return Revoked(domain=request.domain, id=request.id)


async def make(
    context: Context,
    domain: Jid,
    *,
    name: str = "",
    contact: Jid | None = None,
    registers: bool,
    hours: int,
    uses: int = 1,
) -> tuple[Invitation, str]:
    """Make an invitation in the name of the caller; give it and its token.

    Raises `OperationError`, and StanzaError where the name or the contact cannot be.
    """
    if contact is not None:
        if contact.domain != domain.domain:
            raise OperationError("invalid", f"{contact} is not an account of {domain}")
        if not await context.stores.accounts.exists(contact):
            raise NoSuchAccount(contact)
    context.accounts.check_address(Jid.of(name or "somebody", domain.domain))
    if name:
        await _check_name(context, Jid.of(name, domain.domain))
    by = context.caller.name
    invitation, token = await _invitations(context).create(
        domain,
        seconds=hours * _HOUR,
        uses=uses,
        name=name,
        contact=contact,
        registers=registers,
        by=by,
    )
    if context.live is not None:
        log.info("invitation_created", domain=domain.domain, invitation=invitation.id, by=by)
    return invitation, token


async def _check_name(context: Context, jid: Jid) -> None:
    try:
        await context.names.check(jid)
    except NameRests as error:
        raise OperationError("conflict", error.told) from error


async def count_of(context: Context, inviter: Jid) -> int:
    """Tell how many open invitations a user has made."""
    return await _invitations(context).count_of(inviter)


def landing_url(context: Context, domain: Jid, token: str) -> str:
    """Give the address of the page of an invitation; nothing where `public_url` is not set."""
    base = context.public_url().rstrip("/")
    return base + landing_path(domain, token) if base else ""


def _invitations(context: Context) -> Invitations:
    return Invitations(context.stores.documents, context.stores.accounts, context.clock)


def read_name(name: str, domain: Jid) -> str:
    """Give the name that an account of a domain would have; raises `OperationError`."""
    try:
        local = Jid.of(name, domain.domain).local
    except JidError as error:
        raise OperationError("invalid", f"{name!r} is no name: {error}") from None
    if not local:
        raise OperationError("invalid", "the name is empty")
    return local


def _read_after(after: str | None) -> tuple[str, str]:
    """Give the domain at which a page begins, and the invitation of it behind which; from `DOMAIN/ID`."""
    if after is None:
        return "", ""
    domain, slash, id_ = after.partition("/")
    if not slash:
        raise OperationError("invalid", "`after` is wrong: write the `next` of the page before")
    return domain, id_


def _describe(domain: Jid, invitation: Invitation) -> InvitationInfo:
    return InvitationInfo(
        domain=domain,
        id=invitation.id,
        name=invitation.name,
        contact=invitation.contact,
        register=invitation.registers,
        created=moment_of(invitation.created),
        expires=moment_of(invitation.expires),
        uses=invitation.uses,
        used=invitation.used,
        by=invitation.by,
    )


OPERATIONS = (create, list_invitations, revoke)
