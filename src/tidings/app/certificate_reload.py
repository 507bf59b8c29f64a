"""CertificateReload: the part of a reload that reads certificates anew, as files and as options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from tidings.app import certificates, tls_contexts
from tidings.app.certificates import CertificateError, Pair
from tidings.app.options import Config
from tidings.app.reload import Prepared
from tidings.app.tls_contexts import Certificates, Found, some
from tidings.kernel.domains import Domains, Source

OPTIONS = frozenset(
    {
        "tls.certificate",
        "tls.key",
        "tls.directory",
        "host.*.certificate",
        "host.*.key",
    }
)
"""What is taken over while the server runs."""


class CertificateReload:
    """Reads certificates anew; the next handshake shows them.

    Each certificate is taken by itself: where one cannot be used, its domains keep the one that they have.
    """

    options = OPTIONS

    def __init__(
        self, served: Iterable[Certificates], domains: Domains, on_use: Callable[[], object]
    ) -> None:
        """`on_use` is told whenever certificates have been taken over."""
        self._served = tuple(served)
        self._on_use = on_use
        self._domains = domains

    async def prepare(self, config: Config, *, dry_run: bool) -> Prepared:
        """Read the files of every domain that is served."""
        pairs = await asyncio.to_thread(self._pairs, config, self._added())
        told: list[str] = []
        if dry_run and await asyncio.to_thread(tls_contexts.is_own_due, pairs):
            own = [domain for domain, pair in pairs.items() if pair.is_own]
            told.append(f"certificates: the self-signed one made anew ({some(own)})")
            pairs = {domain: pair for domain, pair in pairs.items() if not pair.is_own}
        try:
            await asyncio.to_thread(tls_contexts.make_own, {} if dry_run else pairs)
        except CertificateError as error:
            return Prepared(lambda: None, (), (str(error),))
        found = [await served.read(pairs) for served in self._served]
        problems = dict.fromkeys(problem for each in found for problem in each.problems)
        names = [domain for _, domains in found[0].changed for domain in domains]
        of_whom = f" ({some(names)})" if names else ""
        told.append(
            f"certificates: {len(found[0].changed)} read anew{of_whom}, {found[0].unchanged} unchanged"
        )
        return Prepared(
            lambda: self._use(found, {name: pairs[name] for name in names}),
            tuple(told),
            tuple(problems),
        )

    async def _use(self, found: Iterable[Found], changed: Mapping[str, Pair]) -> None:
        for served, each in zip(self._served, found, strict=True):
            await served.use(each)
        await asyncio.to_thread(tls_contexts.warn, changed)
        self._on_use()

    def _added(self) -> list[str]:
        """Give the domains that were added while the server runs."""
        served = ((domain, self._domains.get(domain)) for domain in self._domains)
        return [domain for domain, each in served if each is not None and each.source is Source.DATABASE]

    def _pairs(self, config: Config, added: Iterable[str]) -> dict[str, Pair]:
        """Find the files of every domain that the server serves now, whatever the configuration has since."""
        found = {
            domain: pair for domain, pair in certificates.pairs_of(config).items() if domain in self._domains
        }
        for domain in added:
            pair = certificates.find_pair(config.certificate_directory, domain)
            if pair is not None and domain not in found:
                found[domain] = pair
        return found
