"""Accepting: everybody counts from the first moment, silent strangers go, and a lack of files is told."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.streams.stand import HEADER, standing, until
from tidings.gateways import acceptor as acceptor_module
from tidings.gateways.acceptor import Acceptor
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.http import HttpGateway, HttpOptions
from tidings.gateways.tls import TlsSetup
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry

SOCKETS: list[socket.socket] = []


async def silent(port: int) -> socket.socket:
    """Connect, and say nothing."""
    client = socket.socket()
    SOCKETS.append(client)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return client


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    yield
    hang_up()


def hang_up() -> None:
    while SOCKETS:
        SOCKETS.pop().close()


async def is_refused(client: socket.socket) -> bool:
    async with asyncio.timeout(10):
        try:
            while await asyncio.get_running_loop().sock_recv(client, 4096):
                pass
        except ConnectionError:
            pass
    return True


@asynccontextmanager
async def https(limiter: ConnectionLimiter, directory: Path, **options: object) -> AsyncIterator[int]:
    async with standing(directory=directory) as stand:  # for its certificate
        setup = TlsSetup(stand.gateway.tls.context, {})
        gateway = HttpGateway(HttpOptions(**options), limiter, Supervisor(Telemetry()), setup)  # type: ignore[arg-type]
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        await gateway.listen([listening], encrypted=True)
        try:
            yield port
        finally:
            await gateway.close()


# --- handshakes


async def test_silent_connections_to_the_tls_port_count_before_their_handshake(tmp_path: Path) -> None:
    limiter = ConnectionLimiter(total=3)
    async with standing(directory=tmp_path, direct_tls=True, limiter=limiter) as stand:
        for _ in range(3):
            await silent(stand.port)
        await until(lambda: limiter._count == 3)
        assert await is_refused(await silent(stand.port))
        SOCKETS.pop(0).close()
        await until(lambda: limiter._count == 2)
        client = await stand.connect(stand.trusting())
        await client.say(HEADER, until="</stream:features>")
        assert limiter._count == 3
        await client.close()
        await until(lambda: limiter._count == 2)
        hang_up()


async def test_silent_connections_to_https_count_before_their_handshake(tmp_path: Path) -> None:
    limiter = ConnectionLimiter(total=2)
    async with https(limiter, tmp_path) as port:
        await silent(port)
        await silent(port)
        await until(lambda: limiter._count == 2)
        assert await is_refused(await silent(port))
    await until(lambda: limiter._count == 0)


async def test_the_limit_of_an_address_is_not_for_trusted_proxies(tmp_path: Path) -> None:
    limiter = ConnectionLimiter(total=1)
    async with https(limiter, tmp_path, trusted_proxies=("127.0.0.0/8",)) as port:
        writers = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=ssl._create_unverified_context(), server_hostname="localhost"
            )
            writers.append(writer)
            writer.write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"404" in await reader.readline()
        assert limiter._count == 0
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_a_handshake_has_a_time_limit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor_module, "HANDSHAKE_SECONDS", 0.1)
    limiter = ConnectionLimiter()
    async with standing(directory=tmp_path, direct_tls=True, limiter=limiter) as stand:
        assert await is_refused(await silent(stand.port))
        await until(lambda: limiter._count == 0)


async def test_a_broken_handshake_leaves_nothing(tmp_path: Path) -> None:
    limiter = ConnectionLimiter()
    async with standing(directory=tmp_path, direct_tls=True, limiter=limiter) as stand:
        client = await silent(stand.port)
        await asyncio.get_running_loop().sock_sendall(client, b"this is no TLS" * 10)
        assert await is_refused(client)
        await until(lambda: limiter._count == 0)


async def test_who_speaks_another_protocol_than_http_is_told_so(tmp_path: Path) -> None:
    limiter = ConnectionLimiter()
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2", "xmpp-client"])
    async with https(limiter, tmp_path) as port:
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        await until(lambda: limiter._count == 0)


async def test_closing_breaks_off_handshakes(tmp_path: Path) -> None:
    limiter = ConnectionLimiter()
    async with https(limiter, tmp_path) as port:
        client = await silent(port)
        await until(lambda: limiter._count == 1)
    assert await is_refused(client)
    await until(lambda: limiter._count == 0)


# --- files


async def test_a_lack_of_files_is_told_once_a_minute_and_overcome() -> None:
    made: list[asyncio.Protocol] = []

    class Noted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(self)

    acceptor = Acceptor(ConnectionLimiter(), Supervisor(Telemetry()), lambda _: Noted())
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    acceptor.listen(listening)
    clients = [socket.socket() for _ in range(2)]
    for client in clients:
        client.setblocking(False)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)  # the lowest that is free
    with capture_logs() as logs:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            loop = asyncio.get_running_loop()
            for client in clients:
                await loop.sock_connect(client, ("127.0.0.1", port))
            await until(lambda: bool(logs))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await until(lambda: len(made) == 2)
    assert [line["event"] for line in logs] == ["out_of_files"]
    assert logs[0]["limit"] == free
    acceptor.close()
    for client in clients:
        client.close()
