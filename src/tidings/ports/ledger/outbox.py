"""The outbox: messages for other servers, committed together with what archives get of them.

A message that was accepted for another server stays here until that server has it, it is given up, or it is
erased. Each domain has a queue of its own, in the order of the feed.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from tidings.ports.ledger.batch import Place


class OutboxId(msgspec.Struct, frozen=True, order=True):
    """A row of the outbox; the same for as long as it is there."""

    feed: int
    number: int
    place: int
    """Its place among the rows of one message."""

    def __str__(self) -> str:
        return f"{self.feed}.{self.number}.{self.place}"


class OutboxRow(msgspec.Struct, frozen=True):
    """A message that waits for another server."""

    id: OutboxId
    domain: str
    recipient: str
    """For whom it is there; empty where the body says it."""
    time: int
    """When it was accepted."""
    body: bytes
    places: tuple[Place, ...]
    """Its entries in archives here."""


class OutboxStore(Protocol):
    """What waits for other servers. Everything raises `BackendError` when the store cannot answer now."""

    async def domains(self) -> tuple[str, ...]:
        """List the domains that something waits for."""
        ...

    async def rows(
        self, domain: str, after: OutboxId | None = None, limit: int = 100
    ) -> tuple[OutboxRow, ...]:
        """Give what waits for a domain, the oldest first; fewer where the bodies are long."""
        ...

    async def done(self, domain: str, ids: tuple[OutboxId, ...]) -> int:
        """Forget rows that the peer has, or that were given up; tells how many were there.

        The message itself goes with the last of its rows, where no archive has it.
        """
        ...

    async def expired(self, before: int, limit: int = 100) -> tuple[OutboxRow, ...]:
        """Give rows that were accepted before this time, without their bodies, the oldest first."""
        ...

    async def take_lease(self, owner: str, seconds: float) -> bool:
        """Become, or stay, the one who empties the outbox; False while another one does it."""
        ...

    async def release(self, owner: str) -> None:
        """Give the lease back, so that another one need not wait for its end."""
        ...
