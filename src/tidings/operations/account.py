"""Operations on accounts: make, remove, look up, passwords, bans."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.clock import format_utc
from tidings.base.jid import Jid
from tidings.kernel.accounts import AddressHeld
from tidings.kernel.former_names import NameRests
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

_DAY: Final = 86_400

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
    reuse_name: Annotated[
        bool, Meta(description="Also where the name rests, since the account that had it was removed.")
    ] = False


class UserAndPassword(msgspec.Struct, frozen=True, kw_only=True):
    """An account, and a password for it."""

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
        await context.accounts.create(request.user, request.password, reuses_name=request.reuse_name)
    except NameRests as error:
        raise OperationError("conflict", f"{error.told}; `reuse_name` takes it anyway") from error
    except AddressHeld as error:
        told = f"messages of an earlier owner of {error.jid} are under legal hold; release them first"
        raise OperationError("conflict", told) from error
    return Changed(user=request.user)


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    """The account to remove, and when."""

    user: User
    after_days: Annotated[
        Annotated[int, Meta(ge=1, le=3650)] | None,
        Meta(description="Disable it at once, and remove it after so many days; without it, remove it now."),
    ] = None


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or is to be; `removal` is when it goes, null where it is gone."""

    user: AccountAddress
    sessions_ended: int = 0
    removal: Moment | None = None


@operation(
    "account",
    "remove",
    roles=ADMINISTRATORS,
    subjects=("user",),
    on_former_domains=True,
    changes=True,
    irreversible=True,
)
async def remove(context: Context, request: Remove) -> Removed:
    """Remove an account and everything stored for it, and end its sessions.

    This cannot be undone.

    With `after_days`, nobody can log in to it from now on, it keeps what it has and gets, and `account
    restore` gives it back until it goes by itself. Naming other days sets another time.
    """
    await must_be_known(context, request.user)
    if request.after_days is not None:
        due, ended = await context.accounts.remove_later(
            request.user, request.after_days * _DAY, by=context.caller.name
        )
        when = moment_of(due)
        _tell("account_disabled", context, request.user, removal=format_utc(int(due)), sessions=ended)
        return Removed(user=request.user, sessions_ended=ended, removal=when)
    if request.user.domain not in context.domains:
        await context.accounts.forget_archive(request.user)  # nobody else would, and this can be repeated
    return Removed(user=request.user, sessions_ended=await context.accounts.remove(request.user))


@operation(
    "account",
    "restore",
    roles=ADMINISTRATORS,
    subjects=("user",),
    on_former_domains=True,
    changes=True,
    errors=("conflict",),
)
async def restore(context: Context, request: OneUser) -> Changed:
    """Give an account back that is to be removed later, with everything that it has.

    An account that is gone is not given back.
    """
    jid = request.user
    if not await context.accounts.restore(jid):
        if await context.stores.accounts.exists(jid):
            raise OperationError("conflict", f"{jid} is not to be removed")
        raise OperationError("not-found", await _gone(context, jid))
    _tell("account_restored", context, jid)
    return Changed(user=jid)


async def _gone(context: Context, jid: Jid) -> str:
    """Say why there is nothing to give back, as far as that is known."""
    removed = (await context.stores.removals.former([jid])).get(jid)
    if removed is None:
        return f"there is no account {jid}; what has been removed is in backups alone"
    when = format_utc(int(removed))
    return f"{jid} was removed or renamed at {when}; what a removed account had is in backups alone"


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
    removal: Moment | None = None
    """When it is to be removed."""


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
    """Tell whether an account exists, since when, and whether it is banned or to be removed."""
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
async def check_password(context: Context, request: UserAndPassword) -> PasswordChecked:
    """Tell whether this is the password of the account."""
    correct = await context.accounts.has_password(request.user, request.password)
    return PasswordChecked(user=request.user, correct=correct)


@operation("account", "change-password", roles=ADMINISTRATORS, subjects=("user",), changes=True)
async def change_password(context: Context, request: UserAndPassword) -> Ended:
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
        removal=None if record.removal is None else moment_of(record.removal.due),
    )


OPERATIONS = (register, remove, restore, count, check, check_password, change_password, ban, unban)
