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
    limit = f"{sign} {gate.limit:g} {gate.metric.value.rpartition(', ')[2]}"
    if gate.peer or gate.other_scenario:
        base = _base(gate, results.get(gate.other_scenario or gate.scenario, {}))
        limit = f"{sign} {gate.limit:g} of {gate.peer or gate.other_scenario}"
    if measured is None or not base:
        return Verdict(gate.path, limit, None, None)
    value = measured / base
    return Verdict(gate.path, limit, value, value >= gate.limit if gate.at_least else value <= gate.limit)


def _base(gate: Gate, rows: dict[str, Figures]) -> float | None:
    """Find the figure that Tidings is compared with."""
    if gate.peer != BEST_PEER:
        return rows.get(gate.peer or "tidings", {}).get(gate.metric)
    peers = [row[gate.metric] for name, row in rows.items() if name != "tidings" and gate.metric in row]
    best = max if gate.at_least else min
    return best(peers, default=None)
