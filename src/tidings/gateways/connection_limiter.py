"""ConnectionLimiter: how many connections may come in, in total and from one address."""

from __future__ import annotations

from collections import Counter

import structlog

from tidings.base.network import is_loopback, network_of

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
        network = network_of(address)
        if self._per_address and self._addresses[network] >= self._per_address and not is_loopback(address):
            log.info("too_many_connections_from_address", address=address, limit=self._per_address)
            return False
        self._is_full = False
        self._count += 1
        self._addresses[network] += 1
        return True

    def leave(self, address: str) -> None:
        """One that was admitted is gone."""
        network = network_of(address)
        self._count -= 1
        self._addresses[network] -= 1
        if not self._addresses[network]:
            del self._addresses[network]
