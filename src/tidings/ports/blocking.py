"""The blocking port: whom an account does not want to hear of (XEP-0191).

Every method may raise `BackendError`. Asked by the blocking feature alone; accounts are named by bare JIDs.
Blocked addresses may be of any form: account, full JID, domain, domain with a resource (XEP-0191 §3.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tidings.base.jid import Jid


class BlockingStore(Protocol):
    """Keeps a set of blocked addresses per account."""

    async def list(self, account: Jid) -> frozenset[Jid]:
        """Give all blocked addresses; empty when there are none."""
        ...

    async def add(self, account: Jid, jids: Iterable[Jid]) -> None:
        """Block all of these or, on an error, none; blocked ones stay so. Raises `NoSuchAccount`."""
        ...

    async def remove(self, account: Jid, jids: Iterable[Jid]) -> None:
        """Unblock all of these or, on an error, none; those that are not blocked are passed over."""
        ...

    async def clear(self, account: Jid) -> None:
        """Unblock everybody."""
        ...
