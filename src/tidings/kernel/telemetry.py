"""Telemetry: what the server counts, in the words of Prometheus.

The hot path adds to plain integers; a scrape reads them. Metrics are named `tidings_…`; docs/reference lists
them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.base.histogram import Histogram
from tidings.ports.ledger import LedgerState

DELIVERY_SAMPLE: Final = 16
"""Of so many batches of messages one is timed, so that it costs the others a count."""

_Family = GaugeMetricFamily | CounterMetricFamily
_LOGIN_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_DELIVERY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0)
_PAGE_BOUNDS: Final = (0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)


class Telemetry(Collector):
    """The counters of one server and the registry that a scrape reads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is the clock by which durations are measured, in seconds."""
        self.now = now
        self.stanzas_in: Counter[str] = Counter()
        """Stanzas from sessions, by name."""
        self.refused: Counter[str] = Counter()
        """Stanzas answered with an error, by condition."""
        self.stream_errors: Counter[str] = Counter()
        """Streams closed with an error, by condition."""
        self.logins: Counter[str] = Counter()
        """Log-ins that succeeded, by mechanism."""
        self.login_failures: Counter[str] = Counter()
        """Log-ins that failed, by SASL condition."""
        self.bugs: Counter[str] = Counter()
        """Errors that nobody foresaw, by the place that caught them."""
        self.login_seconds = Histogram(_LOGIN_BOUNDS)
        """From the first word of a client's authentication to its session."""
        self.delivery_seconds = Histogram(_DELIVERY_BOUNDS)
        """From a message's submission to its writing to the sessions of its recipient, for some of them."""
        self.archive_page_seconds = Histogram(_PAGE_BOUNDS)
        """From a query of an archive to the page that answers it, before it is sent."""
        self.refreshing: list[Callable[[], Awaitable[None]]] = []
        """What is done before a scrape: figures that have to be asked for."""
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._totals: dict[str, tuple[str, Callable[[], float]]] = {}
        self._histograms: dict[str, tuple[str, Histogram]] = {}
        self._sources: list[Callable[[], Iterable[Metric]]] = []
        self._labelled: list[tuple[type[_Family], str, str, str, Callable[[], Mapping[str, float]]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.histogram(
            "login_seconds",
            "How long log-ins took, from the first word of the authentication to the session",
            self.login_seconds,
        )
        self.histogram(
            "delivery_seconds",
            "How long messages took from their arrival to the writing to a session of the recipient; "
            f"one batch in {DELIVERY_SAMPLE} is timed",
            self.delivery_seconds,
        )
        self.histogram(
            "archive_page_seconds",
            "How long a page of an archive took to be read, before it is sent",
            self.archive_page_seconds,
        )

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Let a scrape call `read` for the gauge `tidings_<name>`."""
        self._gauges[name] = (text, read)

    def total(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Let a scrape call `read`, which only grows, for the counter `tidings_<name>_total`."""
        self._totals[name] = (text, read)

    def gauge_by(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Let a scrape call `read` for the gauge `tidings_<name>` of each value of a label."""
        self._labelled.append((GaugeMetricFamily, name, text, label, read))

    def total_by(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Let a scrape call `read` for the counter `tidings_<name>_total` of each value of a label."""
        self._labelled.append((CounterMetricFamily, name, text, label, read))

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        """Let a scrape show the counts of the histogram `tidings_<name>`."""
        self._histograms[name] = (text, histogram)

    def source(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Let a scrape call `collect`, which gives several metrics at once."""
        self._sources.append(collect)

    async def refresh(self) -> None:
        """Ask for the figures that a scrape cannot wait for."""
        for refresh in self.refreshing:
            await refresh()

    def watch_ledger(self, state: LedgerState) -> None:
        """Let a scrape show what the ledger's writer does."""
        self.total("ledger_transactions", "Transactions of the ledger", lambda: state.transactions)
        self.total(
            "ledger_items",
            "Messages, moves and changes that transactions of the ledger wrote",
            lambda: state.items,
        )
        self.total("ledger_failures", "Transactions that the database could not take", lambda: state.failures)
        self.total(
            "ledger_given_up",
            "Batches whose senders were told that the database does not answer",
            lambda: state.given_up,
        )
        self.histogram("ledger_commit_seconds", "How long the ledger's transactions took", state.commits)
        self.gauge(
            "ledger_queue",
            "Batches that wait for the next transaction of the ledger",
            lambda: state.queue_length,
        )
        self.gauge(
            "ledger_transaction_seconds",
            "How long the last transaction of the ledger took",
            lambda: state.last_seconds,
        )
        self.gauge(
            "ledger_transaction_longest_seconds",
            "How long the longest transaction of the ledger took since the start",
            lambda: state.longest_seconds,
        )
        self.gauge(
            "ledger_trouble",
            "1 while the database does not take what is to be written",
            lambda: float(bool(state.trouble)),
        )

    def collect(self) -> Iterator[Metric]:
        """Give what a scrape shows."""
        for name, text, label, counter in (
            ("stanzas_received", "Stanzas that sessions sent", "name", self.stanzas_in),
            ("stanzas_refused", "Stanzas answered with an error", "condition", self.refused),
            ("stream_errors", "Streams closed with an error", "condition", self.stream_errors),
            ("logins", "Log-ins that succeeded", "mechanism", self.logins),
            ("login_failures", "Log-ins that failed", "condition", self.login_failures),
            ("bugs", "Errors that nobody foresaw; each is in the log", "place", self.bugs),
        ):
            family = CounterMetricFamily(f"tidings_{name}", text, labels=[label])
            for value, count in counter.items():
                family.add_metric([value], count)
            yield family
        for name, (text, read) in self._totals.items():
            yield CounterMetricFamily(f"tidings_{name}", text, value=read())
        for name, (text, histogram) in self._histograms.items():
            buckets = [
                (f"{bound:g}" if bound < math.inf else "+Inf", count)
                for bound, count in histogram.cumulative()
            ]
            yield HistogramMetricFamily(f"tidings_{name}", text, buckets=buckets, sum_value=histogram.total)
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"tidings_{name}", text, value=read())
        for kind, name, text, label, read_all in self._labelled:
            yield family_of(kind, f"tidings_{name}", text, label, read_all())
        for collect in self._sources:
            yield from collect()


def family_of(kind: type[_Family], name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Make a metric with one label from its values."""
    family = kind(name, text, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family
