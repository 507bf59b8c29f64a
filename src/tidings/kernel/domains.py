"""Domains: what this server serves at this moment, and who is told when that changes.

A domain comes from the configuration, or was added while the server ran and stands in the database; the first
kind cannot be changed at run time. A domain may have **services**: hosts under names made of a prefix and the
domain, such as `conference.example.org`, which come and go with it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator

import msgspec

from tidings.base.jid import Jid
from tidings.ports.domains import DomainState


class Source(enum.Enum):
    """Where a domain comes from."""

    CONFIGURATION = "configuration"
    DATABASE = "database"


class ServedDomain(msgspec.Struct, frozen=True, kw_only=True):
    """A domain with accounts."""

    domain: str
    source: Source = Source.CONFIGURATION
    state: DomainState = DomainState.ENABLED
    is_anonymous: bool = False
    """Its accounts last as long as their sessions, and none can be made by hand."""
    admins: tuple[Jid, ...] = ()
    named_admins: tuple[Jid, ...] = ()
    """Those of them who were named when it was added, whatever the configuration says."""
    services: tuple[str, ...] = ()
    """The domains of its services."""


class DomainChanged(msgspec.Struct, frozen=True):
    """A domain has been added, has changed its state, or is gone."""

    domain: str
    now: ServedDomain | None
    """What it is now; None when it is not served any more."""


class Domains:
    """The domains that are served, the first ones of the configuration first."""

    def __init__(self, served: Iterable[ServedDomain] = ()) -> None:
        self._served: dict[str, ServedDomain] = {}
        self._owners: dict[str, str] = {}
        self._listeners: list[Callable[[DomainChanged], object]] = []
        for domain in served:
            self._keep(domain)

    @classmethod
    def of(cls, *domains: str, anonymous: Iterable[str] = ()) -> Domains:
        """Make domains of a configuration."""
        without = frozenset(anonymous)
        return cls(ServedDomain(domain=domain, is_anonymous=domain in without) for domain in domains)

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the domains with accounts."""
        return iter(tuple(self._served))

    def __len__(self) -> int:
        return len(self._served)

    def __contains__(self, domain: object) -> bool:
        """Tell whether a domain is served, with accounts or as a service."""
        return domain in self._served or domain in self._owners

    def get(self, domain: str) -> ServedDomain | None:
        """Give a domain with accounts."""
        return self._served.get(domain)

    def owner(self, domain: str) -> str:
        """Give the domain to which a service belongs; any other domain belongs to itself."""
        return self._owners.get(domain, domain)

    def with_services(self, domain: str) -> tuple[str, ...]:
        """Give a domain and those of its services."""
        served = self._served.get(domain)
        return (domain,) if served is None else (domain, *served.services)

    def is_anonymous(self, domain: str) -> bool:
        """Tell whether the accounts of a domain are thrown away."""
        served = self._served.get(domain)
        return served is not None and served.is_anonymous

    def takes_logins(self, domain: str) -> bool:
        """Tell whether people can log in to a domain."""
        served = self._served.get(domain)
        return served is not None and served.state is DomainState.ENABLED

    # --- changes

    def listen(self, listener: Callable[[DomainChanged], object]) -> None:
        """Call this after every change from now on.

        It is the one place where a change is told; what tells other nodes of it listens here.
        """
        self._listeners.append(listener)

    def put(self, domain: ServedDomain) -> None:
        """Serve a domain, or note what has changed about it."""
        self._keep(domain)
        self._tell(DomainChanged(domain.domain, domain))

    def administrators(self, domain: str) -> tuple[Jid, ...]:
        """Give who administers a domain now."""
        served = self._served.get(domain)
        return () if served is None else served.admins

    def use_admins(self, domain: str, admins: Iterable[Jid]) -> None:
        """Note who administers a domain now; nobody is told, since nothing is made from it."""
        served = self._served[domain]
        named = (*served.named_admins, *admins)
        self._served[domain] = msgspec.structs.replace(served, admins=tuple(dict.fromkeys(named)))

    def discard(self, domain: str) -> None:
        """Do not serve a domain and its services any more."""
        served = self._served.pop(domain, None)
        if served is not None:
            for service in served.services:
                del self._owners[service]
            self._tell(DomainChanged(domain, None))

    def _keep(self, domain: ServedDomain) -> None:
        self._served[domain.domain] = domain
        for service in domain.services:
            self._owners[service] = domain.domain

    def _tell(self, change: DomainChanged) -> None:
        for listener in self._listeners:
            listener(change)
