"""Proxies: whom a trusted proxy speaks for, from what it writes into the headers of a request.

Each proxy adds whom it has heard to the end of what it was sent, in a line of its own or not: the last one
that is no trusted proxy is the client. What stands before that anybody may have written.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import structlog

from tidings.base.network import parse_address
from tidings.base.seldom_told import SeldomTold

log = structlog.get_logger("tidings.proxies")

UNKNOWN: Final = "unknown"
"""The address of a client whose proxy does not name it; it is not this machine (RFC 7239 §6.3)."""

TOLD_EVERY: Final = 3_600.0
"""Seconds until the log tells again that a proxy names nobody."""

_WITH_PORT = re.compile(r"\[([0-9a-f:.%]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""How some proxies write an address: in brackets, or with the port that the client came from."""


class Headers(Protocol):
    """The headers of a request; names are alike in any case."""

    def getall(self, name: str, default: Sequence[str], /) -> Sequence[str]:
        """Give the values of all lines of this name."""
        ...


class Proxies:
    """The proxies that are believed."""

    def __init__(self, networks: Iterable[str], now: Callable[[], float] = time.monotonic) -> None:
        self._networks = tuple(map(ipaddress.ip_network, networks))
        self._told = SeldomTold(TOLD_EVERY, now)

    def has(self, address: str) -> bool:
        """Tell whether this is the address of a proxy that is trusted."""
        parsed = parse_address(address) if self._networks else None
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_of(self, proxy: str, headers: Headers, *, tells: bool = True) -> str:
        """Give the address of the client for whom this proxy asks; `UNKNOWN` where it names none.

        All such clients look like one: they share a throttle, and the connections of one address. So the log
        tells of it, unless this is a request that a proxy may well make for itself.
        """
        heard = [each for each in map(_bare, _entries(headers, "X-Forwarded-For")) if not self.has(each)]
        if heard and parse_address(heard[-1]) is not None:
            return heard[-1]
        if tells:
            self._tell(proxy, "an entry that is no address" if heard else "no client")
        return UNKNOWN

    def is_secure(self, headers: Headers) -> bool:
        """Tell whether the last proxy says that its client's channel is encrypted."""
        return _entries(headers, "X-Forwarded-Proto")[-1:] in (["https"], ["wss"])

    def _tell(self, proxy: str, named: str) -> None:
        """Log it once an hour and proxy."""
        if self._told.kept_quiet(proxy) is None:
            return
        log.warning(
            "proxy_names_nobody",
            proxy=proxy,
            named=named,
            mend="let it add X-Forwarded-For; until then all its clients share one throttle and one limit of "
            "connections",
        )


def _entries(headers: Headers, name: str) -> list[str]:
    """Give the entries of a list header over all its lines, in lower case, in their order."""
    entries = ",".join(headers.getall(name, ())).split(",")
    return [entry.strip().lower() for entry in entries if entry.strip()]


def _bare(entry: str) -> str:
    """Take brackets and a port off an address."""
    found = _WITH_PORT.fullmatch(entry)
    return entry if found is None else found[1] or found[2]
