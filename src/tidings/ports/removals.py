"""The removals port: accounts that are to go at a time, and the names of those that are gone.

Of an account that is gone nothing is kept but its address, or a digest of it, and when it was removed:
`AccountStore.remove` notes it, and making an account of that address forgets it, in the same transaction.

Every method may raise `BackendError`. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from tidings.base.jid import Jid
from tidings.ports.accounts import Removal


class RemovalStore(Protocol):
    """Keeps which accounts are to be removed and when, and since when names rest."""

    async def schedule(self, jid: Jid, removal: Removal) -> bool:
        """Note that an account is to go; a second time replaces the first. False without an account."""
        ...

    async def cancel(self, jid: Jid) -> bool:
        """Take that back; False where the account was not to go, or is gone."""
        ...

    async def due(self, now: float, *, limit: int = 100) -> tuple[Jid, ...]:
        """Give at most `limit` accounts of all domains whose time has come, those that wait longest first."""
        ...

    async def former(self, jids: Collection[Jid]) -> dict[Jid, float]:
        """Give when the accounts of some hundred addresses were removed, as far as that is noted."""
        ...

    async def forget_former(self, before: float) -> int:
        """Forget the addresses of all accounts that were removed before then; tell how many there were."""
        ...
