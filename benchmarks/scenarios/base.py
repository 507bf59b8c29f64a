"""What a scenario is: a load that can be measured several times on one running server."""

import enum
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.servers.base import Archive, History, Server, Service, Setting


class Metric(enum.Enum):
    """The figures, each with a title that names its unit; the first one of a scenario is what it is about."""

    CONNECTION_MEMORY = "memory per connection, kB"
    START = "start to first log-in, s"
    TURN = "longest turn of the event loop, ms of CPU"
    TURN_LOST = "longest turn as all are lost, ms of CPU"
    JOIN_CPU = "server CPU per join, ms"
    THROUGHPUT = "messages per second"
    REQUEST = "request to last result, ms"
    CPU = "server CPU, µs"
    LOGIN_CPU = "server CPU per log-in, µs"
    OCTET_CPU = "server CPU per MB, ms"
    OCTETS = "MB per second"
    RATE = "per second"
    DELIVERIES = "deliveries per second"
    JOIN = "join until everybody has seen it, ms"
    ALL_IN = "until all are in, s"
    P50 = "p50, ms"
    P99 = "p99, ms"
    HALF_P50 = "p50 at half the rate, ms"
    HALF_P99 = "p99 at half the rate, ms"
    DATABASE_CPU = "database CPU, µs"
    PAUSE = "longest pause of others, ms"
    MEMORY = "resident, MB"
    START_CPU = "CPU of a start, s"
    GENERATOR = "generator CPU, µs"


Figures: TypeAlias = dict[Metric, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named load. `measure` sets it up and yields a function that runs it once for some seconds."""

    name: str
    promise: str
    measure: Callable[[Server, float], AbstractContextManager[Callable[[], Figures]]]
    users: int
    password_hash: str = "SHA-1"
    contacts: int = 0  # as many users are contacts of the first one
    archive: Archive = Archive.OFF
    history: History = History.NOTHING  # with one, only servers that can be filled are measured
    services: frozenset[Service] = frozenset()
    once: bool = False  # what is measured does not come back: a second round would tell something else
    measures_turns: bool = False  # those of the event loop, which takes a server that tells them
    opt_in: bool = False  # takes minutes: runs only when it is named

    def contestants(self, servers: Iterable[type[Server]]) -> dict[str, tuple[type[Server], Setting]]:
        """Name each server in each setting that is measured; one with several is told by its storage."""
        found: dict[str, tuple[type[Server], Setting]] = {}
        for server in servers:
            if self.history is not History.NOTHING and not server.can_be_filled:
                continue
            storages = server.storages[self.archive]
            for storage in storages:
                name = server.name if len(storages) == 1 else f"{server.name} {storage.value}"
                setting = Setting(
                    self.users,
                    self.password_hash,
                    self.contacts,
                    storage,
                    self.history,
                    self.services,
                    self.measures_turns,
                )
                found[name] = (server, setting)
        return found
