"""Telemetry: what the server counts, in the words of Prometheus.

The hot path adds to plain integers; a scrape reads them. Metrics are named `tidings_…`; docs/reference lists
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


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
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Let a scrape call `read` for the gauge `tidings_<name>`."""
        self._gauges[name] = (text, read)

    def total(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Let a scrape call `read`, which only grows, for the counter `tidings_<name>_total`."""
        self._totals[name] = (text, read)

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
