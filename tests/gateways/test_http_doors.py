"""The doors together: WebSocket and BOSH clients of one server, and the stand that serves them to tests."""

from __future__ import annotations

import asyncio
import base64
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import pytest

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.app.certificate_maker import self_signed
from tidings.base.limits import XmlLimits
from tidings.gateways.bosh import BoshDoor
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.http import HttpGateway, HttpOptions
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.gateways.tls import TlsSetup
from tidings.gateways.websocket import WebSocketDoor
from tidings.kernel.accounts import Accounts
from tidings.kernel.server import Server
from tidings.streams.listener import ConnectionOptions, ListenerContext
from tidings.streams.login import OpenCredentials
from tidings.streams.login_line import LoginLine
from tidings.streams.login_throttle import LoginThrottle
from tidings.streams.negotiator import Negotiator
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.bosh import BoshOptions
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy

BEFORE = XmlLimits(stanza_bytes=10_000)
AFTER = XmlLimits(stanza_bytes=50_000)


@dataclass
class Stand:
    """A server in memory behind real HTTP; its clock stands still."""

    server: Server
    gateway: HttpGateway
    bosh: BoshDoor
    clock: VirtualClock
    port: int
    http: aiohttp.ClientSession
    sockets: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.001)

    async def websocket(self, **details) -> WebSocketClient:
        socket_ = await self.http.ws_connect(
            self.url("/xmpp-websocket"), protocols=["xmpp"], autoclose=False, **details
        )
        self.sockets.append(socket_)
        return WebSocketClient(socket_)

    def bosh_client(self, **attributes: str) -> BoshClient:
        return BoshClient(self, **attributes)


@asynccontextmanager
async def standing(
    *,
    bosh: BoshOptions | None = None,
    limits: ConnectionOptions | None = None,
    limiter: ConnectionLimiter | None = None,
    tls: TlsSetup | None = None,
    **options,
) -> AsyncIterator[Stand]:
    world = await World.start()
    server, clock, stores = world.server, world.clock, world.stores
    secret = b"s" * 32
    accounts = Accounts(stores.accounts, stores.removals, stores.ledger, clock, hosts=server.hosts)
    policies = {
        domain: HostPolicy(
            domain=domain,
            mechanisms=("PLAIN",),
            token_mechanisms=(),
            plain_without_tls=True,
            tls_required=False,
        )
        for domain in server.hosts
    }
    listener_context = ListenerContext(
        server=server,
        policy=StreamPolicy(host=policies.get, secret=secret, starttls=False, default_domain="localhost"),
        credentials=lambda _: OpenCredentials(stores.accounts, clock, secret, accounts),
        throttle=LoginThrottle(clock),
        line=LoginLine(clock, 0),
        negotiator=Negotiator,
        options=limits or ConnectionOptions(),
    )
    gateway = HttpGateway(HttpOptions(**options), limiter or ConnectionLimiter(), server.supervisor, tls)
    listener_policy = ListenerPolicy(
        local=listener_context, remote=listener_context, before=BEFORE, after=AFTER
    )
    WebSocketDoor(gateway, listener_policy)
    door = BoshDoor(
        gateway, listener_policy, options=bosh or BoshOptions(polling=5, inactivity=30, max_pause=100)
    )
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    await gateway.listen([listening])
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
        try:
            stand = Stand(server, gateway, door, clock, port, http)
            yield stand
        finally:
            for open_socket in stand.sockets:
                open_socket._response.close()
            await world.stop()
            await gateway.close()


class WebSocketClient:
    """A client of RFC 7395 that writes raw frames and reads Elements."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = raw

    async def send(self, text: str) -> None:
        await self.raw.send_str(text)

    async def receive(self) -> Element:
        """Give the next message's element."""
        message = await self.raw.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return decode(message.data.encode(), "")

    async def closed(self) -> int:
        """Give the code that the server closes with, when nothing comes before."""
        message = await self.raw.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.CLOSE, message
        return message.data

    async def ended(self) -> tuple[str, int]:
        """Give the stream error's condition and the close code of a server that ends the stream."""
        condition = ""
        while (element := await self.receive()).name != "close":
            if element.name == "error":
                condition = element.children[0].name
        return condition, await self.closed()

    async def open(self, to: str = "localhost") -> Element:
        """Open a stream, or open it anew; give the features."""
        await self.send(f"<open xmlns='{ns.FRAMING}' to='{to}' version='1.0'/>")
        opened = await self.receive()
        assert (opened.namespace, opened.name, opened.get("from")) == (ns.FRAMING, "open", to)
        features = await self.receive()
        assert (features.namespace, features.name) == (ns.STREAMS, "features")
        return features

    async def login(self, name: str, resource: str = "ws") -> Element:
        """Open a stream and log in; give the features from before."""
        features = await self.open()
        await self.send(auth(name))
        assert (await self.receive()).name == "success"
        await self.open()
        await self.send(bind(resource))
        assert (await self.receive()).get("type") == "result"
        return features


class BoshClient:
    """A client of BOSH that writes raw wrappers and reads Elements."""

    def __init__(self, stand: Stand, *, rid: int = 1000, **attributes: str) -> None:
        self.stand = stand
        self.rids = itertools.count(rid)
        self.attributes = {"to": "localhost", "wait": "60", "hold": "1", "ver": "1.11"} | attributes
        self.sid = ""

    async def post(self, raw: str | bytes, **details) -> Element:
        url = self.stand.url("/http-bind")
        async with self.stand.http.post(url, data=raw, **details) as response:
            self.response = response
            return decode(await response.read(), "")

    async def send(self, content: str = "", /, **attributes: object) -> Element:
        """Send the next request, or any, and give its answer."""
        return await self.post(self.wrap(content, **attributes))

    def start(self, content: str = "", /, **attributes: object) -> asyncio.Task[Element]:
        """Send a request whose answer is awaited later."""
        return asyncio.create_task(self.post(self.wrap(content, **attributes)))

    def wrap(self, content: str = "", /, **attributes: object) -> str:
        shown = {"rid": attributes.pop("rid", None) or next(self.rids), "sid": self.sid} | attributes
        written = " ".join(
            f"{name.replace('__', ':')}='{value}'" for name, value in shown.items() if value is not None
        )
        return f"<body xmlns='{ns.BOSH}' xmlns:xmpp='{ns.XBOSH}' {written}>{content}</body>"

    async def open(self) -> Element:
        answer = await self.send(**({"sid": None, "xmpp__version": "1.0"} | self.attributes))
        self.sid = answer.get("sid") or ""
        return answer

    async def login(self, name: str, resource: str = "bosh") -> None:
        opened = await self.open()
        assert opened.find("features", ns.STREAMS) is not None
        answer = await self.send(auth(name))
        assert answer.find("success", ns.SASL) is not None
        answer = await self.send(xmpp__restart="true", to="localhost")
        assert answer.find("features", ns.STREAMS) is not None
        answer = await self.send(bind(resource))
        assert answer.children[0].get("type") == "result"


def auth(name: str) -> str:
    data = base64.b64encode(f"\0{name}\0secret".encode()).decode()
    return f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{data}</auth>"


def bind(resource: str) -> str:
    return (
        f"<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='{ns.BIND}'>"
        f"<resource>{resource}</resource></bind></iq>"
    )


def message(to: str, text: str) -> str:
    return f"<message xmlns='jabber:client' to='{to}'><body>{text}</body></message>"


async def test_a_message_goes_from_websocket_to_bosh_and_back():
    async with standing() as stand:
        alice = await stand.websocket()
        await alice.login("alice")
        bob = stand.bosh_client()
        await bob.login("bob")
        waiting = bob.start()
        await alice.send(message("bob@localhost/bosh", "over the sea"))
        (received,) = (await waiting).children
        assert (received.namespace, received.get("from")) == (ns.CLIENT, "alice@localhost/ws")
        assert received.text_of("body") == "over the sea"
        bob.start(message("alice@localhost/ws", "and back"))
        received = await alice.receive()
        assert (received.namespace, received.get("from")) == (ns.CLIENT, "bob@localhost/bosh")
        assert received.text_of("body") == "and back"
        assert {session.transport for session in stand.server.sessions()} == {"websocket", "bosh"}


@pytest.mark.parametrize("path", ["/http-bind", "/xmpp-websocket"])
async def test_a_browser_that_comes_by_mistake_is_told_what_this_is(path):
    async with standing() as stand, stand.http.get(stand.url(path)) as response:
        assert response.status == (200 if path == "/http-bind" else 426)  # some watch whether BOSH is there
        assert (await response.text()).startswith("This is ")


async def test_a_bosh_request_on_the_websocket_door_is_refused_and_the_other_way_round():
    async with standing() as stand:
        bob = stand.bosh_client()
        await bob.open()
        request = bob.wrap(message("x@localhost", "hello"))
        async with stand.http.post(stand.url("/xmpp-websocket"), data=request) as response:
            assert response.status == 405
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await stand.http.ws_connect(stand.url("/http-bind"), protocols=["xmpp"])
        assert caught.value.status == 200
        client = await stand.websocket()
        await client.send(request)
        condition, _ = await client.ended()
        assert condition
        assert len(stand.bosh) == 1
        answer = await bob.post(request)
        assert answer.get("condition") != "item-not-found"


async def test_one_address_has_so_many_connections():
    async with standing(limiter=ConnectionLimiter(per_address=2), trusted_proxies=("127.0.0.0/8",)) as stand:
        outside = {"X-Forwarded-For": "192.0.2.1"}
        first = await stand.websocket(headers=outside)
        await stand.websocket(headers=outside)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await stand.websocket(headers=outside)
        assert caught.value.status == 503
        bob = stand.bosh_client()
        refused = await bob.post(bob.wrap(sid=None, **bob.attributes), headers=outside)
        assert refused.get("condition") == "policy-violation"
        await stand.websocket(headers={"X-Forwarded-For": "192.0.2.2"})
        await first.raw.close()
        await stand.until(lambda: len(stand.server.connections) == 2)
        await stand.websocket(headers=outside)


async def test_a_stopping_server_says_so_through_every_door():
    async with standing() as stand:
        alice = await stand.websocket()
        await alice.login("alice")
        bob = stand.bosh_client()
        await bob.login("bob")
        waiting = bob.start()
        await stand.until(lambda: stand.bosh.waiting == 1)
        await stand.server.stop(0)
        assert await alice.ended() == ("system-shutdown", 1000)
        answer = await waiting
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "remote-stream-error")
        assert answer.children[0].children[0].name == "system-shutdown"
        late = await stand.bosh_client().open()
        assert late.get("condition") == "system-shutdown"


async def test_the_doors_are_open_over_tls(tmp_path):
    certificate, key = self_signed(["localhost"], datetime(2026, 1, 1, tzinfo=UTC))
    (tmp_path / "both.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    der = ssl.PEM_cert_to_DER_cert(certificate.decode())
    async with standing(tls=TlsSetup(context, {context: der})) as stand:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        await stand.gateway.listen([listening], encrypted=True)
        trusting = ssl.create_default_context(cadata=certificate.decode())
        trusting.check_hostname = False
        trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT
        raw = await stand.http.ws_connect(
            f"wss://127.0.0.1:{port}/xmpp-websocket", protocols=["xmpp"], ssl=trusting, autoclose=False
        )
        stand.sockets.append(raw)
        client = WebSocketClient(raw)
        features = await client.login("alice")
        assert features.find("starttls", ns.TLS) is None
        assert [session.secure for session in stand.server.sessions()] == [True]
        # A session that begins here is not to be had without TLS.
        bob = stand.bosh_client()
        first = bob.wrap(sid=None, **bob.attributes)
        async with stand.http.post(
            f"https://127.0.0.1:{port}/http-bind", data=first, ssl=trusting
        ) as response:
            bob.sid = decode(await response.read(), "").get("sid") or ""
        assert bob.sid
        assert (await bob.send()).get("condition") == "item-not-found"
        assert len(stand.bosh) == 1
