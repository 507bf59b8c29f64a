"""The price of being many: the same total rate of messages over ever more sessions."""

import contextlib
import functools
from collections.abc import Callable, Iterator

from benchmarks.load import pace, pairs
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Server

_RATE = 2_000.0  # messages a second, all sessions together


@contextlib.contextmanager
def _connected(server: Server, seconds: float, *, sessions: int) -> Iterator[Callable[[], Figures]]:
    with pairs(server, sessions // 2, outstanding=1) as parties:
        pace(parties, 1.0, _RATE)

        def measure() -> Figures:
            before = server.usage()
            outcome = pace(parties, seconds, _RATE)
            used = server.usage() - before
            return {
                Metric.CPU: used.cpu / outcome.messages * 1e6,
                Metric.RATE: outcome.messages / outcome.seconds,
                Metric.P50: outcome.latency(0.5) * 1e3,
                Metric.P99: outcome.latency(0.99) * 1e3,
                Metric.MEMORY: server.usage().memory / 1e6,
            }

        yield measure


SCENARIOS = tuple(
    Scenario(
        name=f"connected-{sessions}",
        promise=f"{_RATE:,.0f} messages a second over {sessions:,} sessions, one under way each",
        measure=functools.partial(_connected, sessions=sessions),
        users=sessions,
        opt_in=sessions > 2_000,
    )
    for sessions in (100, 2_000, 10_000)
)
