"""The budget of the design as data: what Tidings is held to, and whether it was."""

from dataclasses import dataclass

import msgspec

from benchmarks.scenarios.base import Figures, Metric

Results = dict[str, dict[str, Figures]]
"""Medians by scenario and server."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure of Tidings divided by another figure of the same run; or by 1, where the limit is absolute."""

    path: str
    scenario: str
    metric: Metric
    limit: float
    peer: str = ""
    other_scenario: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What came of a gate: the value and whether it holds, or None where a figure is missing."""

    path: str
    limit: str
    value: float | None
    holds: bool | None


GATES = (
    Gate("routing: CPU beside ejabberd", "routing", Metric.CPU, 0.5, peer="ejabberd"),
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
    base: float | None = 1.0
    limit = f"≤ {gate.limit:g} s"
    if gate.peer or gate.other_scenario:
        of_server = results.get(gate.other_scenario or gate.scenario, {}).get(gate.peer or "tidings", {})
        base = of_server.get(gate.metric)
        limit = f"≤ {gate.limit:g} of {gate.peer or gate.other_scenario}"
    if measured is None or not base:
        return Verdict(gate.path, limit, None, None)
    value = measured / base
    return Verdict(gate.path, limit, value, value <= gate.limit)
