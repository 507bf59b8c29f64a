"""The parts of a reload: everything of a running server that follows its configuration.

Each says which options it takes over; the reference of the configuration is made from the same declarations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from tidings.app import certificate_reload, doors, memory
from tidings.app.acme.orders import CertificateOrders
from tidings.app.acme_options import AcmeOptions
from tidings.app.certificate_reload import CertificateReload
from tidings.app.known_features import KnownFeatures
from tidings.app.logs import Logs
from tidings.app.options import Config
from tidings.app.reload import Part, Prepared, Setting
from tidings.app.tls_contexts import Certificates
from tidings.base.jid import Jid
from tidings.kernel.domains import Domains
from tidings.kernel.feature import Feature
from tidings.kernel.loader import live_options, use_options
from tidings.kernel.server import Server

_ACME: Final = frozenset(
    {"host.*.certificate_names", *(f"acme.{name}" for name in AcmeOptions.__struct_fields__)}
)
_ADMINS: Final = frozenset({"server.admins", "host.*.admins"})
_CREATED: Final = frozenset({"server.create_admins"})
_LOG: Final = frozenset({"log.level", "log.format"})
_TLS: Final = frozenset({"tls.minimum_version"})
_READ_EACH_TIME: Final = frozenset({"server.drain_seconds", "server.name_rest_days"})
_SERVER: Final = frozenset(
    f"limits.{name}" for name in ("sessions_per_account", "outbound_total_bytes", "accounts_in_memory")
)


def options_taken(features: Iterable[type[Feature]]) -> frozenset[str]:
    """Give every option that a reload takes over, where these are the features."""
    return frozenset().union(
        certificate_reload.OPTIONS,
        doors.ListenerContexts.reloads,
        doors.CONNECTIONS,
        doors.HTTP,
        _ACME,
        _ADMINS,
        _CREATED,
        _LOG,
        _READ_EACH_TIME,
        _SERVER,
        _TLS,
        _of_features(features),
    )


class Running(NamedTuple):
    """What a reload changes."""

    server: Server
    domains: Domains
    served: tuple[Certificates, ...]
    certificates: CertificateReload
    orders: CertificateOrders
    logs: Logs
    known: KnownFeatures
    created: tuple[str, ...]
    """The `create_admins` of the start."""
    make_accounts: Callable[[Config], Awaitable[object]]
    """Makes the accounts of `create_admins` that are missing."""


def make(running: Running) -> tuple[Part, ...]:
    """Make the parts of a server, but for its doors, which are opened later and come last."""
    server, domains, logs = running.server, running.domains, running.logs

    def use_log(config: Config) -> None:
        logs.levels.configure(config.log.level)
        logs.format.use(config.log.format)

    def use_tls(config: Config) -> None:
        for served in running.served:
            served.use_minimum_version(config.tls.minimum_version)

    def use_limits(config: Config) -> None:
        limits = config.limits
        server.use_limits(
            sessions_per_account=limits.sessions_per_account,
            outbound_octets=limits.outbound_total_bytes or memory.outbound_share(),
            accounts_in_memory=limits.accounts_in_memory,
        )

    return (
        running.certificates,
        Setting(_ACME, running.orders.use),
        Setting(_TLS, use_tls),
        FirstAccounts(running.created, running.make_accounts),
        Setting(_LOG, use_log),
        Setting(_SERVER, use_limits),
        Setting(_ADMINS, lambda config: _use_admins(server, domains, config)),
        Setting(_of_features(running.known.everywhere), lambda config: _use_options(server, domains, config)),
        Setting(_READ_EACH_TIME, lambda _: None),
    )


class FirstAccounts:
    """Makes the accounts of `create_admins` before they become administrators, as a start does."""

    options = _CREATED

    def __init__(self, made: tuple[str, ...], make_accounts: Callable[[Config], Awaitable[object]]) -> None:
        """Begin with those that were made at the start."""
        self._made = made
        self._make = make_accounts

    async def prepare(self, config: Config, *, dry_run: bool) -> Prepared:
        """Make those that are missing: nobody else may take the name of an administrator."""
        wanted = config.server.create_admins
        if not dry_run and wanted != self._made:
            await self._make(config)
            self._made = wanted
        return Prepared(lambda: None)


def _of_features(features: Iterable[type[Feature]]) -> frozenset[str]:
    return frozenset(
        f"{section}features.{name}.{option}"
        for name, options in live_options(features).items()
        for option in options
        for section in ("", "host.*.")
    )


def _use_admins(server: Server, domains: Domains, config: Config) -> None:
    """Let others administer domains and their services from now on, and those no more who are not named."""
    for domain in domains:
        domains.use_admins(domain, map(Jid, config.host(domain).admins))
        for name in domains.with_services(domain):
            if name in server.hosts:
                server.hosts[name].admins = frozenset(domains.administrators(domain))


def _use_options(server: Server, domains: Domains, config: Config) -> None:
    """Let the features of every domain have what is configured for it now."""
    for domain in domains:
        for name in domains.with_services(domain):
            if name in server.hosts:
                use_options(server.hosts[name], config.host(domain).features)
