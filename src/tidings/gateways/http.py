"""HttpGateway: one HTTP application for every door that speaks HTTP.

Doors add routes; the gateway answers everything else: unknown paths, wrong methods, `OPTIONS`, cross-origin
rules, bodies that are too large or too slow. It stands on aiohttp's low-level server: a request costs one
dictionary look-up on its path as it was sent. Nothing is decoded or normalised before, so no second spelling
of a path reaches a handler.

Invariants:
- a body is taken only by `read_body` and `take_body`, which stop at the limit while reading, not after;
- every answer, errors too, carries the route's cross-origin headers and forbids guessing its type.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Any, Final, cast

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import LooseHeaders
from aiohttp.web_protocol import RequestHandler

from tidings.gateways.acceptor import Acceptor, Admission
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.http_options import ANY, HttpOptions
from tidings.gateways.proxies import Proxies
from tidings.gateways.tls import HTTP_PROTOCOL, TlsSetup
from tidings.kernel.supervisor import Supervisor
from tidings.wire.xmpp.negotiation.values import TlsInfo

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_SHORTEST_CLOSE: Final = 0.01  # aiohttp takes 0 for ever
_LONGEST_TARGET: Final = 4_096
_PREFLIGHT_SECONDS: Final = 86_400
_TRICKS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:[/?]|$)|//|\\|%2f|%5c|%00", re.IGNORECASE)
"""Spellings of a path that another program may read as a different one."""


@dataclass(slots=True, frozen=True)
class Peer:
    """Who is at the other end of a request."""

    address: str
    secure: bool
    is_proxied: bool = False
    """Whether a trusted proxy speaks for it; its own connection is not the peer's then."""


@dataclass(slots=True, frozen=True)
class Route:
    """What one path answers to."""

    handlers: Mapping[str, Handler]
    """By method."""
    about: str
    """One line for the person who opens this path in a browser by mistake."""
    origins: tuple[str, ...] | None = None
    """Web origins that may read the answers; None gives none of them leave, `*` is any."""
    is_prefix: bool = False
    """Whether the route also answers for what is below its path."""
    request_headers: str = "Content-Type"
    """Which headers pages of these origins may send."""
    shown_headers: str = ""
    """Which headers of the answers they may read, beside those that all may."""

    @property
    def methods(self) -> str:
        """The methods that are answered, for an `Allow` header."""
        names = set(self.handlers) | {"OPTIONS"} | ({"HEAD"} if "GET" in self.handlers else set())
        return ", ".join(sorted(names))


CLOSE: Final = {"Connection": "close"}
"""The header of an answer after which nothing more is read."""


class HttpError(Exception):
    """Answer the request with this status and one line of text."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


class _Http(web.Server):
    """aiohttp's server, with an admission for each connection; those of proxies the doors count."""

    def __init__(self, handler: Handler, **options: object) -> None:
        super().__init__(cast("Any", handler), **cast("dict[str, Any]", options))
        self._admissions: dict[object, Admission] = {}

    def handler_for(self, admission: Admission) -> RequestHandler:
        """Make the handler of a connection that was let in."""
        handler = self()
        self._admissions[handler] = admission
        admission.on_leave = lambda: self._admissions.pop(handler, None)
        return handler

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        admission = self._admissions.get(handler)
        if admission is not None:
            admission.leave()


class HttpGateway:
    """Listens for HTTP and hands each request to the door that has its path."""

    def __init__(
        self,
        options: HttpOptions,
        limiter: ConnectionLimiter,
        supervisor: Supervisor,
        tls: TlsSetup | None = None,
    ) -> None:
        self.options = options
        self.limiter = limiter
        self._supervisor = supervisor
        self._tls = tls
        self._routes: dict[str, Route] = {}
        self._proxies = Proxies(options.trusted_proxies)
        self._acceptors: list[Acceptor] = []
        self._http: list[web.Server] = []

    def use_options(self, options: HttpOptions) -> None:
        """Take other options; what routes and listeners were made from stays as it is."""
        self.options = options
        self._proxies = Proxies(options.trusted_proxies)

    def add(
        self,
        path: str,
        handlers: Mapping[str, Handler],
        *,
        about: str,
        origins: tuple[str, ...] | None = None,
        is_prefix: bool = False,
        request_headers: str = "Content-Type",
        shown_headers: str = "",
    ) -> None:
        """Let a path be answered; raises `ValueError` when it is taken."""
        if path in self._routes:
            raise ValueError(f"{path} is taken")
        self._routes[path] = Route(handlers, about, origins, is_prefix, request_headers, shown_headers)

    async def listen(self, sockets: Sequence[socket], *, encrypted: bool = False) -> None:
        """Accept connections on these listening sockets; encrypted ones with the certificates of `tls`."""
        if encrypted and self._tls is None:
            raise ValueError("there are no certificates")
        http = _Http(
            self._answer,
            handler_cancellation=True,  # a door notices when its client has gone
            access_log=None,
            keepalive_timeout=self.options.keepalive_seconds,
            auto_decompress=False,  # compressed bodies are refused: nobody inflates one here
            lingering_time=1.0,
            max_line_size=_LONGEST_TARGET,
            max_field_size=8_190,
            max_headers=64,
        )
        self._http.append(http)
        acceptor = Acceptor(
            self.limiter,
            self._supervisor,
            http.handler_for,
            tls=self._tls if encrypted else None,
            protocol=HTTP_PROTOCOL,
            is_exempt=self.is_proxy,
        )
        self._acceptors.append(acceptor)
        for listening in sockets:
            acceptor.listen(listening)

    def drain(self) -> None:
        """Wait for no handshake any more; who comes is told by the doors that the server stops."""
        for acceptor in self._acceptors:
            acceptor.break_off()

    def refuse(self) -> None:
        """Accept nothing more; requests under way go on."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()

    async def close(self, seconds: float = 0.0) -> None:
        """Accept nothing more, give what is under way this long to end, then end it.

        A stopping server closes its streams before: held requests and sockets end with that.
        """
        self.refuse()
        for http in self._http:
            http.pre_shutdown()
        await asyncio.gather(*(http.shutdown(max(seconds, _SHORTEST_CLOSE)) for http in self._http))
        self._http.clear()

    def peer(self, request: web.BaseRequest, *, tells: bool = True) -> Peer:
        """Tell who asks; a proxy is believed only when it is trusted.

        Where it names nobody the address is `unknown`, and never that of this machine; the log says so,
        unless `tells` is false.
        """
        transport = request.transport
        name = transport.get_extra_info("peername") if transport is not None else None
        address = str(name[0]) if isinstance(name, tuple) else ""
        if self.is_proxy(address):
            client = self._proxies.client_of(address, request.headers, tells=tells)
            return Peer(client, self._proxies.is_secure(request.headers), is_proxied=True)
        return Peer(address, transport is not None and transport.get_extra_info("ssl_object") is not None)

    def tls_info(self, request: web.BaseRequest) -> TlsInfo | None:
        """Tell what is known of the encrypted channel; None where there is none."""
        transport = request.transport
        channel = transport.get_extra_info("ssl_object") if transport is not None else None
        if channel is not None and self._tls is not None:
            return self._tls.info(channel)
        return TlsInfo() if self.peer(request).secure else None

    def is_proxy(self, address: str) -> bool:
        """Tell whether this is the address of a proxy that is trusted."""
        return self._proxies.has(address)

    async def read_body(self, request: web.BaseRequest, limit: int) -> bytes:
        """Read a whole body of at most `limit` octets; raises `HttpError` 408, 413 or 415."""
        body = bytearray()

        async def take(octets: bytes) -> None:
            body.extend(octets)

        await self.take_body(request, limit, take, seconds=self.options.body_seconds)
        return bytes(body)

    async def take_body(
        self,
        request: web.BaseRequest,
        limit: int,
        take: Callable[[bytes], Awaitable[None]],
        *,
        seconds: float,
    ) -> None:
        """Hand a body of at most `limit` octets on as it comes; nothing more is read while `take` runs.

        It has so many seconds altogether, and is never silent for longer than `body_seconds`. Raises
        `HttpError` 408, 413 or 415, and what `take` raises.
        """
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise HttpError(415, "Compressed bodies are not accepted here.", CLOSE)
        too_large = HttpError(413, f"A body may have {limit} octets here.", CLOSE)
        if request.content_length is not None and request.content_length > limit:
            raise too_large
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # RFC 9110 §10.1.1
            request.writer.output_size = 0  # the answer itself has not begun
        taken, is_late = 0, HttpError(408, "The body came too slowly.", CLOSE)
        ends = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                silence = min(self.options.body_seconds, ends - asyncio.get_running_loop().time())
                async with asyncio.timeout(silence):
                    octets = await request.content.readany()
            except TimeoutError:
                raise is_late from None
            except web.RequestPayloadError:
                raise HttpError(400, "The body is broken.", CLOSE) from None
            if not octets:
                return
            taken += len(octets)
            if taken > limit:
                raise too_large
            await take(octets)

    async def begin(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Send the head of an answer that comes in pieces."""
        for name, value in _common_headers(self._find(request), request.headers.get("Origin")).items():
            response.headers.setdefault(name, value)
        await response.prepare(request)

    # --- one request

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        route: Route | None = None
        try:
            route = self._find(request)
            headers = _common_headers(route, request.headers.get("Origin"))
            if request.method == "OPTIONS":
                return _options(request, route, headers)
            response = await self._handler(request, route)(request)
        except HttpError as error:
            headers = _common_headers(route, request.headers.get("Origin")) | error.headers
            response = text_response(error.text, status=error.status, headers=headers)
            if error.headers.get("Connection") == "close":
                response.force_close()
            return response
        if not response.prepared:
            for name, value in headers.items():
                response.headers.setdefault(name, value)
        return response

    def _find(self, request: web.BaseRequest) -> Route:
        path = request.raw_path.partition("?")[0]
        route = self._routes.get(path) or self._routes.get(path.removesuffix("/"))
        while route is None and path:
            path = path.rpartition("/")[0]
            above = self._routes.get(path)
            if above is not None and above.is_prefix and _TRICKS.search(request.raw_path) is None:
                route = above
        if route is None:
            raise HttpError(404, "There is nothing here.")
        return route

    def _handler(self, request: web.BaseRequest, route: Route) -> Handler:
        method = "GET" if request.method == "HEAD" and "HEAD" not in route.handlers else request.method
        handler = route.handlers.get(method)
        if handler is None:
            raise HttpError(405, route.about, {"Allow": route.methods})
        if not may_ask(request.headers.get("Origin"), route.origins):
            raise HttpError(403, "Pages of this origin may not use this server.")
        return handler


def text_response(text: str, *, status: int = 200, headers: LooseHeaders | None = None) -> web.Response:
    """Answer with one line of plain text."""
    return web.Response(status=status, text=text + "\n", headers=headers)


def may_ask(origin: str | None, origins: tuple[str, ...] | None) -> bool:
    """Tell whether a request with this `Origin` may be served; browsers alone send one."""
    return origin is None or origins is None or ANY in origins or origin in origins


def _common_headers(route: Route | None, origin: str | None) -> dict[str, str]:
    headers = {"Server": "Tidings", "X-Content-Type-Options": "nosniff"}
    origins = route.origins if route is not None else None
    if route is None or origins is None:
        return headers
    if route.shown_headers:
        headers["Access-Control-Expose-Headers"] = route.shown_headers
    if ANY in origins:
        # Never with credentials: no door here knows its client by a cookie.
        return headers | {"Access-Control-Allow-Origin": ANY}
    headers["Vary"] = "Origin"
    if origin in origins:
        headers["Access-Control-Allow-Origin"] = origin
    return headers


def _options(request: web.BaseRequest, route: Route, headers: dict[str, str]) -> web.StreamResponse:
    """Answer `OPTIONS`, and a browser that asks before it sends."""
    headers["Allow"] = route.methods
    if "Access-Control-Allow-Origin" in headers and "Access-Control-Request-Method" in request.headers:
        headers["Access-Control-Allow-Methods"] = route.methods
        headers["Access-Control-Allow-Headers"] = route.request_headers
        headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
    return web.Response(status=204, headers=headers)
