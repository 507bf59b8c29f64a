"""What `tidings check` finds out by connecting as a client would: the certificate that is shown, host-meta.

It goes where DNS sends clients, and only where the server runs. Nothing here fails the check: this machine
may not be let out, or may not reach itself by the address that the world uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from tidings.app import dns
from tidings.app.certificate_words import why_refused
from tidings.app.certificates import CertificateError, Pair, certificate_of, pairs_of
from tidings.app.check_dns import NOT
from tidings.app.finding import Finding, Status
from tidings.app.options import Config
from tidings.base.network import to_ascii

SECONDS: Final = 4.0
"""How long one connection may take."""
SUBJECT: Final = "seen from outside"

_MOST: Final = 20
_HEADER: Final = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' to='{}' version='1.0'>"
)
_STARTTLS: Final = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
_HOST_META: Final = "/.well-known/host-meta"
_HTTPS: Final = 443
_WEBSOCKET: Final = "urn:xmpp:alt-connections:websocket"


class _Place(NamedTuple):
    """Where a client connects, and whether TLS comes first."""

    host: str
    port: int
    direct_tls: bool


async def seen(
    config: Config, process: int, resolver: str = "", *, https_port: int = _HTTPS
) -> list[Finding]:
    """Tell what clients of each domain meet; `process` is the server that runs, or 0."""
    public = [domain for domain in config.domains if dns.is_public(to_ascii(domain))]
    if not public or resolver == NOT or not (resolver or dns.has_resolver()):
        return []
    if not process:
        return [_told("ok", "not looked at, since the server does not run")]
    asked = dns.Resolver(resolver)
    try:
        found = [await _of_domain(config, domain, asked, https_port) for domain in public[:_MOST]]
    finally:
        await asked.close()
    return [finding for each in found for finding in each]


async def _of_domain(config: Config, domain: str, resolver: dns.Resolver, https_port: int) -> list[Finding]:
    name = to_ascii(domain)
    findings = []
    try:
        for place in await _places(name, resolver):
            addresses = await resolver.addresses(place.host)
            if addresses:
                findings.append(await _certificate(domain, pairs_of(config)[domain], place, addresses[0]))
        addresses = await resolver.addresses(name)
    except dns.NoAnswerError as error:
        return [*findings, _told("ok", f"{domain} was not looked at: {error}")]
    if addresses and {"http", "https"} & config.listen.enabled().keys():
        findings.append(await _host_meta(domain, addresses[0], https_port))
    return findings


async def _places(name: str, resolver: dns.Resolver) -> list[_Place]:
    """Give where clients go first, of each kind."""
    plain = await resolver.services(f"_xmpp-client._tcp.{name}")
    direct = await resolver.services(f"_xmpps-client._tcp.{name}")
    places = [_Place(each.host, each.port, direct_tls=True) for each in direct[:1] if each.host]
    if not plain:
        return [*places, _Place(name, 5222, direct_tls=False)]
    return [*places, *(_Place(each.host, each.port, direct_tls=False) for each in plain[:1] if each.host)]


async def _certificate(domain: str, pair: Pair, place: _Place, address: str) -> Finding:
    """Tell what clients find at one place."""
    where = f"{domain}: at {place.host}, port {place.port},"
    loose = ssl.create_default_context()
    loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
    try:
        async with _encrypted(domain, place, address, loose) as shown:
            der = shown.getpeercert(binary_form=True)
        with contextlib.suppress(CertificateError):
            if der != certificate_of(pair):
                text = f"{where} another certificate is shown than {pair.certificate}"
                mend = "tidings server reload, if that one is new; else another program answers there"
                return _told("warn", text, mend)
        async with _encrypted(domain, place, address, ssl.create_default_context()):
            return _told("ok", f"{where} clients find a certificate that they can trust")
    except ssl.SSLCertVerificationError as error:
        mend = "get a certificate of a public authority: docs/how-to/certificates.md"
        return _told("warn", f"{where} clients refuse the certificate: {why_refused(error, domain)}", mend)
    except TimeoutError:
        return _told("ok", f"{where} nobody answers this machine; whether others are answered is not known")
    except (OSError, EOFError) as error:  # ssl.SSLError is one
        text = f"{where} there is no TLS to be had: {getattr(error, 'strerror', '') or error}"
        return _told("warn", text, "let this port lead to the server")


@contextlib.asynccontextmanager
async def _encrypted(
    domain: str, place: _Place, address: str, context: ssl.SSLContext
) -> AsyncIterator[ssl.SSLObject]:
    """Connect as a client of the domain does, up to where TLS stands."""
    name = to_ascii(domain)
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(
            address,
            place.port,
            ssl=context if place.direct_tls else None,
            server_hostname=name if place.direct_tls else None,
        )
        try:
            if not place.direct_tls:
                writer.write(_HEADER.format(domain).encode())
                await reader.readuntil(b"</stream:features>")
                writer.write(_STARTTLS)
                await reader.readuntil(b">")
                await writer.start_tls(context, server_hostname=name)
            yield writer.get_extra_info("ssl_object")
        finally:
            writer.transport.abort()


async def _host_meta(domain: str, address: str, port: int) -> Finding:
    """Tell whether web clients that know the domain alone find WebSocket and BOSH (XEP-0156)."""
    import aiohttp  # noqa: PLC0415  # loading it takes a while

    said = f"{domain}: https://{domain}{_HOST_META}"
    mend = (
        "web clients find WebSocket and BOSH by it: let the web server of the domain pass it on to this one"
    )
    shown_address = f"[{address}]" if ":" in address else address
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session,
            session.get(
                f"https://{shown_address}:{port}{_HOST_META}",
                headers={"Host": to_ascii(domain)},
                server_hostname=to_ascii(domain),
                ssl=ssl.create_default_context(),  # aiohttp's own is as old as its module
                allow_redirects=False,
            ) as response,
        ):
            body = await response.text()
            is_open = response.headers.get("Access-Control-Allow-Origin") == "*"
    except aiohttp.ClientConnectorCertificateError as error:
        refused = error.certificate_error
        reason = (
            why_refused(refused, domain) if isinstance(refused, ssl.SSLCertVerificationError) else refused
        )
        return _told("warn", f"{said}: browsers refuse the certificate: {reason}", mend)
    except TimeoutError:
        return _told("ok", f"{said}: nobody answers this machine; whether others are answered is not known")
    except (aiohttp.ClientError, OSError, ValueError):
        return _told("warn", f"{said} cannot be had", mend)
    if response.status != 200 or _WEBSOCKET not in body:
        return _told("warn", f"{said} has nothing about WebSocket and BOSH (status {response.status})", mend)
    if not is_open:
        text = f"{said} may not be read by pages of other sites"
        return _told("warn", text, "add the header Access-Control-Allow-Origin: *")
    return _told("ok", f"{said} tells where WebSocket and BOSH are")


def _told(status: Status, text: str, mend: str = "") -> Finding:
    return Finding(status=status, subject=SUBJECT, text=text, mend=mend)
