"""ConnectionLimiter: how many connections may come in, in total and from one address."""

from __future__ import annotations

import ipaddress
from collections import Counter

import structlog

log = structlog.get_logger("tidings.limiter")


class ConnectionLimiter:
    """Counts connections of all doors; 0 means no limit. Loopback is never limited by address.

    An IPv6 client has a whole /64 to itself, so that these are counted instead of single addresses.
    """

    def __init__(self, *, total: int = 0, per_address: int = 0) -> None:
        self._total = total
        self._per_address = per_address
        self._count = 0
        self._is_full = False  # so that a flood is told of once
        self._addresses: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """Tell whether one more may come in from there; if so, `leave` must be called once."""
        if self._total and self._count >= self._total:
            if not self._is_full:
                log.warning("too_many_connections", limit=self._total)
            self._is_full = True
            return False
        network = _network(address)
        if self._per_address and self._addresses[network] >= self._per_address and not is_loopback(address):
            log.info("too_many_connections_from_address", address=address, limit=self._per_address)
            return False
        self._is_full = False
        self._count += 1
        self._addresses[network] += 1
        return True

    def leave(self, address: str) -> None:
        """One that was admitted is gone."""
        network = _network(address)
        self._count -= 1
        self._addresses[network] -= 1
        if not self._addresses[network]:
            del self._addresses[network]


def _network(address: str) -> str:
    """Give the /64 of an IPv6 address, and any other address as it is."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return address if parsed.ipv4_mapped else str(ipaddress.IPv6Network((parsed, 64), strict=False))


def is_loopback(address: str) -> bool:
    """Tell whether the address is of this machine alone; a Unix socket's empty one is."""
    if not address:
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
