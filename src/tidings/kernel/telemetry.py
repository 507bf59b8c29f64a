"""Telemetry: what the server counts, in the words of Prometheus.

The hot path adds to plain integers; a scrape reads them. Metrics are named `tidings_…`; docs/reference lists
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.ports.ledger import LedgerState

_Family = GaugeMetricFamily | CounterMetricFamily


class Telemetry(Collector):
    """The counters of one server and the registry that a scrape reads."""

    def __init__(self) -> None:
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
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._totals: dict[str, tuple[str, Callable[[], float]]] = {}
        self._labelled: list[tuple[type[_Family], str, str, str, Callable[[], Mapping[str, float]]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)

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

    def watch_ledger(self, state: LedgerState) -> None:
        """Let a scrape show what the ledger's writer does."""
        self.total("ledger_transactions", "Transactions of the ledger", lambda: state.transactions)
        self.total("ledger_items", "Messages, moves and changes that they wrote", lambda: state.items)
        self.total("ledger_failures", "Transactions that the database could not take", lambda: state.failures)
        self.total(
            "ledger_given_up",
            "Batches whose senders were told that the database does not answer",
            lambda: state.given_up,
        )
        self.gauge("ledger_queue", "Batches that wait for the next transaction", lambda: state.queue_length)
        self.gauge(
            "ledger_transaction_seconds", "How long the last transaction took", lambda: state.last_seconds
        )
        self.gauge(
            "ledger_transaction_longest_seconds",
            "How long the longest one took since the start",
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
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"tidings_{name}", text, value=read())
        for kind, name, text, label, read_all in self._labelled:
            yield _family(kind, f"tidings_{name}", text, label, read_all())


def _family(kind: type[_Family], name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = kind(name, text, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family
