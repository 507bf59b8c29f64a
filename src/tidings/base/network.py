"""Network addresses: which are of this machine, and which are one neighbour to a limit."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> IpAddress | None:
    """Read an IP address, or give None where the text is none.

    A zone (`%eth0`) is left out. An IPv6 address that stands for an IPv4 one (`::ffff:192.0.2.1`) is read as
    that one: a socket that takes both calls an IPv4 client so.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return address.ipv4_mapped or ipaddress.IPv6Address(int(address))


def is_loopback(address: str) -> bool:
    """Tell whether a peer is on this machine; one of a Unix socket, whose address is empty, always is."""
    if not address:
        return True
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def network_of(address: str) -> str:
    """Give what a limit counts as one attacker: an IPv4 address, or the /64 that a subscriber of IPv6 has.

    What is no IP address is given back as it is.
    """
    parsed = parse_address(address)
    if parsed is None:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def to_ascii(domain: str) -> str:
    """Write a domain as TLS does: A-labels, and no brackets around an address."""
    if domain.isascii():
        return domain.strip("[]").lower()
    import idna  # noqa: PLC0415  # large tables, needed by few

    return idna.encode(domain, uts46=True).decode()
