"""The displayed port: how far an account has read the chats that its inbox does not have (XEP-0490).

Every method may raise `BackendError`. Asked by displayed synchronization alone; accounts are named by bare
JIDs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol, TypeVar

import msgspec

from tidings.base.jid import Jid
from tidings.wire.xmpp.payloads.strict import octets

K = TypeVar("K")

_BESIDE: Final = 160
"""Octets of an item beside what it names, as clients get it."""


class Displayed(msgspec.Struct, frozen=True):
    """The latest message of a chat that was shown."""

    chat: Jid
    """The account or room; with a resource for private messages of a room."""
    id: str
    """At most 1,024 octets."""
    by: Jid
    """Whose archive has the message under this id."""

    @property
    def octets(self) -> int:
        """What it counts for in an account's share."""
        return octets(self.chat.text) + octets(self.id) + octets(self.by.text) + _BESIDE


class DisplayedStore(Protocol):
    """Keeps one position per account and chat, each by itself."""

    async def list(self, account: Jid, chats: Collection[Jid] = ()) -> tuple[Displayed, ...]:
        """Give the positions of these chats, of all without any; the one that was put first comes first."""
        ...

    async def put(self, account: Jid, displayed: Displayed, *, chats: int, octets: int) -> None:
        """Keep a position in place of the chat's one before, and so many chats and octets at most.

        What was put longest ago leaves for it, and never the new one. Raises `NoSuchAccount`.
        """
        ...


def leaving(kept: Collection[tuple[K, int]], number: int, size: int) -> list[K]:
    """Give what has to leave, the oldest first, so that at most so many with so many octets remain.

    `kept` are keys and octets, the oldest first.
    """
    gone: list[K] = []
    left, total = len(kept), sum(each for _, each in kept)
    for key, each in kept:
        if left <= number and total <= size:
            break
        gone.append(key)
        left, total = left - 1, total - each
    return gone
