"""The doors over HTTP: WebSocket, BOSH, host-meta, health and metrics on one gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from socket import socket

from tidings.app import listening
from tidings.app.options import Config
from tidings.base.errors import BackendError
from tidings.gateways import bosh, websocket
from tidings.gateways.acme_door import AcmeDoor
from tidings.gateways.bosh import BoshDoor
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.file_door import FileDoor
from tidings.gateways.health import HealthDoor
from tidings.gateways.host_meta import HostMetaDoor
from tidings.gateways.http import HttpGateway
from tidings.gateways.invitation_door import InvitationDoor
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.gateways.mongooseim_names import MongooseNames
from tidings.gateways.reset_door import ResetDoor
from tidings.gateways.tls import TlsSetup
from tidings.gateways.websocket import WebSocketDoor
from tidings.kernel.invitations import Invitations
from tidings.kernel.reset_links import ResetLinks
from tidings.kernel.server import Server
from tidings.operations.context import Context
from tidings.ports.stores import Stores
from tidings.wire.xmpp import ns

_DATABASE_SECONDS = 3


class HttpDoors:
    """The doors over HTTP that are open."""

    def __init__(self, gateway: HttpGateway, bosh: BoshDoor, health: HealthDoor) -> None:
        self.gateway = gateway
        self._bosh = bosh
        self._health = health

    def use(self, config: Config) -> None:
        """Let another configuration hold: for requests from now on, and for BOSH sessions that begin."""
        self.gateway.use_options(config.http)
        self._bosh.options = config.bosh
        self._health.use_networks(config.metrics.networks)


async def open_http(
    config: Config,
    server: Server,
    context: Context,
    policy: ListenerPolicy,
    limiter: ConnectionLimiter,
    tls: TlsSetup,
    sockets: Mapping[str, list[socket]],
) -> HttpDoors:
    """Begin to accept connections on the bound sockets of `http` and `https`."""
    http = HttpGateway(config.http, limiter, server.supervisor, tls)
    WebSocketDoor(http, policy)
    bosh_door = BoshDoor(http, policy, options=config.bosh)
    AcmeDoor(http, tls.challenges)
    stores = context.stores
    invitations = Invitations(stores.documents, stores.accounts, server.clock)
    InvitationDoor(http, server.hosts, invitations, server.clock.monotonic)
    links = ResetLinks(stores.documents, stores.accounts, server.clock)
    ResetDoor(http, server.hosts, links, context.accounts, server.clock.monotonic)
    FileDoor(http, server.hosts, stores.files, server.clock)
    HostMetaDoor(
        http,
        {ns.ALT_CONNECTIONS_WEBSOCKET: websocket.PATH, ns.ALT_CONNECTIONS_BOSH: bosh.PATH},
    )
    if config.metrics.mongooseim_names:
        server.telemetry.registry.register(MongooseNames(server.telemetry))
    health = HealthDoor(
        http,
        registry=server.telemetry.registry,
        problems=lambda: _problems(server, stores),
        networks=config.metrics.networks,
        has_metrics=config.metrics.enabled,
        refresh=server.telemetry.refresh,
    )
    for name, encrypted in (("http", False), ("https", True)):
        if bound := sockets.get(name):
            listening.listen(name, bound)
            await http.listen(bound, encrypted=encrypted)
    return HttpDoors(http, bosh_door, health)


async def _problems(server: Server, stores: Stores) -> list[str]:
    """Tell what keeps the server from taking clients, one line each."""
    problems = server.problems()
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            await stores.ping()
    except BackendError as error:
        problems.append(str(error))
    except TimeoutError:
        problems.append(f"the database has not answered for {_DATABASE_SECONDS} s")
    return problems
