"""Erasing: a retracted message goes from the database.

What a crash or a slow database keeps from being erased is shown as a tombstone all the same, and is erased
when it is read.
"""

from __future__ import annotations

import structlog

from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.ledger import Ledger

log = structlog.get_logger("tidings.archive")


async def erase(ledger: Ledger, archive: Jid, position: int) -> None:
    """Turn an entry that was retracted into a tombstone, with its corrections; held entries stay."""
    try:
        await ledger.erase(archive, (position,))
    except BackendError as error:
        log.warning("erasing_failed", reason=str(error))
