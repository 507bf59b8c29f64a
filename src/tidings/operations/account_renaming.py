"""Giving an account another address, with everything that it has."""

from __future__ import annotations

from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.kernel.accounts import AddressHeld
from tidings.kernel.former_names import NameRests
from tidings.operations.account import User
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress

log = structlog.get_logger("tidings.operations")


class Rename(msgspec.Struct, frozen=True, kw_only=True):
    """The account, and what it is to be called."""

    user: User
    to: Annotated[
        AccountAddress,
        Meta(description="Its new address, on the same domain or on another one of this server."),
    ]
    reuse_name: Annotated[
        bool, Meta(description="Also where the new name rests, since the account that had it was removed.")
    ] = False


class RenamedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The account under its new address, and who has that now in place of the former one."""

    user: AccountAddress
    former: AccountAddress
    sessions_ended: int = 0
    rosters: int = 0
    """Accounts of this server that have it on their rosters."""
    rooms: int = 0
    """Rooms that it is a member of."""


@operation(
    "account", "rename", roles=ADMINISTRATORS, subjects=("user", "to"), changes=True, errors=("conflict",)
)
async def rename(context: Context, request: Rename) -> RenamedAccount:
    """Give an account another address; everything that it has goes with it.

    Its sessions end, and its owner logs in under the new address with the password that there was. Archive
    and inbox stay as they are, at the same positions and ids; roster, vCard, block list, rooms, groups,
    promotions and log-in tokens follow. Accounts of this server that know it have the new address in place
    of the former one; contacts on other servers are not told, and have to be asked again. The former name
    rests like that of a removed account. Whom the configuration names as an administrator, or who was named
    with a domain, is not renamed: the former address would keep that right.
    """
    account, to = request.user, request.to
    if account == to:
        raise OperationError("conflict", f"{account} is its address already")
    _refuse_named(context, account)
    try:
        done = await context.renamer.rename(
            account, to, by=context.caller.name, reuses_name=request.reuse_name
        )
    except NameRests as error:
        raise OperationError("conflict", f"{error.told}; `reuse_name` takes it anyway") from error
    except AddressHeld as error:
        told = f"messages of an earlier owner of {error.jid} are under legal hold; release them first"
        raise OperationError("conflict", told) from error
    rosters, rooms = len(done.followed.rosters), len(done.followed.rooms)
    if context.live is not None:
        log.info(
            "account_renamed",
            account=account.text,
            to=to.text,
            by=context.caller.name,
            sessions=done.sessions,
            rosters=rosters,
            rooms=rooms,
        )
    return RenamedAccount(user=to, former=account, sessions_ended=done.sessions, rosters=rosters, rooms=rooms)


def _refuse_named(context: Context, account: Jid) -> None:
    """Refuse an administrator whose right stands with its address, outside the stores of accounts."""
    for domain in context.domains:
        served = context.domains.get(domain)
        if served is not None and account in served.admins:
            told = (
                f"{account} is named as an administrator of {domain}: name somebody else there first, or let "
                "`account promote` say it, which follows the account"
            )
            raise OperationError("conflict", told)


OPERATIONS = (rename,)
"""The operations of this module."""
