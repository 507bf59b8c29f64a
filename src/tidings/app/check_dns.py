"""What `tidings check` finds out in DNS: whether clients of each domain are led to this server.

Nothing here fails the check: what cannot be looked at, for want of a resolver or of a network, is said.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from typing import Final, NamedTuple

from tidings.app import dns
from tidings.app.finding import Finding, Status
from tidings.app.options import Config
from tidings.base.network import to_ascii

NOT: Final = "none"
"""What stands for a resolver where none is to be asked."""
SUBJECT: Final = "dns"

_MOST: Final = 20
"""Domains that are looked up; a server of thousands has them alike."""


class _Service(NamedTuple):
    """A record by which clients find a listener."""

    record: str
    listener: str
    standard_port: int
    """The port that clients try without a record; 0 where they try none."""


_SERVICES: Final = (
    _Service("_xmpp-client._tcp", "tcp", 5222),  # RFC 6120 §3.2
    _Service("_xmpps-client._tcp", "tls", 0),  # XEP-0368
)
_SERVERS: Final = "_xmpp-server._tcp"


async def names(config: Config, resolver: str = "") -> list[Finding]:
    """Tell where DNS leads the clients of each domain; `resolver` is whom to ask, else the machine's."""
    public = [domain for domain in config.domains if dns.is_public(to_ascii(domain))]
    if not public:
        return []
    if resolver == NOT:
        return [_told("ok", "not looked at, as it was asked")]
    if not resolver and not dns.has_resolver():
        return [_told("ok", "not looked at: this machine has no resolver")]
    asked = dns.Resolver(resolver)
    try:
        found = await asyncio.gather(*(_of_domain(config, domain, asked) for domain in public[:_MOST]))
    finally:
        await asked.close()
    more = len(public) - _MOST
    rest = [_told("ok", f"{more} more domains were not looked at")] if more > 0 else []
    return [finding for each in found for finding in each] + rest


async def _of_domain(config: Config, domain: str, resolver: dns.Resolver) -> list[Finding]:
    name = to_ascii(domain)
    findings: list[Finding] = []
    try:
        addresses = await resolver.addresses(name)
        for service in _SERVICES:
            targets = await resolver.services(f"{service.record}.{name}")
            if targets:
                findings += [await _led(config, domain, service, each, resolver) for each in targets]
            else:
                findings += _not_led(config, domain, service, has_address=bool(addresses))
        servers = [each for each in await resolver.services(f"{_SERVERS}.{name}") if each.host]
    except dns.NoAnswerError as error:
        return [_told("ok", f"{domain} was not looked at: {error}")]
    if servers:
        text = f"{domain}: {_SERVERS} invites other servers, which this one does not talk to"
        findings.append(_told("warn", text, 'remove the record, or let its target be "."'))
    return findings


def _not_led(config: Config, domain: str, service: _Service, *, has_address: bool) -> Iterator[Finding]:
    """Tell what clients do where there is no record."""
    listener = config.listen.enabled().get(service.listener)
    if listener is None:
        return
    said = f"{domain}: there is no record {service.record}"
    port = listener.port or "PORT"
    mend = f"a record would be: {service.record}.{to_ascii(domain)}. IN SRV 0 5 {port} HOST."
    if not service.standard_port:
        yield _told("ok", f"{said}, so that clients do not find port {port} (TLS from the first octet)", mend)
    elif not has_address:
        yield _told("warn", f"{said} and no address of {domain}: no client finds this server", mend)
    elif listener.port != service.standard_port:
        text = (
            f"{said}; clients try port {service.standard_port}, but [listen.{service.listener}] is on {port}"
        )
        yield _told("warn", text, mend)
    else:
        yield _told("ok", f"{said}; clients ask {domain} itself at port {service.standard_port}")


async def _led(
    config: Config, domain: str, service: _Service, target: dns.Target, resolver: dns.Resolver
) -> Finding:
    """Tell whether a record leads here."""
    if not target.host:
        text = f"{domain}: {service.record} says that there is no such service"
        is_right = service.listener not in config.listen.enabled()
        return _told("ok" if is_right else "warn", text, "" if is_right else "give it a host as its target")
    said = f"{domain}: {service.record} leads to {target.host}, port {target.port}"
    listener = config.listen.enabled().get(service.listener)
    if listener is None:
        return _told("warn", f"{said}, but [listen.{service.listener}] is off", "remove the record")
    addresses = await resolver.addresses(target.host)
    if not addresses:
        text = f"{said}, and {target.host} has no address"
        return _told("warn", text, f"give {target.host} a record A or AAAA")
    if any(map(dns.is_of_this_machine, addresses)):
        if listener.port in {0, target.port}:
            return _told("ok", f"{said}: this machine")
        text = f"{said} of this machine, but [listen.{service.listener}] is on {listener.port}"
        return _told("warn", text, "correct the record or `port`, unless something forwards the port")
    own = dns.own_address_towards(addresses[0])
    if own and ipaddress.ip_address(own).is_global:
        text = f"{said} ({', '.join(addresses)}), which is not this machine ({own})"
        return _told("warn", text, "correct the record, unless what answers there passes clients on to here")
    return _told("ok", f"{said} ({', '.join(addresses)}); whether that comes here is not seen from here")


def _told(status: Status, text: str, mend: str = "") -> Finding:
    return Finding(status=status, subject=SUBJECT, text=text, mend=mend)
