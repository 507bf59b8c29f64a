"""Doors: the front doors of a server, made from the configuration."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from socket import socket
from typing import Final, Protocol

from tidings.app import listening
from tidings.app.limits_options import LimitsOptions
from tidings.app.options import Config
from tidings.app.reload import Setting
from tidings.app.tls_contexts import Certificates
from tidings.base.limits import XmlLimits
from tidings.gateways.acceptor import Acceptor
from tidings.gateways.acme_challenges import AcmeChallenges
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.gateways.tcp import TcpGateway
from tidings.gateways.tls import TlsSetup
from tidings.kernel.domains import DomainChanged, Domains, Source
from tidings.kernel.feature import StreamStage
from tidings.kernel.host import Host
from tidings.kernel.server import Server
from tidings.operations.context import Context
from tidings.streams.listener import ConnectionOptions, ListenerContext
from tidings.streams.login import Credentials
from tidings.streams.login_line import LoginLine
from tidings.streams.login_throttle import LoginThrottle
from tidings.streams.negotiator import Negotiator
from tidings.streams.pace import PaceLimits
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.bosh.options import BoshOptions
from tidings.wire.xmpp.negotiation.policy import TOKEN_MECHANISMS, HostPolicy, StreamPolicy
from tidings.wire.xmpp.payloads.stream_limits import StreamLimits

CONNECTIONS: Final = frozenset({"limits.connections", "limits.connections_per_address"})
"""What the limiter of connections takes over while the server runs."""
HTTP: Final = frozenset(
    {
        "metrics.networks",
        *(f"bosh.{name}" for name in BoshOptions.__struct_fields__),
        *(
            f"http.{name}"
            for name in ("trusted_proxies", "public_url", "reset_link_hours", "body_seconds", "ping_seconds")
        ),
    }
)
"""What the doors over HTTP take over while the server runs."""

_MECHANISMS = {"any": ("PLAIN",), "anonymous": ("ANONYMOUS",)}
"""What is offered where there are no accounts to check."""


_LIMITS: Final = (
    "stanza_bytes_before_login",
    "stanza_bytes",
    "login_seconds",
    "login_failures",
    "logins_per_second",
    "idle_seconds",
    "outbound_queue_bytes",
    "stanzas_per_second",
    "bytes_per_second",
    "burst_seconds",
)


class Gateway(Protocol):
    """Something that listens."""

    def drain(self) -> None:
        """Let nobody who is silent keep the server from stopping."""
        ...

    async def close(self) -> None:
        """Accept nothing more."""
        ...


class Doors:
    """All that is listening."""

    def __init__(self, limiter: ConnectionLimiter, contexts: ListenerContexts) -> None:
        self.limiter = limiter
        self.contexts = contexts
        self.listeners: list[Acceptor] = []
        self.others: list[Gateway] = []
        self.settings: list[Setting] = [
            Setting(ListenerContexts.reloads, contexts.use),
            Setting(CONNECTIONS, self._use_connections),
        ]
        """What of the doors follows the configuration while the server runs."""

    def refuse(self) -> None:
        """Accept nothing more on TCP; a server that drains turns away who comes by HTTP."""
        for listener in self.listeners:
            listener.close()
        for door in self.others:
            door.drain()

    def _use_connections(self, config: Config) -> None:
        limits = config.limits
        self.limiter.use_limits(total=limits.connections, per_address=limits.connections_per_address)

    async def close(self) -> None:
        """End what is still open, after every stream has had its goodbye."""
        for door in self.others:
            await door.close()


class ListenerContexts:
    """The contexts of all transports: they share all but their policy.

    After a reload they hold for who connects from then on; whoever is connected keeps what there was.
    """

    reloads = frozenset(
        {
            *(f"limits.{name}" for name in _LIMITS),
            *(f"{section}.{name}" for section in ("server", "host.*") for name in ("sasl", "sasl2")),
            "server.mechanisms",
            "host.*.see_other_host",
            "tls.required",
        }
    )
    """The options that it takes over while the server runs."""

    def __init__(
        self,
        config: Config,
        server: Server,
        domains: Domains,
        credentials: Callable[[str], Credentials],
        secret: bytes,
    ) -> None:
        self._config = config
        self._server = server
        self._domains = domains
        self._credentials = credentials
        self._secret = secret
        self._throttle = LoginThrottle(server.clock)
        self._line = line = LoginLine(server.clock, config.limits.logins_per_second)
        server.telemetry.gauge("logins_waiting", "Log-ins that wait for their turn", lambda: len(line))
        server.telemetry.total(
            "logins_turned_away",
            "Log-ins and new streams that were told to come later",
            lambda: line.turned_away,
        )
        self._made: dict[tuple[str, bool], HostPolicy] = {}
        """The policies of domains that were asked for, with and without a duty to encrypt."""
        self._policies: list[tuple[ListenerPolicy, bool]] = []
        domains.listen(lambda change: self._forget(change.domain))

    def use(self, config: Config) -> None:
        """Let another configuration hold for who connects from now on."""
        self._config = config
        self._line.use_rate(config.limits.logins_per_second)
        self._made.clear()
        for policy, starttls in self._policies:
            now = self._policy(starttls=starttls)
            for name in now.__struct_fields__:
                setattr(policy, name, getattr(now, name))

    def policy(self, *, starttls: bool) -> ListenerPolicy:
        """Make the policy of a transport; a reload brings it up to date."""
        policy = self._policy(starttls=starttls)
        self._policies.append((policy, starttls))
        return policy

    def _forget(self, domain: str) -> None:
        for must_encrypt in (True, False):
            self._made.pop((domain, must_encrypt), None)

    def _policy(self, *, starttls: bool) -> ListenerPolicy:
        limits = self._config.limits
        return ListenerPolicy(
            local=self._make(starttls=starttls, local=True),
            remote=self._make(starttls=starttls, local=False),
            before=XmlLimits(stanza_bytes=limits.stanza_bytes_before_login),
            after=XmlLimits(stanza_bytes=limits.stanza_bytes),
        )

    def _make(self, *, starttls: bool, local: bool) -> ListenerContext:
        required = self._config.tls.required
        must_encrypt = required == "always" or (required == "off-loopback" and not local)
        domains = self._config.domains
        policy = StreamPolicy(
            host=self._look_up(must_encrypt=must_encrypt),
            secret=self._secret,
            starttls=starttls,
            default_domain=domains[0] if domains else "",
            max_login_attempts=self._config.limits.login_failures,
            refusal=self._line.refusal,
        )
        return ListenerContext(
            server=self._server,
            policy=policy,
            credentials=self._credentials,
            throttle=self._throttle,
            line=self._line,
            negotiator=Negotiator,
            options=_connection_options(self._config.limits),
        )

    def _look_up(self, *, must_encrypt: bool) -> Callable[[str], HostPolicy | None]:
        """Make the look-up of policies by domain; each is made when it is first asked for."""

        def look_up(domain: str) -> HostPolicy | None:
            policy = self._made.get((domain, must_encrypt))
            if policy is None:
                host = self._server.hosts.get(domain)
                if host is None or not host.takes_logins:
                    return None
                policy = self._host_policy(host, must_encrypt)
                self._made[domain, must_encrypt] = policy
            return policy

        return look_up

    def _host_policy(self, host: Host, must_encrypt: bool) -> HostPolicy:
        limits = self._config.limits
        options = self._config.host(host.domain)
        authentication = options.authentication or "accounts"
        before = host.stream_features(StreamStage.BEFORE_LOGIN)
        offered = {element.namespace for element in before}
        inline = tuple(host.stream_features(StreamStage.INLINE))
        idle = limits.idle_seconds or None
        return HostPolicy(
            domain=host.domain,
            mechanisms=_MECHANISMS.get(authentication, self._config.server.mechanisms),
            sasl=options.sasl is not False,
            sasl2=options.sasl2 is not False,
            see_other_host=options.see_other_host,
            plain_without_tls=not must_encrypt,
            tls_required=must_encrypt,
            registration=ns.REGISTER_FEATURE in offered,
            invitations=ns.REGISTER_INVITED in offered,
            features_before=tuple(each for each in before if each.namespace not in _REGISTRATION),
            features_after=tuple(host.stream_features(StreamStage.AFTER_LOGIN)),
            bind2_inline=tuple(name for feature in host.features for name in feature.inline),
            sasl2_inline=inline,
            extensions=tuple(element.namespace for element in inline),
            limits_before=StreamLimits(max_bytes=limits.stanza_bytes_before_login, idle_seconds=idle),
            limits_after=StreamLimits(max_bytes=limits.stanza_bytes, idle_seconds=idle),
            token_mechanisms=TOKEN_MECHANISMS if authentication == "accounts" else (),
        )


_REGISTRATION = (ns.REGISTER_FEATURE, ns.REGISTER_INVITED)
"""What is offered only where one may log in, too."""


def _connection_options(limits: LimitsOptions) -> ConnectionOptions:
    return ConnectionOptions(
        login_seconds=limits.login_seconds,
        tls_login_seconds=limits.tls_login_seconds,
        idle_seconds=limits.idle_seconds,
        outbound_bytes=limits.outbound_queue_bytes,
        pace=PaceLimits(
            stanzas=limits.stanzas_per_second,
            octets=limits.bytes_per_second,
            burst_seconds=limits.burst_seconds,
        ),
    )


async def open_doors(
    config: Config,
    server: Server,
    context: Context,
    credentials: Callable[[str], Credentials],
    secret: bytes,
    sockets: Mapping[str, list[socket]],
    tls: Certificates,
    https: Certificates,
    challenges: AcmeChallenges,
) -> Doors:
    """Begin to accept connections on bound sockets; raises `ListenError` where others listen now."""
    domains = context.domains
    contexts = ListenerContexts(config, server, domains, credentials, secret)
    limiter = ConnectionLimiter(
        total=config.limits.connections, per_address=config.limits.connections_per_address
    )
    server.telemetry.total_by(
        "connections_turned_away",
        "Connections that were refused, since their address or all together had as many as they may",
        "limit",
        lambda: limiter.turned_away,
    )
    doors = Doors(limiter, contexts)
    setup = tls_setup(config, tls, domains, challenges)
    for name, direct_tls in (("tcp", False), ("tls", True)):
        gateway = TcpGateway(
            policy=contexts.policy(starttls=not direct_tls),
            limiter=limiter,
            tls=setup,
            direct_tls=direct_tls,
        )
        bound = sockets.get(name, ())
        listening.listen(name, bound)
        doors.listeners += [await gateway.listen(each) for each in bound]
    # The libraries of HTTP take a quarter of a second to load: clients on TCP need not wait for them.
    http_doors = await asyncio.to_thread(importlib.import_module, "tidings.app.http_doors")
    listener_policy = contexts.policy(starttls=False)
    over_https = tls_setup(config, https, domains, challenges)
    over_http = await http_doors.open_http(
        config, server, context, listener_policy, limiter, over_https, sockets
    )
    doors.others.append(over_http.gateway)
    doors.settings.append(Setting(HTTP, over_http.use))
    return doors


def tls_setup(config: Config, loaded: Certificates, domains: Domains, challenges: AcmeChallenges) -> TlsSetup:
    """Join the contexts of all domains; the first domain's answers clients that name none.

    A domain that is added while the server runs brings its certificate from the certificate directory.
    """
    setup = TlsSetup(loaded.context_for(config.domains[0]), {}, challenges)
    loaded.listen(setup.add)

    def follow(change: DomainChanged) -> None:
        is_static = change.now is not None and change.now.source is Source.CONFIGURATION
        if is_static or change.domain in config.hosts:
            return
        if change.now is None:
            loaded.discard(change.domain)
        else:
            loaded.add(change.domain)

    for domain in domains:
        served = domains.get(domain)
        if served is not None:
            follow(DomainChanged(domain, served))
    domains.listen(follow)
    return setup
