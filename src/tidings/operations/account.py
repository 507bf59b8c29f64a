"""Operations on accounts: make, remove, look up, passwords, bans."""

from __future__ import annotations

from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.kernel.accounts import AddressHeld
from tidings.operations.catalogue import ADMINISTRATORS, EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.former_domains import must_be_known
from tidings.operations.values import (
    AccountAddress,
    Domain,
    Moment,
    Reason,
    moment_of,
)
from tidings.ports.accounts import AccountRecord

log = structlog.get_logger("tidings.operations")

User = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]
Password = Annotated[
    str, Meta(description="Password of 1 to 1023 octets; kept as SCRAM keys only.", extra={"secret": True})
]
OneDomain = Annotated[Domain | None, Meta(description="Domain to look at; without it, all of them.")]


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """The account to make."""

    user: User
    password: Password


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    """The account that is meant."""

    user: User


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The account that was changed."""

    user: AccountAddress


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The account that was changed, and how many of its sessions ended for that."""

    user: AccountAddress
    sessions_ended: int = 0


@operation(
    "account", "register", roles=ADMINISTRATORS, subjects=("user",), changes=True, errors=("conflict",)
)
async def register(context: Context, request: Register) -> Changed:
    """Make an account."""
    try:
        await context.accounts.create(request.user, request.password)
    except AddressHeld as error:
        told = f"messages of an earlier owner of {error.jid} are under legal hold; release them first"
        raise OperationError("conflict", told) from error
    return Changed(user=request.user)


@operation(
    "account",
    "remove",
    roles=ADMINISTRATORS,
    subjects=("user",),
    on_former_domains=True,
    changes=True,
    irreversible=True,
)
async def remove(context: Context, request: OneUser) -> Ended:
    """Remove an account and everything stored for it, and end its sessions.

    This cannot be undone.
    """
    await must_be_known(context, request.user)
    if request.user.domain not in context.domains:
        await context.accounts.forget_archive(request.user)  # nobody else would, and this can be repeated
    return Ended(user=request.user, sessions_ended=await context.accounts.remove(request.user))


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts are meant."""

    domain: OneDomain = None


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A number of accounts."""

    count: int


@operation(
    "account",
    "count",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    on_former_domains=True,
    changes=False,
)
async def count(context: Context, request: Count) -> Counted:
    """Count accounts, banned ones included."""
    await must_be_known(context, request.domain)
    domains = context.domains_for(request.domain)
    return Counted(count=sum([await context.stores.accounts.count(domain) for domain in domains]))


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an account."""

    user: AccountAddress
    exists: bool
    created: Moment | None = None
    last_activity: Moment | None = None
    banned: bool = False
    ban_reason: str | None = None


@operation(
    "account",
    "check",
    roles=EVERYBODY,
    subjects=("user",),
    on_former_domains=True,
    changes=False,
    answer="exists",
)
async def check(context: Context, request: OneUser) -> Checked:
    """Tell whether an account exists, since when, and whether it is banned."""
    await must_be_known(context, request.user)
    jid = request.user
    record = await context.stores.accounts.get(jid)
    if record is None:
        return Checked(user=jid, exists=False)
    return _checked(record)


class PasswordChecked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the password is right."""

    user: AccountAddress
    correct: bool


@operation(
    "account",
    "check-password",
    roles=ADMINISTRATORS,
    subjects=("user",),
    changes=False,
    answer="correct",
)
async def check_password(context: Context, request: Register) -> PasswordChecked:
    """Tell whether this is the password of the account."""
    correct = await context.accounts.has_password(request.user, request.password)
    return PasswordChecked(user=request.user, correct=correct)


@operation("account", "change-password", roles=ADMINISTRATORS, subjects=("user",), changes=True)
async def change_password(context: Context, request: Register) -> Ended:
    """Give an account another password, and end its sessions."""
    ended = await context.accounts.set_password(request.user, request.password)
    return Ended(user=request.user, sessions_ended=ended)


class BanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The account to ban, and why."""

    user: User
    reason: Annotated[Reason | None, Meta(description="Why; its owner is told.")] = None


@operation("account", "ban", roles=ADMINISTRATORS, subjects=("user",), changes=True)
async def ban(context: Context, request: BanRequest) -> Ended:
    """Keep an account from logging in, and end its sessions; nothing of it is removed."""
    ended = await context.accounts.ban(request.user, request.reason or "", by=context.caller.name)
    _tell("account_banned", context, request.user, reason=request.reason or "", sessions=ended)
    return Ended(user=request.user, sessions_ended=ended)


@operation("account", "unban", roles=ADMINISTRATORS, subjects=("user",), changes=True)
async def unban(context: Context, request: OneUser) -> Changed:
    """Let a banned account log in again."""
    await context.accounts.unban(request.user)
    _tell("account_unbanned", context, request.user)
    return Changed(user=request.user)


def _tell(event: str, context: Context, account: Jid, **more: str | int) -> None:
    """Log what was done to an account, and by whom; without a server it is the caller who sees it."""
    if context.live is not None:
        log.info(event, account=account.text, by=context.caller.name, **more)


def _checked(record: AccountRecord) -> Checked:
    last = record.last_activity
    return Checked(
        user=record.jid,
        exists=True,
        created=moment_of(record.created),
        last_activity=None if last is None else moment_of(last),
        banned=record.ban is not None,
        ban_reason=(record.ban.reason or None) if record.ban else None,
    )


OPERATIONS = (register, remove, count, check, check_password, change_password, ban, unban)
