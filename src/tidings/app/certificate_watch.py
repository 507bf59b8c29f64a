"""CertificateWatch: tells of certificates in use that end soon: 30, 14, 7 and 1 days before, and then.

It looks at what the server shows, not at files: one that was renewed and not taken over is told, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import structlog

from tidings.app.certificates import renewal_of
from tidings.app.tls_contexts import Certificates, Loaded, some
from tidings.kernel.clock import Clock
from tidings.kernel.job import Job
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry

log = structlog.get_logger("tidings.certificates")

DAYS: Final = (0, 1, 7, 14, 30)
"""So many days before its end a certificate is told, once for each."""
MOST_DOMAINS: Final = 100
"""Domains that the metric has: those whose certificates end first."""
_DAY: Final = 86_400.0


class _Ending(NamedTuple):
    """A certificate that is to be told, with its domains and the threshold that it has passed."""

    loaded: Loaded
    domains: Sequence[str]
    days: int


class CertificateWatch:
    """Looks once a day, and whenever it is told that there are others."""

    def __init__(
        self, served: Certificates, clock: Clock, supervisor: Supervisor, telemetry: Telemetry
    ) -> None:
        self._served = served
        self._clock = clock
        self._job = Job("certificates", self._look, clock, supervisor)
        self._told: dict[bytes, int] = {}
        """The last threshold that was told of each certificate in use."""
        telemetry.gauge_by(
            "certificate_ends_timestamp_seconds",
            f"When the certificate of a domain ends; of the {MOST_DOMAINS} domains that come first",
            "domain",
            self._ends,
        )

    async def start(self) -> None:
        """Begin with a look at once."""
        self._job.begin(0)

    def wind_down(self) -> None:
        """Look no more."""
        self._job.stop()

    async def stop(self) -> None:
        """Need nothing more."""

    def look(self) -> None:
        """Look now, since certificates have changed."""
        self._job.begin(0)

    async def _look(self) -> float:
        """Tell of every certificate that has passed a threshold, and give the time until the next look."""
        for ending in await asyncio.to_thread(self._find, self._served.in_use(), self._clock.now()):
            self._told[ending.loaded.digest] = ending.days
            ends = datetime.fromtimestamp(ending.loaded.ends, UTC)
            log.warning(
                "certificate_ends" if ending.days else "certificate_ended",
                certificate=str(ending.loaded.pair.certificate),
                domains=some(ending.domains),
                ends=f"{ends:%Y-%m-%dT%H:%M:%SZ}",
                days=max(0, int((ending.loaded.ends - self._clock.now()) // _DAY)),
                mend=renewal_of(ending.loaded.pair),
            )
        return _DAY

    def _find(self, in_use: Mapping[str, Loaded], now: float) -> list[_Ending]:
        domains: dict[bytes, list[str]] = {}
        by_digest = {loaded.digest: loaded for loaded in in_use.values()}
        for domain, loaded in in_use.items():
            domains.setdefault(loaded.digest, []).append(domain)
        self._told = {digest: days for digest, days in self._told.items() if digest in by_digest}
        found = []
        for digest, loaded in by_digest.items():
            passed = next((days for days in DAYS if loaded.ends - now <= days * _DAY), None)
            if passed is not None and passed < self._told.get(digest, DAYS[-1] + 1):
                found.append(_Ending(loaded, domains[digest], passed))
        return found

    def _ends(self) -> dict[str, float]:
        ends = {domain: loaded.ends for domain, loaded in self._served.in_use().items()}
        if len(ends) <= MOST_DOMAINS:
            return ends
        return dict(sorted(ends.items(), key=lambda each: each[1])[:MOST_DOMAINS])
