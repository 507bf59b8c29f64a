"""Memory of connections that are logged in, available and silent."""

import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Iterator

from benchmarks.connection import Connection, Door
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Server

_CONNECTIONS = 4_000
_TLS_CONNECTIONS = 2_000
_RECONNECTS = 20_000
_WARM_UP = 50
_SILENCE = 15.0  # seconds: what a server gives back, it has given back by then


@contextlib.contextmanager
def _idle(
    server: Server, _seconds: float, *, door: Door, connections: int, reconnects: int = 0
) -> Iterator[Callable[[], Figures]]:
    held: deque[Connection] = deque()

    def arrive(user: int) -> None:
        held.append(server.log_in(user, door))
        held[-1].become_available()

    def leave() -> None:
        held.popleft().close()

    def measure() -> Figures:
        before = server.usage()
        memory_before = _settled(server)
        for user in range(connections):
            arrive(user)
        for number in range(reconnects):
            leave()
            arrive(number % connections)
        used = server.usage() - before
        memory = _settled(server)
        return {
            Metric.CONNECTION_MEMORY: (memory - memory_before) / connections / 1e3,
            Metric.MEMORY: memory / 1e6,
            Metric.LOGIN_CPU: used.cpu / (connections + reconnects) * 1e6,
        }

    for user in range(_WARM_UP):  # code that is loaded at first use is not the connections'
        arrive(user)
    while held:
        leave()
    try:
        yield measure
    finally:
        while held:
            leave()


def _settled(server: Server) -> int:
    """Let the connections be silent for a while, and give the resident memory."""
    time.sleep(_SILENCE)
    return server.usage().memory


SCENARIOS = (
    Scenario(
        name="idle",
        promise=f"{_CONNECTIONS:,} connections over TCP, available and silent",
        measure=functools.partial(_idle, door=Door.TCP, connections=_CONNECTIONS),
        users=_CONNECTIONS,
        once=True,
    ),
    Scenario(
        name="idle-tls",
        promise=f"{_TLS_CONNECTIONS:,} connections over direct TLS, available and silent",
        measure=functools.partial(_idle, door=Door.TLS, connections=_TLS_CONNECTIONS),
        users=_TLS_CONNECTIONS,
        once=True,
    ),
    Scenario(
        name="idle-tls-reconnects",
        promise=f"the same after {_RECONNECTS:,} reconnects",
        measure=functools.partial(_idle, door=Door.TLS, connections=_TLS_CONNECTIONS, reconnects=_RECONNECTS),
        users=_TLS_CONNECTIONS,
        once=True,
        opt_in=True,
    ),
)
