"""Hosts: makes the hosts of a domain, its own and those of its services, at start and at run time.

A service is a host under a name made of a prefix and the domain, with entities, features and options of its
own. The domain's administrators administer its services, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.clock import Clock
from tidings.kernel.directory import Directory
from tidings.kernel.domains import ServedDomain, Source
from tidings.kernel.feature import Feature
from tidings.kernel.hooks import Hooks
from tidings.kernel.host import Host
from tidings.kernel.loader import load_features
from tidings.kernel.server import Server
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.time_slice import TimeSlice
from tidings.messages.account_kind import AccountKind
from tidings.messages.entries import Rules
from tidings.messages.handover import Handover
from tidings.messages.router import Router
from tidings.messages.service_kind import ServiceWithoutEntities
from tidings.messages.submission import MessageKind
from tidings.ports.domains import DomainState
from tidings.ports.stores import Stores


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a virtual host is to be."""

    domain: str
    admins: tuple[Jid, ...] = ()
    anonymous: bool = False
    """Its accounts last as long as their sessions and are stored nowhere."""
    archives: bool = True
    """What its accounts send and get is kept; without that, messages are delivered live or not at all."""
    options: Mapping[str, msgspec.Struct] = {}
    """The features' options by feature name."""
    disabled: frozenset[str] = frozenset()
    """The features that are left out, by name."""


class ServiceKind(msgspec.Struct, frozen=True, kw_only=True):
    """A service that every domain with lasting accounts has, under `prefix.DOMAIN`."""

    prefix: str
    make_kind: Callable[[str, Router, Stores, Clock], MessageKind]
    """Makes what the entities of the service are, for the domain of the service."""
    features: tuple[type[Feature], ...] = ()

    def domain_for(self, owner: str) -> str:
        """Give the service's name in a domain."""
        return Jid(f"{self.prefix}.{owner}").domain


def without_entities(
    name: str, identity: tuple[str, str]
) -> Callable[[str, Router, Stores, Clock], MessageKind]:
    """Give what makes the kind of a service at which nobody is but the service itself."""
    kind = ServiceWithoutEntities(name, identity)
    return lambda _domain, _router, _stores, _clock: kind


class Hosts:
    """Makes hosts, routes to them, and takes them from the router again."""

    def __init__(
        self,
        server: Server,
        router: Router,
        stores: Stores,
        clock: Clock,
        sessions: SessionManager,
        handover: Handover | None,
        *,
        features: Iterable[type[Feature]],
        services: Iterable[ServiceKind],
        provided: Mapping[type, object],
    ) -> None:
        self._server = server
        self._router = router
        self._stores = stores
        self._clock = clock
        self._sessions = sessions
        self._handover = handover
        self._features = tuple(features)
        self._services = tuple(services)
        self._provided = provided

    def services_of(self, domain: str) -> tuple[str, ...]:
        """Give the names that the services of a domain have or would have."""
        return tuple(service.domain_for(domain) for service in self._services)

    def serve(
        self,
        settings: HostSettings,
        *,
        source: Source = Source.CONFIGURATION,
        state: DomainState = DomainState.ENABLED,
        named_admins: tuple[Jid, ...] = (),
    ) -> ServedDomain:
        """Make the hosts of a domain and route to them; raises what loading their features does.

        `named_admins` are administrators that were named when the domain was added.
        """
        exists = _nobody if settings.anonymous else self._stores.accounts.exists
        kind = AccountKind(exists, self._router, self._handover, is_anonymous=settings.anonymous)
        made = [self._make(settings.domain, kind, settings, self._features)]
        for service in () if settings.anonymous else self._services:
            domain = service.domain_for(settings.domain)
            if domain in self._router.hosts:  # the configuration says otherwise what it is
                continue
            its_kind = service.make_kind(domain, self._router, self._stores, self._clock)
            made.append(self._make(domain, its_kind, settings, service.features))
            made[-1][0].takes_logins = False
        for host, its_kind in made:
            self._router.serve(host, its_kind)
        return ServedDomain(
            domain=settings.domain,
            source=source,
            state=state,
            is_anonymous=settings.anonymous,
            admins=settings.admins,
            named_admins=named_admins,
            services=tuple(host.domain for host, _ in made[1:]),
        )

    def withdraw(self, domains: Iterable[str]) -> list[Host]:
        """Route no more to these hosts, and give them."""
        found = (self._router.withdraw(domain) for domain in domains)
        return [host for host in found if host is not None]

    def _make(
        self, domain: str, kind: MessageKind, settings: HostSettings, features: Iterable[type[Feature]]
    ) -> tuple[Host, MessageKind]:
        ledger = self._stores.ledger
        has_archives = settings.archives and not settings.anonymous and ledger is not None
        rules = Rules(ledger if has_archives else None)
        directory: Directory[Account] = Directory(
            kind, self._server.accounts_in_memory, rules.load, TimeSlice(self._clock.monotonic)
        )
        hooks = Hooks(self._server.supervisor, self._clock)
        host = Host(domain, kind, directory, hooks, settings.admins)
        host.has_archives = has_archives
        self._sessions.serve(host)
        served = [
            feature
            for feature in features
            if (has_archives or not feature.serves_archives)
            and (not settings.anonymous or not feature.serves_passwords)
            and feature.name() not in settings.disabled
        ]
        load_features(host, served, {**self._provided, Rules: rules}, settings.options)
        return host, kind


async def _nobody(_jid: Jid) -> bool:
    """No account of an anonymous host exists but while it has sessions."""
    return False
