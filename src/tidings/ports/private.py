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

    async def remove(self, account: Jid, namespace: str, name: str) -> None:
        """Keep this element no more, if there is one."""
        ...

    async def sizes(self, account: Jid) -> dict[tuple[str, str], int]:
        """Give the octets of every element that is kept, by namespace and name; none of them is read."""
        ...
