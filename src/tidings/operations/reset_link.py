"""The operation that makes a reset link, by which people choose another password for their account."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.kernel.reset_links import ResetLinks, reset_path
from tidings.operations.account import User
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, Moment, moment_of

_HOUR: Final = 3_600.0


class MakeResetLink(msgspec.Struct, frozen=True, kw_only=True):
    """The account that is to get another password."""

    user: User
    hours: Annotated[
        Annotated[int, Meta(ge=1, le=8_784)] | None,
        Meta(description="Hours for which it holds; without it, what `reset_link_hours` in [http] says."),
    ] = None


class ResetLinkMade(msgspec.Struct, frozen=True, kw_only=True):
    """The link, to be handed on; its token is nowhere kept, and cannot be shown again."""

    user: AccountAddress
    url: str
    expires: Moment


@operation(
    "account", "reset-link", roles=ADMINISTRATORS, subjects=("user",), changes=True, errors=("conflict",)
)
async def make_reset_link(context: Context, request: MakeResetLink) -> ResetLinkMade:
    """Make a link to a page on which somebody chooses another password for an account, once.

    Whoever has the link can use it: hand it on to the owner, by a way that others do not read along. The
    password stays as it is until then. The account's link before ends, and each ends when the password is
    changed in whichever way. `public_url` in [http] must say how this server is reached over https.
    """
    base = context.public_url().rstrip("/")
    if not base.startswith("https://"):
        told = "`public_url` in [http] must say how this server is reached over https, for there to be links"
        raise OperationError("conflict", told)
    hours = context.reset_link_hours() if request.hours is None else request.hours
    links = ResetLinks(context.stores.documents, context.stores.accounts, context.clock)
    token, expires = await links.create(request.user, seconds=hours * _HOUR)
    return ResetLinkMade(
        user=request.user,
        url=base + reset_path(request.user, token),
        expires=moment_of(expires),
    )


OPERATIONS = (make_reset_link,)
