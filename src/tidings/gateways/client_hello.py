"""ClientHello: what a TLS client offers by ALPN, read before the handshake, which reads it again.

The standard library answers a client that offers other protocols alone with none, and does not tell that it
offered any; RFC 7301 §3.2 wants it refused, so that nobody leads a browser to a port of XMPP. What is read
here decides that refusal alone: a message that makes no sense offers nothing, and the handshake says what
is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from socket import MSG_PEEK, SO_RCVLOWAT, SOL_SOCKET, socket
from typing import Final

NO_APPLICATION_PROTOCOL: Final = bytes((21, 3, 3, 0, 2, 2, 120))
"""The alert for a client that offers none of our protocols (RFC 8446 §5.1, §6; RFC 7301 §3.2)."""

_HANDSHAKE: Final = 22  # RFC 8446 §5.1: the type of a record
_RECORD: Final = 5  # octets before a record's content: type, version, length
_MESSAGE: Final = 4  # octets before a handshake message's body: type, length
_ALPN: Final = 16  # RFC 7301 §3.1: the type of an extension
_LONGEST: Final = 32 * 1024
"""Where a hello does not end within so many octets, it is left to the handshake."""


async def offered_protocols(client: socket) -> tuple[bytes, ...]:
    """Give the protocols that the client offers, none where it offers none; its octets stay to be read.

    Waits for the whole ClientHello, however it is cut up, and has no time limit of its own.
    """
    try:
        return tuple(_protocols(await _client_hello(client)))
    except IndexError:  # it is cut off, or it is none
        return ()
    finally:
        client.setsockopt(SOL_SOCKET, SO_RCVLOWAT, 1)


async def _client_hello(client: socket) -> bytes:
    """Give the body of the first handshake message, which may lie in several records (RFC 8446 §5.1)."""
    message = b""
    end = 0
    while len(message) < _MESSAGE or len(message) < _MESSAGE + int.from_bytes(message[1:_MESSAGE]):
        head = (await _peek(client, end + _RECORD))[end:]
        if head[0] != _HANDSHAKE or end > _LONGEST:
            return b""
        start, end = end + _RECORD, end + _RECORD + (head[3] << 8 | head[4])
        message += (await _peek(client, end))[start:]
    return message[_MESSAGE:]


async def _peek(client: socket, count: int) -> bytes:
    """Give that many octets when they have come, and fewer when the client has left before."""
    client.setsockopt(SOL_SOCKET, SO_RCVLOWAT, count)  # else what has come wakes us until the rest has, too
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(client, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(client)
    return client.recv(count, MSG_PEEK)


def _protocols(hello: bytes) -> Iterator[bytes]:
    """Read the names in the extension of a ClientHello (RFC 8446 §4.1.2, RFC 7301 §3.1)."""
    at = 2 + 32  # version, random
    at += 1 + hello[at]  # session id
    at += 2 + (hello[at] << 8 | hello[at + 1])  # cipher suites
    at += 1 + hello[at]  # compression methods
    at += 2  # how long the extensions are: to the end
    while at + 4 <= len(hello):
        kind, length = hello[at] << 8 | hello[at + 1], hello[at + 2] << 8 | hello[at + 3]
        at += 4
        if kind == _ALPN:
            end, at = at + length, at + 2
            while at < end:
                yield hello[at + 1 : at + 1 + hello[at]]
                at += 1 + hello[at]
            return
        at += length
