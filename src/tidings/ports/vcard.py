"""The vCard port: what an account tells of itself (XEP-0054).

Every method may raise `BackendError`. Asked by the vCard feature alone; accounts are named by bare JIDs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tidings.base.jid import Jid


class VCardStore(Protocol):
    """Keeps one raw vCard per account."""

    async def get(self, account: Jid) -> bytes | None:
        """Give the vCard element as it was put, or None when there is none."""
        ...

    async def put_all(self, vcards: Mapping[Jid, bytes]) -> None:
        """Keep the vCards of several accounts, as `put` does, in one transaction."""
        ...

    async def put(self, account: Jid, raw: bytes) -> None:
        """Keep this raw vCard element in place of the one before; at most 16 MiB. Raises `NoSuchAccount`."""
        ...
