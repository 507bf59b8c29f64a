"""Health: what a keeper of the machine asks (`/health`, `/ready`), what Prometheus reads (`/metrics`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from tidings.base.network import parse_address
from tidings.gateways.http import HttpError, HttpGateway, text_response

_NOT_READY: Final = "not ready; the networks of [metrics] are told why"


class HealthDoor:
    """Says whether the server lives, whether it is ready for clients, and what it has counted."""

    def __init__(
        self,
        gateway: HttpGateway,
        *,
        registry: CollectorRegistry,
        problems: Callable[[], Awaitable[Sequence[str]]],
        networks: Sequence[str] = (),
        has_metrics: bool = True,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`problems` gives what keeps the server from serving, one line each; nothing when it is ready.

        `networks` are those that may read the figures and these lines, which may name the database, its host
        and its user; all others learn that the server is not ready, and nothing else. `refresh` is awaited
        before the figures are read.
        """
        self._gateway = gateway
        self._registry = registry
        self._problems = problems
        self._refresh = refresh
        self.use_networks(networks)
        gateway.add("/health", {"GET": self._health}, about="GET tells whether the server lives.")
        gateway.add("/ready", {"GET": self._ready}, about="GET tells whether the server takes clients.")
        if has_metrics:
            gateway.add("/metrics", {"GET": self._metrics}, about="GET gives figures for Prometheus.")

    def use_networks(self, networks: Sequence[str]) -> None:
        """Let these networks, and no others, read the figures from now on."""
        self._networks = tuple(map(ipaddress.ip_network, networks))

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("ok", headers={"Cache-Control": "no-store"})

    async def _ready(self, request: web.BaseRequest) -> web.StreamResponse:
        problems = await self._problems()
        told = "\n".join(problems) if self._may_know(request) else _NOT_READY
        return text_response(
            told if problems else "ready",
            status=503 if problems else 200,
            headers={"Cache-Control": "no-store"},
        )

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._may_know(request):
            raise HttpError(403, "The figures are not for this address.")
        if self._refresh is not None:
            await self._refresh()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    def _may_know(self, request: web.BaseRequest) -> bool:
        peer = self._gateway.peer(request, tells=False)  # a proxy may ask for itself
        address = parse_address(peer.address)
        return address is not None and any(address in network for network in self._networks)
