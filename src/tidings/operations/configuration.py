"""Operations on the configuration of the running server: what changed in it, and the way back."""

from __future__ import annotations

import msgspec

from tidings.operations.catalogue import OPERATORS, operation
from tidings.operations.context import Context, Differences, Reloaded, RolledBack


class DiffRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


class PreviewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


class RollbackRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


@operation(
    "config",
    "diff",
    roles=OPERATORS,
    changes=False,
    errors=("conflict",),
    needs_server=True,
    answer="same",
)
async def diff(context: Context, request: DiffRequest) -> Differences:
    """Compare what the server uses with what its configuration says now, option by option.

    The configuration is read as the server reads it at a reload: the file anew, the environment and the flags
    as they were at the start. What may be a password is not shown.
    """
    del request
    return await context.configuration().differences()


@operation("config", "preview", roles=OPERATORS, changes=False, needs_server=True, answer="complete")
async def preview(context: Context, request: PreviewRequest) -> Reloaded:
    """Tell what a reload would do now, and do nothing of it.

    It reads and checks the configuration and the certificates as a reload does, and tells their mistakes.
    """
    del request
    return await context.configuration().preview()


@operation(
    "config",
    "rollback",
    roles=OPERATORS,
    changes=True,
    errors=("conflict", "not-found"),
    answer="complete",
)
async def rollback(context: Context, request: RollbackRequest) -> RolledBack:
    """Go back to the configuration file that was good before the present one, and reload.

    A file is good when the server has started with it or a reload has taken it; the last ten are kept. What
    the file has now stays beside it. On the command line it works without a running server, too.
    """
    del request
    return await context.configuration().roll_back()


OPERATIONS = (diff, preview, rollback)
