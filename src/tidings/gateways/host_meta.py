"""Host-meta: tells web clients where WebSocket and BOSH are (XEP-0156 1.4).

Answers `/.well-known/host-meta` (XRD) and `/.well-known/host-meta.json` (JRD) for pages of any origin. A
domain whose web site is elsewhere copies or forwards these two. Over plain HTTP, which is for tests and for
proxies, the links say `ws:` and `http:`; a client that follows the document refuses those.

Without a `public_url` the links have the host that the request named. The answer must not be stored then:
whoever asks a cache first, with a Host of his choice, would send everybody else's clients there. Writing only
names that are served would be no way out, since the host of these doors need not be a domain of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from tidings.gateways.http import HttpError, HttpGateway
from tidings.gateways.http_options import ANY
from tidings.kernel.feature import Spec
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_ABOUT: Final = "GET tells where WebSocket and BOSH are (XEP-0156)."


SPECS = (Spec.xep(156, "1.4.0"),)
"""What this door implements."""


class HostMetaDoor:
    """Serves the links of this server's doors."""

    def __init__(self, gateway: HttpGateway, paths: Mapping[str, str]) -> None:
        """`paths` gives the path of each door by its link relation."""
        self._gateway = gateway
        self._paths = dict(paths)
        for path, handler in (
            ("/.well-known/host-meta", self._xrd),
            ("/.well-known/host-meta.json", self._jrd),
        ):
            gateway.add(path, {"GET": handler}, about=_ABOUT, origins=(ANY,))

    async def _xrd(self, request: web.BaseRequest) -> web.StreamResponse:
        links = [
            Element("Link", ns.HOST_META, {"rel": relation, "href": address})
            for relation, address in self._links(request)
        ]
        document = (
            b"<?xml version='1.0' encoding='utf-8'?>\n"
            + Element("XRD", ns.HOST_META, None, *links).to_bytes()
        )
        return web.Response(
            body=document,
            content_type="application/xrd+xml",
            charset="utf-8",
            headers=self._caching(),
        )

    async def _jrd(self, request: web.BaseRequest) -> web.StreamResponse:
        links = [{"rel": relation, "href": address} for relation, address in self._links(request)]
        return web.Response(
            body=msgspec.json.encode({"links": links}),
            content_type="application/json",
            headers=self._caching(),
        )

    def _caching(self) -> dict[str, str]:
        return {} if self._gateway.options.public_url else {"Cache-Control": "no-store"}

    def _links(self, request: web.BaseRequest) -> list[tuple[str, str]]:
        base = self._gateway.options.public_url.rstrip("/") or self._seen_url(request)
        socket_base = "ws" + base.removeprefix("http")
        return [
            (relation, (socket_base if relation == ns.ALT_CONNECTIONS_WEBSOCKET else base) + path)
            for relation, path in self._paths.items()
        ]

    def _seen_url(self, request: web.BaseRequest) -> str:
        """Give the address that the client has used; it is written back, so it must be a plain host."""
        host = request.headers.get("Host", "")
        if _HOST.match(host) is None:
            raise HttpError(400, "The Host header is no host name.")
        return ("https://" if self._gateway.peer(request).secure else "http://") + host
