"""ConnectionLimiter: how many connections may come in, in total and from one address."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from tidings.base.network import is_loopback, network_of
from tidings.base.seldom_told import SeldomTold

log = structlog.get_logger("tidings.limiter")

TOLD_EVERY: Final = 60.0
"""Seconds until the log tells again that an address is refused, or that files have run out."""


class ConnectionLimiter:
    """Counts connections of all doors; 0 means no limit. Loopback is never limited by address.

    An IPv6 client has a whole /64 to itself, so that these are counted instead of single addresses.
    """

    def __init__(
        self, *, total: int = 0, per_address: int = 0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._per_address = per_address
        self._count = 0
        self.turned_away = {"all": 0, "address": 0}
        """How many were refused: all together, or their address, had as many as they may."""
        self._addresses: Counter[str] = Counter()
        self._refused = SeldomTold(TOLD_EVERY, now)
        self._out_of_files = SeldomTold(TOLD_EVERY, now)
        self._full = SeldomTold(TOLD_EVERY, now)

    def use_limits(self, *, total: int, per_address: int) -> None:
        """Count against other limits from now on; who is in stays in."""
        self._total = total
        self._per_address = per_address

    def admit(self, address: str) -> bool:
        """Tell whether one more may come in from there; if so, `leave` must be called once."""
        if self._total and self._count >= self._total:
            self.turned_away["all"] += 1
            more = self._full.kept_quiet("")
            if more is not None:
                log.warning("too_many_connections", limit=self._total, more=more)
            return False
        network = network_of(address)
        if self._per_address and self._addresses[network] >= self._per_address and not is_loopback(address):
            self.turned_away["address"] += 1
            self._tell(address, network)
            return False
        self._count += 1
        self._addresses[network] += 1
        return True

    def _tell(self, address: str, network: str) -> None:
        """Log that an address is refused, once a minute: strangers must not fill the disk."""
        more = self._refused.kept_quiet(network)
        if more is not None:
            log.info("too_many_connections_from_address", address=address, limit=self._per_address, more=more)

    def tell_out_of_files(self, error: OSError) -> None:
        """Log, once a minute, that connections wait because the process or the machine has no files left."""
        if self._out_of_files.kept_quiet("") is None:
            return
        log.warning(
            "out_of_files",
            reason=error.strerror,
            connections=self._count,
            limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            mend="raise the limit of open files (LimitNOFILE= of the service, ulimit -n), or lower [limits] "
            "connections",
        )

    def leave(self, address: str) -> None:
        """One that was admitted is gone."""
        network = network_of(address)
        self._count -= 1
        self._addresses[network] -= 1
        if not self._addresses[network]:
            del self._addresses[network]
