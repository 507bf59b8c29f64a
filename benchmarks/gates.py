"""The budget of the design as data: what Tidings is held to, and whether it was."""

from dataclasses import dataclass

import msgspec

from benchmarks.scenarios.base import Figures, Metric

Results = dict[str, dict[str, Figures]]
"""Medians by scenario and server."""


BEST_PEER = "the best peer"


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure of Tidings divided by another figure of the same run; or by 1, where the limit is absolute."""

    path: str
    scenario: str
    metric: Metric
    limit: float
    peer: str = ""
    """Another server, or `BEST_PEER`: the one with the best figure, each in its best configuration."""
    other_scenario: str = ""
    other_metric: Metric | None = None
    """What is compared with, where that has another name."""
    at_least: bool = False
    """More is better, and the limit is the least that will do."""


class Verdict(msgspec.Struct, frozen=True):
    """What came of a gate: the value and whether it holds, or None where a figure is missing."""

    path: str
    limit: str
    value: float | None
    holds: bool | None


GATES = (
    Gate("routing without archive: CPU beside ejabberd", "routing", Metric.CPU, 0.5, peer="ejabberd"),
    Gate(
        "durable: messages/s beside the best peer",
        "durable",
        Metric.THROUGHPUT,
        8.0,
        peer=BEST_PEER,
        at_least=True,
    ),
    Gate(
        "durable, PostgreSQL: messages/s beside the best peer",
        "durable-postgresql",
        Metric.THROUGHPUT,
        8.0,
        peer=BEST_PEER,
        at_least=True,
    ),
    Gate("room of 500: CPU of a copy", "room-500", Metric.CPU, 6.0),
    Gate("room of 500: CPU of a copy beside the best peer", "room-500", Metric.CPU, 1.0, peer=BEST_PEER),
    Gate(
        "MUC Light: 10,000 members beside 50, 50 online",
        "light-room-10000",
        Metric.CPU,
        3.0,
        other_scenario="light-room-50",
    ),
    Gate("join of a room with 1,000 occupants", "room-join", Metric.JOIN_CPU, 50.0),
    Gate("2,000 joins at once: longest turn of the event loop", "room-joins", Metric.TURN, 50.0),
    Gate("2,000 lost at once: longest turn of the event loop", "room-joins", Metric.TURN_LOST, 50.0),
    Gate("news for 500 subscribers: CPU of a copy", "pep-publish", Metric.CPU, 1.0, peer=BEST_PEER),
    Gate("10,000 last items at log-in: longest turn of the event loop", "pep-login", Metric.TURN, 50.0),
    Gate("upload: CPU beside Prosody", "upload", Metric.OCTET_CPU, 1.0, peer="prosody"),
    Gate("download: CPU beside Prosody", "download", Metric.OCTET_CPU, 1.0, peer="prosody"),
    Gate(
        "1,000 rooms: deliveries/s beside 1:1",
        "rooms-durable",
        Metric.DELIVERIES,
        1 / 1.5,
        other_scenario="durable",
        other_metric=Metric.THROUGHPUT,
        at_least=True,
    ),
    Gate(
        "MAM page: a million beside a thousand",
        "mam-page-million",
        Metric.REQUEST,
        2.0,
        other_scenario="mam-page-thousand",
    ),
    Gate("MAM page from a million", "mam-page-million", Metric.REQUEST, 3.0),
    Gate("inbox of 1,000 conversations", "inbox", Metric.REQUEST, 20.0),
    Gate("idle: memory per connection beside Prosody", "idle", Metric.CONNECTION_MEMORY, 0.5, peer="prosody"),
    Gate("WebSocket: CPU beside TCP", "routing-websocket", Metric.CPU, 1.5, other_scenario="routing"),
    Gate("TLS: CPU beside TCP", "routing-tls", Metric.CPU, 2.5, other_scenario="routing"),
    Gate("100 → 2,000 connected: CPU", "connected-2000", Metric.CPU, 1.2, other_scenario="connected-100"),
    Gate("100 → 10,000 connected: CPU", "connected-10000", Metric.CPU, 1.2, other_scenario="connected-100"),
    Gate("start to first log-in", "start", Metric.START, 1.0),
)


def judge(results: Results) -> list[Verdict]:
    """Hold the medians against every gate whose scenario ran."""
    return [_judge(gate, results) for gate in GATES if gate.scenario in results]


def _judge(gate: Gate, results: Results) -> Verdict:
    measured = results[gate.scenario].get("tidings", {}).get(gate.metric)
    sign = "≥" if gate.at_least else "≤"
    base: float | None = 1.0
    limit = f"{sign} {gate.limit:.3g} {gate.metric.value.rpartition(', ')[2]}"
    if gate.peer or gate.other_scenario:
        base = _base(gate, results.get(gate.other_scenario or gate.scenario, {}))
        limit = f"{sign} {gate.limit:.3g} of {gate.peer or gate.other_scenario}"
    if measured is None or not base:
        return Verdict(gate.path, limit, None, None)
    value = measured / base
    return Verdict(gate.path, limit, value, value >= gate.limit if gate.at_least else value <= gate.limit)


def _base(gate: Gate, rows: dict[str, Figures]) -> float | None:
    """Find the figure that Tidings is compared with."""
    if gate.peer != BEST_PEER:
        return rows.get(gate.peer or "tidings", {}).get(gate.other_metric or gate.metric)
    peers = [row[gate.metric] for name, row in rows.items() if name != "tidings" and gate.metric in row]
    best = max if gate.at_least else min
    return best(peers, default=None)
