"""1:1 chat through each door: 50 pairs, each with 10 messages under way."""

import contextlib
import functools
from collections.abc import Callable, Iterator

from benchmarks.connection import Door
from benchmarks.load import exchange, pairs
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Archive, Server

_PAIRS = 50
_OUTSTANDING = 10


@contextlib.contextmanager
def _routing(
    server: Server, seconds: float, *, door: Door = Door.TCP, hint: bytes = b""
) -> Iterator[Callable[[], Figures]]:
    with pairs(server, _PAIRS, _OUTSTANDING, door, hint) as parties:
        exchange(parties, 1.0, _OUTSTANDING)  # caches and adaptive buffers settle

        def measure() -> Figures:
            before = server.usage()
            outcome = exchange(parties, seconds, _OUTSTANDING)
            used = server.usage() - before
            return {
                Metric.CPU: used.cpu / outcome.messages * 1e6,
                Metric.RATE: outcome.messages / outcome.seconds,
                Metric.P50: outcome.latency(0.5) * 1e3,
                Metric.P99: outcome.latency(0.99) * 1e3,
                Metric.MEMORY: server.usage().memory / 1e6,
                Metric.GENERATOR: outcome.generator_cpu / outcome.messages * 1e6,
            }

        yield measure


SCENARIOS = (
    *(
        Scenario(name, promise, functools.partial(_routing, door=door), users=2 * _PAIRS)
        for name, door, promise in (
            ("routing", Door.TCP, "1:1 chat over TCP, 50 pairs with 10 messages under way each; no archive"),
            ("routing-tls", Door.TLS, "the same over direct TLS"),
            ("routing-websocket", Door.WEBSOCKET, "the same over WebSocket"),
        )
    ),
    Scenario(
        "routing-no-store",
        "the same over TCP with the archive on, by messages that ask not to be stored",
        functools.partial(_routing, hint=b"<no-store xmlns='urn:xmpp:hints'/>"),
        users=2 * _PAIRS,
        archive=Archive.EMBEDDED,
    ),
)
