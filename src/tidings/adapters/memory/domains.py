"""Domains in memory."""

from __future__ import annotations

from msgspec.structs import replace

from tidings.ports.domains import DomainExists, DomainRecord, DomainState


class MemoryDomains:
    """The domains port over a dict."""

    def __init__(self) -> None:
        self._domains: dict[str, DomainRecord] = {}

    async def add(self, record: DomainRecord) -> None:
        """Keep a domain; raises `DomainExists`."""
        if before := self._domains.get(record.domain):
            raise DomainExists(record.domain, before.state)
        self._domains[record.domain] = record

    async def get(self, domain: str) -> DomainRecord | None:
        """Give a domain, or None."""
        return self._domains.get(domain)

    async def list(self) -> tuple[DomainRecord, ...]:
        """Give all domains by name."""
        return tuple(self._domains[domain] for domain in sorted(self._domains))

    async def set_state(self, domain: str, state: DomainState) -> bool:
        """Change the state of a domain, unless it is being removed."""
        record = self._domains.get(domain)
        if record is None or (record.state is DomainState.REMOVING and state is not record.state):
            return False
        self._domains[domain] = replace(record, state=state)
        return True

    async def remove(self, domain: str) -> bool:
        """Forget a domain."""
        return self._domains.pop(domain, None) is not None
