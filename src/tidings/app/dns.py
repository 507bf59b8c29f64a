"""DNS: where clients are sent to, asked of the machine's resolver or of one that is named; short time-outs.

Nothing is cached, and nobody waits longer than `SECONDS` for an answer: this is for `tidings check`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Any, Final, NamedTuple

from tidings.base.errors import TidingsError

SECONDS: Final = 2.0
"""How long one question may take."""

_RESOLVERS: Final = Path("/etc/resolv.conf")
_NOT_PUBLIC: Final = ("localhost", "test", "invalid", "local", "internal", "onion", "home.arpa")
"""Names below these lead nowhere on the Internet (RFC 6761, RFC 6762, RFC 8375)."""


class NoAnswerError(TidingsError):
    """No resolver has answered, or none knows; this says nothing about the name."""


class Target(NamedTuple):
    """Where an SRV record sends clients (RFC 2782)."""

    host: str
    """Without the dot at its end; "" where the record says that there is no such service."""
    port: int
    priority: int
    weight: int


def has_resolver() -> bool:
    """Tell whether this machine knows whom to ask."""
    try:
        lines = _RESOLVERS.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split()[:1] == ["nameserver"] for line in lines)


def is_public(domain: str) -> bool:
    """Tell whether a domain can have records on the Internet: no address, no name for use in one place."""
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        is_special = any(domain == name or domain.endswith(f".{name}") for name in _NOT_PUBLIC)
        return "." in domain and not is_special
    return False


def is_of_this_machine(address: str) -> bool:
    """Tell whether an IP address is one of this machine's: only those can be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def own_address_towards(address: str) -> str:
    """Give the address that this machine would connect from, "" where it has no way; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 53))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


class Resolver:
    """Asks the machine's resolvers, or one that is named by `ADDRESS` or `ADDRESS:PORT`."""

    def __init__(self, server: str = "") -> None:
        import aiodns  # noqa: PLC0415  # loaded only where names are looked up

        self._absent = (aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA)
        self._error = aiodns.error.DNSError
        self._resolver = aiodns.DNSResolver(
            nameservers=[server] if server else None, timeout=SECONDS, tries=1
        )

    async def close(self) -> None:
        """Let go of its sockets."""
        await self._resolver.close()

    async def services(self, name: str) -> list[Target]:
        """Give the targets of an SRV record, the first to try first; none where there is no such record."""
        found = [
            Target(each.target.rstrip("."), each.port, each.priority, each.weight)
            for each in await self._ask(name, "SRV")
        ]
        return sorted(found, key=lambda target: (target.priority, -target.weight, target.host))

    async def addresses(self, host: str) -> list[str]:
        """Give the IP addresses of a host."""
        return [each.addr for kind in ("A", "AAAA") for each in await self._ask(host, kind)]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        """Give the data of the records of one kind; names that lead to them by CNAME are left out."""
        import pycares  # noqa: PLC0415

        wanted = getattr(pycares, f"{kind}RecordData")
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._resolver.query_dns(name, kind)
        except self._error as error:
            if error.args[0] in self._absent:
                return []
            raise NoAnswerError(f"the resolver does not answer ({error.args[1]})") from None
        except TimeoutError:
            raise NoAnswerError("the resolver does not answer in time") from None
        return [record.data for record in answer.answer if isinstance(record.data, wanted)]
