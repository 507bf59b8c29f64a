"""The ledger port: where accepted messages become durable.

**Accepted means durable.** When `commit` has answered, every message of the batch survives a kill of the
process and a loss of power; only then is the sender told "accepted". A ledger that keeps nothing at all may
answer at once, since nothing is promised beyond it.

`commit` answers a `Receipt` itself where there is nothing to wait for, and an awaitable of one where there
is: the hot path, one call for each message, then pays for no coroutine and no turn of the event loop. Callers
test for it:

    receipt = ledger.commit(batch)
    if not isinstance(receipt, Receipt):
        receipt = await receipt
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from tidings.base.jid import Jid


class Append(msgspec.Struct, frozen=True):
    """One message that is to be accepted."""

    stanza: object
    """The message stanza, already rewritten as it shall be kept; opaque to the port."""
    sender: Jid
    """The full JID that submitted it."""
    recipient: Jid
    """The address that it goes to, bare or full."""


Batch = tuple[Append, ...]
"""Messages in the order in which they were submitted; committed together or not at all."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The answer to a batch: it is as durable as this ledger makes anything."""

    positions: tuple[int, ...] | None = None
    """Where each message stands in the recipient's archive, or None when the ledger keeps no archive."""


class Ledger(Protocol):
    """Accepts messages; asked by the router alone, one batch of a session after another."""

    def commit(self, batch: Batch) -> Receipt | Awaitable[Receipt]:
        """Make the batch durable, all of it or nothing, keeping its order.

        Raises `BackendError`, here or when awaited, when that is not possible now: nothing of the batch is
        accepted then.
        """
        ...
