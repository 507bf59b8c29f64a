"""What `tidings check` finds out about certificates: their files, and what became of orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tidings.app import certificates
from tidings.app.acme.ordered import OrderedCertificates
from tidings.app.finding import Finding
from tidings.app.options import Config


def found(config: Config, now: datetime) -> Iterator[Finding]:
    """Tell of every certificate that is used, and of orders that have failed."""
    domains: dict[certificates.Pair, list[str]] = {}
    for domain, pair in certificates.pairs_of(config).items():
        domains.setdefault(pair, []).append(domain)
    for pair, names in domains.items():
        if pair.is_own and not pair.certificate.exists():
            yield Finding(
                status="ok",
                subject="certificate",
                text=f"a self-signed one will be made on first start for {', '.join(names)}",
            )
            continue
        findings = list(certificates.findings(pair, names, now))
        for finding in findings:
            yield Finding(status=finding.level, subject="certificate", text=finding.text, mend=finding.mend)
        if not findings:
            kind = " (self-signed)" if pair.is_own else ""
            ends = datetime.fromtimestamp(certificates.end_of(certificates.certificate_of(pair)), UTC)
            text = f"{pair.certificate}{kind}, until {ends:%Y-%m-%d}"
            yield Finding(status="ok", subject="certificate", text=text)
    if config.acme.enabled:
        yield from _orders(config)


def _orders(config: Config) -> Iterator[Finding]:
    ordered = OrderedCertificates(config.certificate_directory)
    for domain in config.domains:
        state = ordered.state(domain)
        if state is None or not state.problem:
            continue
        again = f"{datetime.fromtimestamp(state.next_try, UTC):%Y-%m-%d %H:%M} UTC"
        yield Finding(
            status="warn",
            subject="certificate",
            text=f"{domain} got none from {config.acme.directory}: {state.problem}",
            mend=f"it is ordered again at {again}, or when you say so: "
            f"tidings certificate renew --domain {domain}",
        )
