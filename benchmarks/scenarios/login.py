"""Log-in after log-in: connect, authenticate, bind, open the session, leave."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator

from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Server

_USERS = 100


@contextlib.contextmanager
def _logging_in(server: Server, seconds: float, *, mechanism: str) -> Iterator[Callable[[], Figures]]:
    def measure() -> Figures:
        before, generator_before, start = server.usage(), time.process_time(), time.perf_counter()
        latencies: list[float] = []
        now = start
        while now < start + seconds:
            server.log_in(len(latencies) % _USERS, mechanism=mechanism).close()
            earlier, now = now, time.perf_counter()
            latencies.append(now - earlier)
        used = server.usage() - before
        latencies.sort()
        return {
            Metric.LOGIN_CPU: used.cpu / len(latencies) * 1e6,
            Metric.RATE: len(latencies) / (now - start),
            Metric.P50: latencies[len(latencies) // 2] * 1e3,
            Metric.P99: latencies[len(latencies) * 99 // 100] * 1e3,
            Metric.MEMORY: server.usage().memory / 1e6,
            Metric.GENERATOR: (time.process_time() - generator_before) / len(latencies) * 1e6,
        }

    for user in range(_USERS):
        server.log_in(user, mechanism=mechanism).close()  # what is cached per account is cached from here on
    yield measure


SCENARIOS = tuple(
    Scenario(
        name=f"login-{mechanism.lower()}",
        promise=f"log-ins with {mechanism} over TCP, one after another",
        measure=functools.partial(_logging_in, mechanism=mechanism),
        users=_USERS,
        password_hash=password_hash,
    )
    for mechanism, password_hash in (
        ("PLAIN", "SHA-1"),
        ("SCRAM-SHA-1", "SHA-1"),
        ("SCRAM-SHA-256", "SHA-256"),
    )
)
