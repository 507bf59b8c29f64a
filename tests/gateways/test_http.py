"""The HTTP application: routes, methods, origins, limits, and what is not there."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry, Gauge

from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.health import HealthDoor
from tidings.gateways.host_meta import HostMetaDoor
from tidings.gateways.http import HttpGateway, HttpOptions, text_response
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns

LIMIT = 1000


class Served:
    """A gateway on a free port of the loopback with a few routes, and a browser."""

    def __init__(self, gateway: HttpGateway, port: int, client: ClientSession) -> None:
        self.gateway = gateway
        self.port = port
        self.client = client
        self.problems: list[str] = []

    async def find_problems(self) -> list[str]:
        return self.problems

    async def ask(self, method: str, path: str, **details):
        async with self.client.request(method, f"http://127.0.0.1:{self.port}{path}", **details) as response:
            return response.status, response.headers, await response.text()

    async def raw(self, text: str | bytes) -> bytes:
        """Send octets and give all that comes until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.encode() if isinstance(text, str) else text)
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def serving(*, per_address: int = 0, **options) -> AsyncIterator[Served]:
    gateway = HttpGateway(
        HttpOptions(**options), ConnectionLimiter(per_address=per_address), Supervisor(Telemetry())
    )

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await gateway.read_body(request, LIMIT))

    async def below(request: web.BaseRequest) -> web.StreamResponse:
        return text_response(request.raw_path)

    async def who(request: web.BaseRequest) -> web.StreamResponse:
        peer = gateway.peer(request)
        return text_response(f"{peer.address} {peer.secure}")

    gateway.add("/echo", {"POST": echo}, about="POST here.", origins=gateway.options.origins)
    gateway.add("/files", {"GET": below}, about="GET here.", is_prefix=True)
    gateway.add("/who", {"GET": who}, about="GET here.")
    listening = socket.create_server(("127.0.0.1", 0))
    async with ClientSession() as client:
        served = Served(gateway, listening.getsockname()[1], client)
        registry = CollectorRegistry()
        Gauge("tidings_answer", "The answer", registry=registry).set(42)
        HealthDoor(
            gateway,
            registry=registry,
            problems=served.find_problems,
            networks=("127.0.0.0/8",),
        )
        HostMetaDoor(
            gateway,
            {ns.ALT_CONNECTIONS_WEBSOCKET: "/xmpp-websocket", ns.ALT_CONNECTIONS_BOSH: "/http-bind"},
        )
        await gateway.listen([listening])
        try:
            yield served
        finally:
            await gateway.close()


async def test_a_door_answers_its_path():
    async with serving() as served:
        status, headers, text = await served.ask("POST", "/echo?x=y", data=b"hello")
        assert (status, text) == (200, "hello")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "aiohttp" not in headers["Server"]
        assert (await served.ask("POST", "/echo/", data=b"hello"))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/echo/below",
        "//echo",
        "/ECHO",
        "/%65cho",
        "/x/../echo",
        "/./echo",
        "/echo%2F",
        "/echo;x",
        "\\echo",
    ],
)
async def test_only_the_exact_path_leads_to_a_door(path):
    async with serving() as served:
        answer = await served.raw(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        assert answer.split(b" ", 2)[1] in {b"404", b"400"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/files/a/b", 200),
        ("/files", 200),
        ("/filesystem", 404),
        ("/files/../who", 404),
        ("/files/%2e%2e/who", 404),
        ("/files/.%2E", 404),
        ("/files/..", 404),
        ("/files//etc", 404),
        ("/files/..%2f", 404),
        ("/files/%5c..", 404),
        ("/files/%00", 404),
    ],
)
async def test_a_door_with_paths_below_it_sees_no_tricks(path, status):
    async with serving() as served:
        answer = await served.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())


async def test_methods_are_answered_properly():
    async with serving() as served:
        status, headers, text = await served.ask("GET", "/echo")
        assert (status, headers["Allow"], text) == (405, "OPTIONS, POST", "POST here.\n")
        status, headers, text = await served.ask("HEAD", "/health")
        assert (status, text, headers["Content-Length"]) == (200, "", "3")
        status, headers, text = await served.ask("OPTIONS", "/health")
        assert (status, headers["Allow"], text) == (204, "GET, HEAD, OPTIONS", "")
        assert (await served.ask("TRACE", "/health"))[0] == 405


async def test_pages_of_any_origin_may_ask_by_default():
    async with serving() as served:
        question = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        status, headers, _ = await served.ask("OPTIONS", "/echo", headers=question)
        assert status == 204
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in headers["Access-Control-Allow-Methods"]
        assert headers["Access-Control-Allow-Headers"] == "Content-Type"
        assert "Access-Control-Allow-Credentials" not in headers
        _, headers, _ = await served.ask("POST", "/echo", headers={"Origin": "https://a.example"})
        assert headers["Access-Control-Allow-Origin"] == "*"


async def test_origins_can_be_limited():
    async with serving(origins=("https://chat.example.org",)) as served:
        status, headers, _ = await served.ask("POST", "/echo", headers={"Origin": "https://chat.example.org"})
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://chat.example.org")
        assert headers["Vary"] == "Origin"
        for origin in ("https://evil.example", "null", "https://chat.example.org.evil.example"):
            status, headers, _ = await served.ask("POST", "/echo", headers={"Origin": origin})
            assert status == 403
            assert "Access-Control-Allow-Origin" not in headers
            _, headers, _ = await served.ask(
                "OPTIONS", "/echo", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
            )
            assert "Access-Control-Allow-Origin" not in headers
        assert (await served.ask("POST", "/echo"))[0] == 200


async def test_other_doors_tell_nothing_across_origins():
    async with serving() as served:
        _, headers, _ = await served.ask("GET", "/health", headers={"Origin": "https://a.example"})
        assert "Access-Control-Allow-Origin" not in headers


async def test_a_large_body_is_refused_before_it_is_read():
    async with serving() as served:
        assert (await served.ask("POST", "/echo", data=b"x" * LIMIT))[0] == 200
        answer = await served.raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_large_body_in_chunks_is_refused_while_it_is_read():
    async with serving() as served:
        chunk = b"100\r\n" + b"x" * 256 + b"\r\n"
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await served.raw(head + chunk * 8)  # it never ends
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_slow_body_is_not_waited_for():
    async with serving(body_seconds=1) as served:
        answer = await served.raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nslow")
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_connection_that_asks_nothing_is_closed():
    async with serving(keepalive_seconds=1) as served:
        assert await served.raw("POST /echo HTTP/1.1\r\nHost:") == b""


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x"])
async def test_compressed_bodies_are_refused(encoding):
    async with serving() as served:
        status, _, text = await served.ask(
            "POST", "/echo", data=b"\x1f\x8b", headers={"Content-Encoding": encoding}
        )
        assert (status, text) == (415, "Compressed bodies are not accepted here.\n")


@pytest.mark.parametrize(
    "head",
    [
        "GET /health HTTP/1.1\r\nHost: x\r\nX: " + "y" * 20_000 + "\r\n\r\n",
        "GET /" + "y" * 20_000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 500 + "\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "nonsense\r\n\r\n",
    ],
    ids=["long header", "long target", "many headers", "negative length", "two lengths", "nonsense"],
)
async def test_a_bad_head_gets_a_clear_refusal(head):
    async with serving() as served:
        assert (await served.raw(head)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
        assert (await served.ask("GET", "/health"))[0] == 200


async def test_a_proxy_is_believed_only_when_it_is_trusted():
    forwarded = {"X-Forwarded-For": "10.9.9.9, 192.0.2.7", "X-Forwarded-Proto": "https"}
    async with serving() as served:
        assert (await served.ask("GET", "/who", headers=forwarded))[2] == "127.0.0.1 False\n"
    async with serving(trusted_proxies=("127.0.0.0/8",)) as served:
        assert (await served.ask("GET", "/who", headers=forwarded))[2] == "192.0.2.7 True\n"
        nonsense = {"X-Forwarded-For": "many", "X-Forwarded-Proto": "gopher"}
        for headers in (
            nonsense,
            {},
            {"X-Forwarded-For": "127.0.0.1"},
        ):  # its proxy is not this machine's user
            assert (await served.ask("GET", "/who", headers=headers))[2] == "unknown False\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["For: 127.0.0.1", "For: 192.0.2.7"], "192.0.2.7 False"),  # a proxy that appends a line of its own
        (["For: 192.0.2.7", "For: 127.0.0.3"], "192.0.2.7 False"),  # two proxies of ours
        (["For: 192.0.2.7, 127.0.0.3,", "Proto: https", "Proto: http"], "192.0.2.7 False"),
        (["For: 192.0.2.7", "Proto: http", "Proto: HTTPS"], "192.0.2.7 True"),
        (["For: 192.0.2.7", "Proto: wss"], "192.0.2.7 True"),
        (["For: 2001:DB8::7", "Proto: http,wss"], "2001:db8::7 True"),
        (["For: 192.0.2.7", "Proto: ws"], "192.0.2.7 False"),
        (["For: 192.0.2.7:5678"], "192.0.2.7 False"),
        (["For: [2001:db8::1]:443, 127.0.0.3:80"], "2001:db8::1 False"),
        (["For: [2001:db8::1]"], "2001:db8::1 False"),
        (["For: 192.0.2.7:port"], "unknown False"),
        (["For: [127.0.0.3]:443"], "unknown False"),
    ],
)
async def test_the_client_is_the_last_one_that_is_no_proxy_over_all_lines(lines, expected):
    headers = "".join(f"X-Forwarded-{line}\r\n" for line in lines)
    async with serving(trusted_proxies=("127.0.0.0/8",)) as served:
        answer = await served.raw(f"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
        assert answer.endswith(f"{expected}\n".encode())


async def test_who_waits_for_leave_to_send_a_body_gets_it():  # RFC 9110 §10.1.1
    fields = "Host: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n"
    head = f"POST /echo HTTP/1.1\r\n{fields}"
    async with serving() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head.encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await reader.read()).endswith(b"hello")
        writer.close()


async def test_who_would_send_too_much_is_told_before_he_sends_it():
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {10**9}\r\nExpect: 100-continue\r\n\r\n"
    async with serving() as served:
        assert (await served.raw(head)).startswith(b"HTTP/1.1 413 ")


async def test_health_and_readiness():
    async with serving() as served:
        assert (await served.ask("GET", "/health"))[2] == "ok\n"
        assert (await served.ask("GET", "/ready"))[:3:2] == (200, "ready\n")
        served.problems.append("the database does not answer")
        assert (await served.ask("GET", "/ready"))[:3:2] == (503, "the database does not answer\n")
        assert (await served.ask("GET", "/health"))[0] == 200


async def test_strangers_are_not_told_why_the_server_is_not_ready():
    async with serving(trusted_proxies=("127.0.0.0/8",)) as served:
        served.problems.append("the database postgresql://tidings:***@db.internal/tidings: refused")
        for outside in ({"X-Forwarded-For": "192.0.2.7"}, {}):
            status, _, text = await served.ask("GET", "/ready", headers=outside)
            assert (status, text) == (503, "not ready; the networks of [metrics] are told why\n")


async def test_figures_are_given_to_the_networks_that_may_read_them():
    async with serving() as served:
        status, headers, text = await served.ask("GET", "/metrics")
        assert (status, headers["Content-Type"].startswith("text/plain")) == (200, True)
        assert "tidings_answer 42.0" in text
    async with serving(trusted_proxies=("127.0.0.0/8",)) as served:
        for outside in ({"X-Forwarded-For": "192.0.2.7"}, {"X-Forwarded-For": "127.0.0.1"}, {}):
            assert (await served.ask("GET", "/metrics", headers=outside))[0] == 403


async def test_host_meta_tells_where_the_doors_are():
    async with serving() as served:
        expected = {
            "urn:xmpp:alt-connections:websocket": f"ws://127.0.0.1:{served.port}/xmpp-websocket",
            "urn:xmpp:alt-connections:xbosh": f"http://127.0.0.1:{served.port}/http-bind",
        }
        origin = {"Origin": "https://a.example"}
        status, headers, text = await served.ask("GET", "/.well-known/host-meta", headers=origin)
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
        assert headers["Content-Type"] == "application/xrd+xml; charset=utf-8"
        document = decode(text.encode().partition(b"?>\n")[2], "")
        assert (document.namespace, document.name) == (ns.HOST_META, "XRD")
        assert {link.get("rel"): link.get("href") for link in document.children} == expected
        _, headers, text = await served.ask("GET", "/.well-known/host-meta.json", headers=origin)
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Content-Type"] == "application/json"
        assert {link["rel"]: link["href"] for link in json.loads(text)["links"]} == expected


@pytest.mark.parametrize("path", ["/.well-known/host-meta", "/.well-known/host-meta.json"])
async def test_no_cache_keeps_links_to_a_host_that_somebody_named(path):
    async with serving() as served:
        _, headers, text = await served.ask("GET", path, headers={"Host": "evil.example"})
        assert "evil.example" in text
        assert headers["Cache-Control"] == "no-store"


async def test_host_meta_can_be_told_its_outside_address():
    async with serving(public_url="https://chat.example.org/") as served:
        _, headers, text = await served.ask("GET", "/.well-known/host-meta.json")
        assert "Cache-Control" not in headers
        assert [link["href"] for link in json.loads(text)["links"]] == [
            "wss://chat.example.org/xmpp-websocket",
            "https://chat.example.org/http-bind",
        ]


@pytest.mark.parametrize("host", ["a.example/evil", "a@b", "'><x", "", "a b"])
async def test_host_meta_writes_no_nonsense_back(host):
    async with serving() as served:
        answer = await served.raw(
            f"GET /.well-known/host-meta HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 400 ")
