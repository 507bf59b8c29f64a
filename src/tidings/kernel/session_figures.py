"""SessionFigures: what a scrape shows of sessions and accounts, altogether and by domain.

One look at all sessions serves one scrape; nothing is counted when a stanza passes. How many accounts there
are is asked of the store before a scrape, every five minutes at most.

Invariants:
- no label is in a stranger's hands: `MOST_DOMAINS` domains are named, all others stand together as `other`;
- a domain that was counted among the others stays there, and one that is named stays named: so that totals
  only grow.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tidings.base.errors import BackendError
from tidings.kernel.account import sessions_of
from tidings.kernel.host import Host
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry, family_of
from tidings.ports.accounts import AccountStore

log = structlog.get_logger("tidings.telemetry")

MOST_DOMAINS: Final = 20
"""Domains that have figures of their own: those with most accounts and sessions at the first scrape."""
OTHER: Final = "other"

_FRESH_SECONDS: Final = 300.0
_PATIENCE_SECONDS: Final = 1.0


class NamedDomains:
    """Decides which domains are named in figures."""

    def __init__(self, most: int = MOST_DOMAINS) -> None:
        self._most = most
        self._named: set[str] = set()
        self._others = {OTHER}  # a domain of that name would be taken for all of them

    def bounded(self, figures: Mapping[str, float], sizes: Mapping[str, float]) -> dict[str, float]:
        """Give the figures of the named domains, and the sum of all others, if there are any.

        Domains that come for the first time are named as long as there is room, the largest first.
        """
        new = [domain for domain in figures if domain not in self._named and domain not in self._others]
        for domain in sorted(new, key=lambda each: (-sizes.get(each, 0), each)):
            (self._named if len(self._named) < self._most else self._others).add(domain)
        told: dict[str, float] = {}
        for domain, figure in figures.items():
            name = domain if domain in self._named else OTHER
            told[name] = told.get(name, 0) + figure
        return told


class SessionFigures:
    """Counts the sessions of one server, and what went through them."""

    def __init__(self, hosts: Mapping[str, Host], telemetry: Telemetry) -> None:
        self._hosts = hosts
        self._received: Counter[str] = Counter()  # by sessions that have ended, by domain
        self._sent: Counter[str] = Counter()
        self._ended = 0
        self._domains = NamedDomains()
        self.accounts: Mapping[str, int] = {}
        """How many accounts each domain has, as far as it is known."""
        telemetry.source(self._collect)

    def ended(self, session: Session) -> None:
        """Keep what went through a session that has ended."""
        domain, flow = session.host.domain, session.flow
        self._received[domain] += flow.received
        self._sent[domain] += flow.sent
        self._ended += 1

    def of_ended(self) -> tuple[int, int]:
        """Tell how many stanzas the sessions that have ended had sent and been sent."""
        return self._received.total(), self._sent.total()

    def _collect(self) -> Iterator[Metric]:
        sessions = dict.fromkeys(self._hosts, 0)
        received, sent = self._received.copy(), self._sent.copy()
        connected: set[object] = set()
        for domain, host in list(self._hosts.items()):
            for session in sessions_of(host):
                sessions[domain] += 1
                received[domain] += session.flow.received
                sent[domain] += session.flow.sent
                connected.add(session.account)
        count = sum(sessions.values())
        yield GaugeMetricFamily("tidings_sessions", "Sessions, with those that wait for their client", count)
        yield GaugeMetricFamily("tidings_accounts_connected", "Accounts that have a session", len(connected))
        text = "Sessions that have begun; one that is resumed goes on"
        yield CounterMetricFamily("tidings_sessions_begun", text, self._ended + count)
        yield CounterMetricFamily("tidings_sessions_ended", "Sessions that have ended", self._ended)
        text = "Stanzas that sessions were sent"
        yield CounterMetricFamily("tidings_stanzas_sent", text, sum(sent.values()))
        yield from self._by_domain(sessions, received, sent)

    def _by_domain(
        self, sessions: dict[str, int], received: Counter[str], sent: Counter[str]
    ) -> Iterator[Metric]:
        accounts = {domain: self.accounts.get(domain, 0) for domain in sessions}
        sizes = {domain: accounts[domain] + count for domain, count in sessions.items()}
        for name, text, kind, figures in (
            ("domain_sessions", "Sessions of a domain", GaugeMetricFamily, sessions),
            (
                "domain_accounts",
                "Accounts of a domain, at most some minutes ago",
                GaugeMetricFamily,
                accounts,
            ),
            (
                "domain_stanzas_received",
                "Stanzas that the sessions of a domain sent",
                CounterMetricFamily,
                received,
            ),
            (
                "domain_stanzas_sent",
                "Stanzas that the sessions of a domain were sent",
                CounterMetricFamily,
                sent,
            ),
        ):
            bounded = self._domains.bounded({**dict.fromkeys(sessions, 0), **figures}, sizes)
            yield family_of(kind, f"tidings_{name}", text, "domain", bounded)


class AccountCounting:
    """Asks the store now and then how many accounts each domain has, when somebody wants to know."""

    def __init__(
        self,
        store: AccountStore,
        figures: SessionFigures,
        supervisor: Supervisor,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._figures = figures
        self._supervisor = supervisor
        self._now = now
        self._counted: float | None = None

    async def refresh(self) -> None:
        """Count, unless that was done a short while ago; a database that takes its time is not waited for."""
        now = self._now()
        if self._counted is None or now - self._counted >= _FRESH_SECONDS:
            self._counted = now
            counting = self._supervisor.start("account_figures", self._count())
            await asyncio.wait({counting}, timeout=_PATIENCE_SECONDS)

    async def _count(self) -> None:
        try:
            self._figures.accounts = await self._store.count_by_domain()
        except BackendError as error:
            log.debug("accounts_not_counted", reason=str(error))
