"""Operations on accounts: make, remove, look up, passwords, bans."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.clock import format_utc
from tidings.base.errors import StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.events import AccountRegistered, AccountRemoved, AccountWanted, PasswordChanged
from tidings.operations.catalogue import Permission, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.passwords import is_password, keys_for
from tidings.ports.accounts import Ban

PAGE = 1000
"""The most accounts that one answer lists."""

User = Annotated[str, Meta(description="Address of the account, such as alice@example.org.")]
Password = Annotated[
    str, Meta(description="Password of 1 to 1023 octets; kept as SCRAM keys only.", extra={"secret": True})
]
OneDomain = Annotated[str, Meta(description="Domain to look at; without it, all of them.")]


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """The account to make."""

    user: User
    password: Password


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    """The account that is meant."""

    user: User


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The account that was changed."""

    user: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The account that was changed, and how many of its sessions ended for that."""

    user: str
    sessions_ended: int = 0


@operation("account", "register", permission=Permission.ADMIN, errors=("invalid", "not-found", "conflict"))
async def register(context: Context, request: Register) -> Changed:
    """Make an account."""
    jid = context.account(request.user)
    if jid.domain in context.anonymous:
        raise OperationError(
            "not-allowed", f"{jid.domain} is for anonymous guests and has no lasting accounts"
        )
    await _begin_with_nothing(context, jid)
    await context.stores.accounts.create(jid, await keys_for(request.password), context.clock.now())
    context.forget(jid)
    await context.tell(AccountRegistered(jid), jid.domain)
    return Changed(user=str(jid))


@operation("account", "remove", permission=Permission.ADMIN, errors=("invalid", "not-found"))
async def remove(context: Context, request: OneUser) -> Ended:
    """Remove an account and everything stored for it, and end its sessions.

    This cannot be undone.
    """
    jid = context.account(request.user)
    if not await context.stores.accounts.remove(jid):
        raise _unknown(jid)
    context.forget(jid)
    ended = context.end_sessions(jid, StreamError("not-authorized", "the account has been removed"))
    await context.tell(AccountRemoved(jid), jid.domain)
    return Ended(user=str(jid), sessions_ended=ended)


class List(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts to list."""

    domain: OneDomain = ""
    after: Annotated[str, Meta(description="Begin behind this account: the `next` of the page before.")] = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE, description="The most accounts to list.")] = 100


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One page of accounts, by domain and then by name."""

    users: tuple[str, ...]
    next: str = ""
    """What to ask for as `after` to get the next page; empty at the end."""


@operation("account", "list", permission=Permission.ADMIN, errors=("invalid", "not-found"))
async def list_accounts(context: Context, request: List) -> Listed:
    """List accounts, a page at a time."""
    after = context.account(request.after) if request.after else None
    domains = sorted(context.domains_for(request.domain))
    found: list[Jid] = []
    for domain in domains:
        if after is not None and domain < after.domain:
            continue
        start = after if after is not None and after.domain == domain else None
        found += await context.stores.accounts.list(domain, after=start, limit=request.limit + 1 - len(found))
        if len(found) > request.limit:
            page = found[: request.limit]
            return Listed(users=tuple(map(str, page)), next=str(page[-1]))
    return Listed(users=tuple(map(str, found)))


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts to count."""

    domain: OneDomain = ""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A number of accounts."""

    count: int


@operation("account", "count", permission=Permission.ADMIN, errors=("invalid", "not-found"))
async def count(context: Context, request: Count) -> Counted:
    """Count accounts, banned ones included."""
    domains = context.domains_for(request.domain)
    return Counted(count=sum([await context.stores.accounts.count(domain) for domain in domains]))


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an account; times are in UTC."""

    user: str
    exists: bool
    created: str = ""
    last_activity: str = ""
    banned: bool = False
    ban_reason: str = ""


@operation("account", "check", permission=Permission.ADMIN, errors=("invalid", "not-found"), answer="exists")
async def check(context: Context, request: OneUser) -> Checked:
    """Tell whether an account exists, since when, and whether it is banned."""
    jid = context.account(request.user)
    record = await context.stores.accounts.get(jid)
    if record is None:
        return Checked(user=str(jid), exists=False)
    return Checked(
        user=str(jid),
        exists=True,
        created=format_utc(record.created),
        last_activity="" if record.last_activity is None else format_utc(record.last_activity),
        banned=record.ban is not None,
        ban_reason=record.ban.reason if record.ban else "",
    )


class PasswordChecked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the password is right."""

    user: str
    correct: bool


@operation(
    "account",
    "check-password",
    permission=Permission.ADMIN,
    errors=("invalid", "not-found"),
    answer="correct",
)
async def check_password(context: Context, request: Register) -> PasswordChecked:
    """Tell whether this is the password of the account."""
    jid = context.account(request.user)
    record = await context.stores.accounts.get(jid)
    if record is None:
        raise _unknown(jid)
    return PasswordChecked(user=str(jid), correct=await is_password(request.password, record.keys))


@operation("account", "change-password", permission=Permission.ADMIN, errors=("invalid", "not-found"))
async def change_password(context: Context, request: Register) -> Ended:
    """Give an account another password, and end its sessions."""
    jid = context.account(request.user)
    if not await context.stores.accounts.set_keys(jid, await keys_for(request.password)):
        raise _unknown(jid)
    ended = context.end_sessions(jid, StreamError("not-authorized", "the password has been changed"))
    await context.tell(PasswordChanged(jid), jid.domain)
    return Ended(user=str(jid), sessions_ended=ended)


class BanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The account to ban, and why."""

    user: User
    reason: Annotated[str, Meta(max_length=1000, description="Why; its owner is told.")] = ""


@operation("account", "ban", permission=Permission.ADMIN, errors=("invalid", "not-found"))
async def ban(context: Context, request: BanRequest) -> Ended:
    """Keep an account from logging in, and end its sessions; nothing of it is removed."""
    jid = context.account(request.user)
    if not await context.stores.accounts.ban(jid, Ban(request.reason, context.clock.now())):
        raise _unknown(jid)
    text = f"the account is banned: {request.reason}" if request.reason else "the account is banned"
    return Ended(user=str(jid), sessions_ended=context.end_sessions(jid, StreamError("not-authorized", text)))


@operation("account", "unban", permission=Permission.ADMIN, errors=("invalid", "not-found"))
async def unban(context: Context, request: OneUser) -> Changed:
    """Let a banned account log in again."""
    jid = context.account(request.user)
    if not await context.stores.accounts.unban(jid):
        raise _unknown(jid)
    return Changed(user=str(jid))


async def _begin_with_nothing(context: Context, jid: Jid) -> None:
    """Forget what an earlier owner of the address has left in its archive, before there is a new one."""
    ledger = context.stores.ledger
    if ledger is None or await context.stores.accounts.exists(jid):
        return
    try:
        await context.tell(AccountWanted(jid), jid.domain)
    except StanzaError as error:
        raise _held(jid) from error
    if context.host(jid.domain) is None:  # a running one has done it
        while await ledger.forget_account(jid):
            pass
        head = await ledger.head(jid)
        if head.first <= head.position:
            raise _held(jid)


def _held(jid: Jid) -> OperationError:
    return OperationError(
        "conflict", f"messages of an earlier owner of {jid} are under legal hold; release them first"
    )


def _unknown(jid: Jid) -> OperationError:
    return OperationError("not-found", f"there is no account {jid}")


OPERATIONS = (
    register, remove, list_accounts, count, check, check_password, change_password, ban, unban
)  # fmt: skip
