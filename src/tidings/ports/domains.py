"""The domains port: which domains were added while the server ran, beside those of the configuration.

Every method may raise `BackendError`. Domains are in canonical form.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid


class DomainExists(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """The domain is there already, or is still being removed: `conflict`."""

    def __init__(self, domain: str, state: DomainState) -> None:
        what = "is still being removed" if state is DomainState.REMOVING else "exists already"
        super().__init__("conflict", f"the domain {domain} {what}")
        self.domain = domain
        self.state = state


class DomainState(enum.Enum):
    """What holds for a domain."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """Nobody can log in; everything else goes on, and messages for its accounts are kept."""
    REMOVING = "removing"
    """It is not served any more, and its accounts and archives are going."""


class DomainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One domain as it is stored."""

    domain: str
    state: DomainState = DomainState.ENABLED
    created: float
    """Seconds since the epoch."""
    admins: tuple[Jid, ...] = ()
    """The bare JIDs that may administer it."""


class DomainStore(Protocol):
    """Keeps domains; asked at start and by the domain operations."""

    async def add(self, record: DomainRecord) -> None:
        """Keep a domain, durable on return; raises `DomainExists` and then changes nothing."""
        ...

    async def get(self, domain: str) -> DomainRecord | None:
        """Give a domain, or None."""
        ...

    async def list(self) -> tuple[DomainRecord, ...]:
        """Give all domains in the order of their names' code points."""
        ...

    async def set_state(self, domain: str, state: DomainState) -> bool:
        """Change the state of a domain, also to the one that it has; one that is being removed stays so.

        Tells whether the domain has the state now.
        """
        ...

    async def remove(self, domain: str) -> bool:
        """Forget a domain; tells whether it was there. Its accounts are not touched."""
        ...
