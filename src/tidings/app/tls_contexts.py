"""The TLS contexts of a server: one for each certificate, chosen by the name that a client asks for.

A listener is given one context, the entrance, and changes over to that of the name in every handshake. So a
certificate that is read anew is shown in the next handshake, and nobody who is connected is disturbed.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from tidings.app import certificates
from tidings.app.certificates import CertificateError, Pair
from tidings.app.options import Config
from tidings.base.network import to_ascii
from tidings.gateways.tls import XMPP_PROTOCOL

log = structlog.get_logger("tidings.certificates")

_LISTED: Final = 5
_AT_ONCE: Final = 20  # certificates that are made known before others have their turn


class Loaded(NamedTuple):
    """A certificate in use."""

    context: ssl.SSLContext
    der: bytes
    digest: bytes
    """Of all files that it was made from."""
    pair: Pair
    ends: float
    """In seconds since the epoch."""


class Found(NamedTuple):
    """What reading certificates anew has found."""

    changed: Sequence[tuple[Loaded, Sequence[str]]]
    """Those that are used from now on, with their domains."""
    problems: Sequence[str]
    unchanged: int


class Loader:
    """Makes contexts from files, all with the same rules."""

    def __init__(self, minimum_version: str, alpn: Sequence[str], authority: Path | None) -> None:
        self.minimum_version = minimum_version
        self._alpn = alpn
        self._authority = authority

    def load(self, pair: Pair) -> Loaded:
        """Make the context of a certificate, or raise `CertificateError`."""
        # What is compared is read first: a file that changes meanwhile is read again by the next reload.
        digest = self.digest(pair)
        context = certificates.make_context(pair, self.minimum_version, self._alpn)
        if self._authority is not None:
            certificates.ask_clients(context, self._authority)
        der = certificates.certificate_of(pair)
        return Loaded(context, der, digest, pair, certificates.end_of(der))

    def digest(self, pair: Pair) -> bytes:
        """Tell the files of a certificate from others by their content."""
        digest = hashlib.sha256()
        for file in (pair.certificate, pair.key, *([self._authority] if self._authority else ())):
            try:
                content = file.read_bytes()
            except OSError:
                content = b""  # told when it is loaded
            digest.update(len(content).to_bytes(8) + content)
        return digest.digest()


class Certificates:
    """The certificates of a server by domain; the first domain's is for clients that ask for no other."""

    def __init__(self, loader: Loader, pairs: Mapping[str, Pair], directory: Path) -> None:
        self._loader = loader
        self._directory = directory
        by_pair = {pair: loader.load(pair) for pair in dict.fromkeys(pairs.values())}
        self._by_domain = {domain: by_pair[pair] for domain, pair in pairs.items()}
        self._by_name = {to_ascii(domain): loaded for domain, loaded in self._by_domain.items()}
        self._default = next(iter(pairs))
        self._listeners: list[Callable[[ssl.SSLContext, bytes], None]] = []
        self._entrances: list[ssl.SSLContext] = []
        """The contexts that listeners have, in which every handshake begins."""
        for loaded in by_pair.values():
            loaded.context.sni_callback = self._choose

    def listen(self, listener: Callable[[ssl.SSLContext, bytes], None]) -> None:
        """Tell this every context with its certificate (DER), those of now and those to come."""
        self._listeners.append(listener)
        for loaded in {id(each): each for each in self._by_domain.values()}.values():
            listener(loaded.context, loaded.der)

    def context_for(self, domain: str) -> ssl.SSLContext:
        """Give the context for a domain; it changes over by itself when the client names another one."""
        entrance = self._by_domain[domain].context
        self._entrances.append(entrance)
        return entrance

    def certificate_for(self, domain: str) -> bytes:
        """Give the domain's certificate as DER, from which tls-server-end-point is made (RFC 5929 §4)."""
        return self._by_domain[domain].der

    def use_minimum_version(self, minimum_version: str) -> None:
        """Accept this version of TLS and later ones from the next handshake on."""
        self._loader.minimum_version = minimum_version
        for context in (*self._entrances, *(loaded.context for loaded in self._by_domain.values())):
            context.minimum_version = certificates.tls_version(minimum_version)

    def in_use(self) -> dict[str, Loaded]:
        """Give the certificate that is shown for each domain now."""
        return dict(self._by_domain)

    def shown_for(self, domain: str) -> Loaded:
        """Give the certificate that clients of a domain are shown."""
        return self._by_domain.get(domain) or self._by_domain[self._default]

    def add(self, domain: str) -> bool:
        """Take the certificate of a domain from the certificate directory, and tell whether there is one.

        What cannot be used is logged; clients that ask for the domain then get the first domain's.
        """
        pair = certificates.find_pair(self._directory, domain)
        if pair is None:
            return False
        try:
            loaded = self._loader.load(pair)
        except CertificateError as error:
            log.warning("certificate", problem=str(error), domain=domain)
            return False
        self._tell(loaded)
        self._use(domain, loaded)
        return True

    def discard(self, domain: str) -> None:
        """Forget the certificate of a domain that is not served any more."""
        if self._by_domain.pop(domain, None) is not None:
            del self._by_name[to_ascii(domain)]

    async def read(self, pairs: Mapping[str, Pair]) -> Found:
        """Read the files of these domains anew, and change nothing."""
        return await asyncio.to_thread(self._read_anew, pairs, dict(self._by_domain))

    async def use(self, found: Found) -> None:
        """Use what was read; where it cannot be used, the old ones stay."""
        for number, (loaded, domains) in enumerate(found.changed, 1):
            self._tell(loaded)
            for domain in domains:
                self._use(domain, loaded)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _read_anew(self, pairs: Mapping[str, Pair], now: Mapping[str, Loaded]) -> Found:
        domains_of: dict[Pair, list[str]] = {}
        for domain, pair in pairs.items():
            domains_of.setdefault(pair, []).append(domain)
        changed: list[tuple[Loaded, list[str]]] = []
        problems: list[str] = []
        unchanged = 0
        for pair, domains in domains_of.items():
            digest = self._loader.digest(pair)
            if all(domain in now and now[domain].digest == digest for domain in domains):
                unchanged += 1
                continue
            try:
                changed.append((self._loader.load(pair), domains))
            except CertificateError as error:
                problems.append(f"{error} (until then, the old certificate is used for {some(domains)})")
        return Found(changed, problems, unchanged)

    def _use(self, domain: str, loaded: Loaded) -> None:
        self._by_domain[domain] = self._by_name[to_ascii(domain)] = loaded

    def _tell(self, loaded: Loaded) -> None:
        loaded.context.sni_callback = self._choose
        for listener in self._listeners:
            listener(loaded.context, loaded.der)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        wanted = self._by_name.get((name or "").lower()) or self._by_domain.get(self._default)
        if wanted is not None:
            connection.context = wanted.context


def load(config: Config, now: datetime | None = None, alpn: Sequence[str] = (XMPP_PROTOCOL,)) -> Certificates:
    """Load the certificate of every domain, making the self-signed one when it is needed.

    `alpn` are the protocols of the listener (RFC 7301 §3.1). Raises `CertificateError` when one cannot be
    used at all; an expired one is, and `findings` tells of it.
    """
    pairs = certificates.pairs_of(config)
    make_own(pairs, now)
    authority = Path(config.tls.client_authority) if config.tls.client_authority else None
    loader = Loader(config.tls.minimum_version, alpn, authority if XMPP_PROTOCOL in alpn else None)
    return Certificates(loader, pairs, config.certificate_directory)


def make_own(pairs: Mapping[str, Pair], now: datetime | None = None) -> None:
    """Make the self-signed certificate where a domain needs it and there is none that will do."""
    own = [domain for domain, pair in pairs.items() if pair.is_own]
    if own:
        certificates.ensure_self_signed(pairs[own[0]], own, now or datetime.now(UTC))


def is_own_due(pairs: Mapping[str, Pair], now: datetime | None = None) -> bool:
    """Tell whether `make_own` would make the self-signed certificate."""
    own = [domain for domain, pair in pairs.items() if pair.is_own]
    return bool(own) and not certificates.is_usable_own(pairs[own[0]], own, now or datetime.now(UTC))


def warn(pairs: Mapping[str, Pair]) -> None:
    """Log what is wrong with certificates, but for their end, which the watch tells of.

    A server with an expired one serves all the same.
    """
    by_pair: dict[Pair, list[str]] = {}
    for domain, pair in pairs.items():
        by_pair.setdefault(pair, []).append(domain)
    for pair, domains in by_pair.items():
        for finding in certificates.findings(pair, domains, datetime.now(UTC)):
            if finding.is_ending:
                continue
            log.warning("certificate", problem=finding.text, mend=finding.mend)


def some(names: Sequence[str]) -> str:
    """List names for people; not all where they are many."""
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
