"""A DNS server of the tests' own on loopback: answers by UDP from a table, and says NXDOMAIN to all else."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

A, AAAA, SRV = 1, 28, 33
_ANSWER = 0x8580  # authoritative, recursion available
_NO_SUCH_NAME = 3

Records = Mapping[tuple[str, int], Sequence[bytes]]
"""The data of the records of a name and a type."""


def address(text: str) -> bytes:
    """Write the data of A or AAAA."""
    return ipaddress.ip_address(text).packed


def service(priority: int, weight: int, port: int, host: str) -> bytes:
    """Write the data of SRV; "" is the target that says that there is no such service."""
    return struct.pack("!HHH", priority, weight, port) + write_name(host)


def write_name(name: str) -> bytes:
    """Write a domain name, without compression."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class _Server(asyncio.DatagramProtocol):
    def __init__(self, records: Records, *, is_silent: bool) -> None:
        self._records = records
        self._is_silent = is_silent
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        if self._is_silent:
            return
        assert self._transport is not None
        end = data.index(b"\0", 12)
        (kind,) = struct.unpack_from("!H", data, end + 1)
        found = self._records.get((_read_name(data[12:end]), kind), ())
        is_known = any(name == _read_name(data[12:end]) for name, _ in self._records)
        flags = _ANSWER if found or is_known else _ANSWER | _NO_SUCH_NAME
        question = data[12 : end + 5]
        answers = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(each)) + each for each in found]
        header = data[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0)
        self._transport.sendto(header + question + b"".join(answers), peer)


def _read_name(data: bytes) -> str:
    labels, position = [], 0
    while position < len(data):
        length = data[position]
        labels.append(data[position + 1 : position + 1 + length].decode().lower())
        position += 1 + length
    return ".".join(labels)


@asynccontextmanager
async def serving(records: Records, *, is_silent: bool = False) -> AsyncIterator[str]:
    """Answer from these records, or never; gives `ADDRESS:PORT`."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Server(records, is_silent=is_silent), local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    try:
        yield f"{host}:{port}"
    finally:
        transport.close()
