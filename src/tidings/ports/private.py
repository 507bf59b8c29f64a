"""The private storage port: XML that clients keep for themselves (XEP-0049).

Every method may raise `BackendError`. Asked by the private storage feature alone; accounts are named by bare
JIDs.
"""

from __future__ import annotations

from typing import Protocol

from tidings.base.jid import Jid


class PrivateStore(Protocol):
    """Keeps one raw element per account, namespace and name."""

    async def get(self, account: Jid, namespace: str, name: str) -> bytes | None:
        """Give the element as it was put, or None when there is none."""
        ...

    async def put(self, account: Jid, namespace: str, name: str, raw: bytes) -> None:
        """Keep this raw element in place of the one before; at most 16 MiB. Raises `NoSuchAccount`."""
        ...
