"""1:1 chat that is archived on both sides, with carbons on: 50 pairs, each with 10 messages under way."""

import contextlib
from collections.abc import Callable, Iterator

from benchmarks.load import exchange, pace, pairs
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Archive, Server

_PAIRS = 50
_OUTSTANDING = 10
_WARM_UP = 2.0
_CARBONS = b" type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>"


@contextlib.contextmanager
def _durable(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    with pairs(server, _PAIRS, _OUTSTANDING) as parties:
        for pair in parties:
            for connection in (pair.sender, pair.receiver):
                connection.request(_CARBONS, "carbons")
        exchange(parties, _WARM_UP, _OUTSTANDING)

        def measure() -> Figures:
            before, database_before = server.usage(), server.database_usage()
            outcome = exchange(parties, seconds, _OUTSTANDING)
            used, database_used = server.usage() - before, server.database_usage() - database_before
            rate = outcome.messages / outcome.seconds
            half = pace(parties, seconds, rate / 2, _OUTSTANDING)
            figures = {
                Metric.THROUGHPUT: rate,
                Metric.CPU: used.cpu / outcome.messages * 1e6,
                Metric.P50: outcome.latency(0.5) * 1e3,
                Metric.P99: outcome.latency(0.99) * 1e3,
                Metric.HALF_P50: half.latency(0.5) * 1e3,
                Metric.HALF_P99: half.latency(0.99) * 1e3,
                Metric.MEMORY: server.usage().memory / 1e6,
                Metric.GENERATOR: outcome.generator_cpu / outcome.messages * 1e6,
            }
            if server.database is not None:
                figures[Metric.DATABASE_CPU] = database_used.cpu / outcome.messages * 1e6
            return figures

        yield measure


SCENARIOS = (
    Scenario(
        "durable",
        "1:1 chat, archived on both sides, carbons on, 50 pairs with 10 messages under way each",
        _durable,
        users=2 * _PAIRS,
        archive=Archive.EMBEDDED,
    ),
    Scenario(
        "durable-postgresql",
        "the same with PostgreSQL, which makes every transaction durable",
        _durable,
        users=2 * _PAIRS,
        archive=Archive.POSTGRESQL,
    ),
)
