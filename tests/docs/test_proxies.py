"""The configurations of the page "behind a proxy", with the real proxies in front of a real server."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.gateways.test_http_doors import BoshClient, WebSocketClient, message
from tests.harness.bare_client import HEADER
from tests.harness.ports import HOST, free_ports
from tests.harness.proxies import (
    KINDS,
    LOWERED_SECONDS,
    PAGE,
    Kind,
    Proxy,
    judged_by_haproxy,
    passing_through,
    running,
)
from tests.harness.server_process import DOMAIN, ServerProcess, make_certificate
from tidings.wire.xmpp import ns

CLIENT_HOST = "127.0.0.2"
"""Where the clients come from: another address than the proxy's."""

FORGED = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "http"}
FRAME_OCTETS = 262_144
IDLE_SECONDS = 2.5 * LOWERED_SECONDS
SETTINGS = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@dataclass
class Front:
    """A proxy, the server behind it, and a client that trusts both."""

    proxy: Proxy
    server: ServerProcess
    http: aiohttp.ClientSession
    sockets: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)

    def url(self, path: str) -> str:
        return self.proxy.url + path

    async def websocket(self, name: str, url: str = "", **details) -> WebSocketClient:
        raw = await self.http.ws_connect(
            url or self.url("/xmpp-websocket"), protocols=["xmpp"], autoclose=False, **details
        )
        self.sockets.append(raw)
        assert raw.protocol == "xmpp"
        client = WebSocketClient(raw)
        await client.login(name)
        return client

    def seen(self, user: str) -> tuple[str, bool]:
        """Give the address that the server knows a session by, and whether it takes it for encrypted."""
        done = self.server.command("session", "list", "--user", user, "--json")
        assert done.returncode == 0, done.stderr
        (session,) = json.loads(done.stdout)["items"]
        return session["address"], session["secure"]


@contextlib.contextmanager
def served(folder: Path, kind: Kind, *, without: str = "") -> Iterator[tuple[Proxy, ServerProcess]]:
    """Run a server as the page configures it, and the proxy in front of it."""
    ports = free_ports(2)
    of_server = SETTINGS[0][SETTINGS[0].index("[http]") :].replace("example.org", f"{DOMAIN}:{ports[1]}")
    server = ServerProcess.start(folder, extra_configuration=of_server)
    try:
        for name in ("alice", "bob"):
            server.register(name, "secret")
        with running(kind, folder, server, (ports[0], ports[1]), without=without) as proxy:
            yield proxy, server
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def client_of(proxy: Proxy, server: ServerProcess) -> AsyncIterator[Front]:
    trusting = ssl.create_default_context(cafile=str(server.authority))
    connector = aiohttp.TCPConnector(local_addr=(CLIENT_HOST, 0), family=socket.AF_INET, ssl=trusting)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as http:
        front = Front(proxy, server, http)
        try:
            yield front
        finally:
            for raw in front.sockets:
                if raw._writer.transport is not None:
                    raw._writer.transport.abort()


@pytest.fixture(scope="module", params=KINDS)
def behind(request, tmp_path_factory) -> Iterator[tuple[Proxy, ServerProcess]]:
    with served(tmp_path_factory.mktemp(request.param), request.param) as both:
        yield both


@pytest.fixture
async def front(behind) -> AsyncIterator[Front]:
    async with client_of(*behind) as front:
        yield front


async def test_clients_chat_and_are_known_by_their_own_address(front: Front) -> None:
    alice = await front.websocket("alice")
    bob = BoshClient(front)
    await bob.login("bob")
    held = bob.start()
    await alice.send(message("bob@localhost/bosh", "through the proxy"))
    (received,) = (await held).children
    assert received.text_of("body") == "through the proxy"
    held = bob.start(message("alice@localhost/ws", "and back"))
    assert (await alice.receive()).text_of("body") == "and back"
    for user in ("alice@localhost/ws", "bob@localhost/bosh"):
        assert front.seen(user) == (CLIENT_HOST, True)
    await bob.send(type="terminate")
    await held


async def test_what_a_client_says_of_itself_is_not_believed(front: Front) -> None:
    direct = f"http://{HOST}:{front.server.http_port}/xmpp-websocket"
    clients = [
        await front.websocket("alice", headers=FORGED),
        await front.websocket("bob", direct, headers=FORGED),
    ]
    assert front.seen("alice@localhost/ws") == (CLIENT_HOST, True)
    assert front.seen("bob@localhost/ws") == (CLIENT_HOST, False)
    assert not any(client.raw.closed for client in clients)


async def test_host_meta_leads_to_the_proxy(front: Front) -> None:
    async with front.http.get(front.url("/.well-known/host-meta.json")) as answer:
        links = {link["rel"]: link["href"] for link in (await answer.json())["links"]}
    assert links == {
        ns.ALT_CONNECTIONS_WEBSOCKET: front.url("/xmpp-websocket").replace("https", "wss"),
        ns.ALT_CONNECTIONS_BOSH: front.url("/http-bind"),
    }


async def test_what_is_for_outside_is_passed_on_and_the_rest_is_not(front: Front) -> None:
    for path, expected in (("/ready", 200), ("/health", 200), ("/metrics", 404), ("/", 404)):
        async with front.http.get(front.url(path)) as answer:
            assert (path, answer.status) == (path, expected)


async def test_people_open_links_that_they_were_given(front: Front) -> None:
    def made(*command: str) -> dict[str, str]:
        done = front.server.command(*command, "--json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    front.server.register("carol", "forgotten")
    invitation = made("invitation", "create", "--domain", "localhost")["landing_url"]
    link = made("account", "reset-link", "--user", "carol@localhost")["url"]
    for url in (invitation, link):
        async with front.http.get(url) as page:
            assert page.status == 200
    form = {"password": "chosen", "again": "chosen"}
    browser = {"Sec-Fetch-Site": "same-origin", "Origin": "null"}
    async with front.http.post(link, data=form, headers=FORGED | browser) as page:
        assert page.status == 200
    done = front.server.command("account", "check-password", "--user", "carol@localhost", input="chosen\n")
    assert done.returncode == 0
    [line] = [line for line in front.server.log.splitlines() if "password_changed" in line]
    assert CLIENT_HOST in line


async def test_files_pass_as_they_come(front: Front) -> None:
    octets = bytes(range(256)) * 20_000  # more than nginx takes where nobody says otherwise
    front.server.register("dave", "secret")
    wanted = ("--user", "dave@localhost", "--filename", "cat.png", "--size", str(len(octets)))
    done = front.server.command("http-upload", "get-own-url", *wanted, "--json")
    assert done.returncode == 0, done.stderr
    urls = json.loads(done.stdout)
    async with front.http.put(urls["put_url"], data=io.BytesIO(octets)) as answer:
        assert (answer.status, await answer.text()) == (201, "The file is there.\n")
    async with front.http.get(urls["get_url"], headers={"Range": "bytes=1000-"}) as answer:
        assert (answer.status, await answer.read()) == (206, octets[1_000:])
    async with front.http.get(urls["get_url"]) as answer:
        assert (answer.status, await answer.read()) == (200, octets)


async def test_port_80_answers_authorities_and_sends_everybody_else_to_https(front: Front) -> None:
    plain = f"http://{DOMAIN}:{front.proxy.http_port}"
    async with front.http.get(f"{plain}/.well-known/acme-challenge/token") as answer:
        assert (answer.status, await answer.text()) == (
            404,
            "No certificate is being ordered with this token.\n",
        )
    async with front.http.get(f"{plain}/http-bind?x=1", allow_redirects=False) as answer:
        assert answer.status == 301
        # Some keep a port that was asked for, which is none where port 80 is 80.
        assert re.fullmatch(rf"https://{DOMAIN}(:\d+)?/http-bind\?x=1", answer.headers["Location"])


async def test_the_largest_stanza_passes(front: Front) -> None:
    alice = await front.websocket("alice")
    bob = BoshClient(front)
    await bob.login("bob")
    room = FRAME_OCTETS - len(message("bob@localhost/bosh", ""))
    held = bob.start()
    await alice.send(message("bob@localhost/bosh", "w" * room))
    (received,) = (await held).children
    assert received.text_of("body") == "w" * room
    held = bob.start(message("alice@localhost/ws", "b" * (room - 1000)))
    assert (await alice.receive()).text_of("body") == "b" * (room - 1000)
    await bob.send(type="terminate")
    await held


async def test_silence_longer_than_the_time_out_of_other_sites_ends_nothing(front: Front) -> None:
    alice = await front.websocket("alice")
    bob = BoshClient(front, wait="60")
    await bob.login("bob")
    held = bob.start()
    with pytest.raises(TimeoutError):
        await alice.raw.receive(timeout=IDLE_SECONDS)
    assert not held.done()
    await alice.send(message("bob@localhost/bosh", "still here"))
    (received,) = (await held).children
    assert received.text_of("body") == "still here"


@pytest.mark.parametrize(
    ("kind", "lines"),
    [("nginx", "proxy_(?:read|send)_timeout"), ("haproxy", "timeout (?:tunnel|server 90s)")],
)
async def test_without_the_time_outs_of_the_page_silence_ends_them(
    kind: Kind, lines: str, tmp_path: Path
) -> None:
    """So the silence above is one that tells something."""
    with served(tmp_path, kind, without=lines) as both:
        async with client_of(*both) as front:
            alice = await front.websocket("alice")
            bob = BoshClient(front)
            await bob.login("bob")
            async with front.http.post(front.url("/http-bind"), data=bob.wrap()) as answer:
                assert answer.status == 504
            cut = await alice.raw.receive(timeout=20)
            assert cut.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR}


def test_haproxy_finds_nothing_to_say_of_the_whole_configuration(tmp_path: Path) -> None:
    judged = judged_by_haproxy(tmp_path, make_certificate(tmp_path, DOMAIN))
    assert judged.returncode == 0, judged.stderr
    assert "WARNING" not in judged.stderr


def hear_features(connection: socket.socket) -> str:
    """Read a stream's header and features."""
    heard = b""
    while b"</stream:features>" not in heard:
        block = connection.recv(65_536)
        assert block, f"the stream ended after {heard!r}"
        heard += block
    return heard.decode()


def first_features(port: int, header: bytes) -> str:
    """Give what a client is offered before it encrypts."""
    with socket.create_connection((HOST, port), timeout=10, source_address=(CLIENT_HOST, 0)) as connection:
        connection.sendall(header)
        return hear_features(connection)


def test_clients_that_are_passed_through_may_not_send_a_password_in_the_clear(tmp_path: Path) -> None:
    """They look like clients of this machine, so the page's second setting forbids it."""
    server = ServerProcess.start(tmp_path)
    header = HEADER.format(domain=DOMAIN).encode()
    try:
        with passing_through(tmp_path, server) as (tcp, tls):
            assert "PLAIN" in first_features(tcp, header)
            configuration = tmp_path / "tidings.toml"
            text = configuration.read_text().replace("[tls]\n", SETTINGS[1].partition("[limits]")[0])
            configuration.write_text(text + SETTINGS[1][SETTINGS[1].index("[limits]") :])
            done = server.command("server", "reload")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "PLAIN" not in first_features(tcp, header)
            assert "<required/>" in first_features(tcp, header)
            trusting = ssl.create_default_context(cafile=str(server.authority))
            with (
                socket.create_connection((HOST, tls), timeout=10, source_address=(CLIENT_HOST, 0)) as bare,
                trusting.wrap_socket(bare, server_hostname=DOMAIN) as secure,
            ):
                secure.sendall(header)
                assert "PLAIN" in hear_features(secure)
    finally:
        server.stop()
