"""The archive of an account, for operations that read it or change what is in it."""

from __future__ import annotations

from tidings.base.jid import Jid
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.ports.ledger import Ledger


async def archive_of(context: Context, jid: Jid) -> Ledger:
    """Give what has the archive of an account; raises `OperationError` where there is none."""
    if not await context.exists(jid):
        raise OperationError("not-found", f"there is no account {jid}")
    ledger = context.stores.ledger
    if ledger is None or context.domains.is_anonymous(jid.domain):
        raise OperationError("not-found", f"{jid.domain} keeps no archives")
    return ledger
