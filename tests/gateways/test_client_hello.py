"""Reading a ClientHello: however it is cut up, and whatever is sent in its place."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streams.stand import until
from tidings.gateways.client_hello import offered_protocols


def hello_of(*protocols: str) -> bytes:
    """Give the first octets of a client of the standard library: one record."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="example.org")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def in_records(hello: bytes, size: int) -> bytes:
    """Give the same message in records of that many octets."""
    content = hello[5:]
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(hello[:3] + len(part).to_bytes(2, "big") + part for part in parts)


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a TCP connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
        listening.accept()[0] as accepted,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.setblocking(False)
        yield client, accepted


async def read(*parts: bytes) -> tuple[bytes, ...]:
    """Send the parts, and hang up after them."""
    with connected() as (client, accepted):
        reading = asyncio.create_task(offered_protocols(accepted))
        for part in parts:
            client.sendall(part)
            await asyncio.sleep(0)
        client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(10):
            return await reading


HELLO = hello_of("h2", "http/1.1")


@pytest.mark.parametrize("protocols", [(), ("xmpp-client",), ("h2", "http/1.1", "x" * 255)])
async def test_what_is_offered(protocols: tuple[str, ...]) -> None:
    assert await read(hello_of(*protocols)) == tuple(name.encode() for name in protocols)


async def test_a_hello_that_comes_octet_by_octet() -> None:
    assert await read(*(bytes((octet,)) for octet in HELLO)) == (b"h2", b"http/1.1")


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
async def test_a_hello_in_several_records(size: int) -> None:
    assert await read(in_records(HELLO, size)) == (b"h2", b"http/1.1")


async def test_what_is_cut_off_offers_nothing() -> None:
    for length in range(len(HELLO)):
        assert await read(HELLO[:length]) == ()


async def test_what_comes_in_parts_is_waited_for_without_waking() -> None:
    """A stranger who sends half a hello costs nothing while he is silent."""
    with connected() as (client, accepted):
        reading = asyncio.create_task(offered_protocols(accepted))
        client.sendall(HELLO[:100])
        await until(lambda: accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == len(HELLO))
        assert select.select([accepted], [], [], 0)[0] == []
        client.sendall(HELLO[100:])
        assert await reading == (b"h2", b"http/1.1")
        assert accepted.recv(65536) == HELLO
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


@given(st.binary(max_size=200), st.integers(0, len(HELLO)))
def test_whatever_is_sent_is_read_or_offers_nothing(odd: bytes, at: int) -> None:
    changed = HELLO[:at] + odd + HELLO[at + len(odd) :]
    for octets in (odd, changed):
        for name in asyncio.run(read(octets)):
            assert name in octets
