"""Doorkeeper: how many connections may come in, in total and from one address."""

from __future__ import annotations

import ipaddress
from collections import Counter

import structlog

log = structlog.get_logger("tidings.doorkeeper")


class Doorkeeper:
    """Counts connections of all doors; 0 means no limit. Loopback is never limited by address."""

    def __init__(self, *, total: int = 0, per_address: int = 0) -> None:
        self._total = total
        self._per_address = per_address
        self._count = 0
        self._addresses: Counter[str] = Counter()

    def admit(self, address: str) -> bool:
        """Tell whether one more may come in from there; if so, `leave` must be called once."""
        if self._total and self._count >= self._total:
            log.warning("too_many_connections", limit=self._total)
            return False
        if self._per_address and self._addresses[address] >= self._per_address and not is_loopback(address):
            log.warning("too_many_connections_from_address", address=address, limit=self._per_address)
            return False
        self._count += 1
        self._addresses[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One that was admitted is gone."""
        self._count -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


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
