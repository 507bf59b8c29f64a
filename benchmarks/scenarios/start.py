"""From the start of the process to the first client that is logged in."""

import contextlib
import time
from collections.abc import Callable, Iterator

from benchmarks.connection import Door
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Server


@contextlib.contextmanager
def _starting(server: Server, _seconds: float) -> Iterator[Callable[[], Figures]]:
    def measure() -> Figures:
        server.stop()
        start = time.perf_counter()
        server.start(Door.TCP)  # by which it logs in: a door that opens later is none of its concern
        server.log_in(0).close()
        elapsed = time.perf_counter() - start
        used = server.usage()
        return {
            Metric.START: elapsed,
            Metric.START_CPU: used.cpu,
            Metric.MEMORY: used.memory / 1e6,
        }

    yield measure


SCENARIOS = (
    Scenario(
        "start", "start of the process to the first log-in, data directory in place", _starting, users=1
    ),
)
