"""The scenarios in the order in which they run."""

from benchmarks.scenarios import (
    connected,
    durable,
    files,
    idle,
    login,
    nodes,
    presence,
    reading,
    rooms,
    routing,
    start,
)
from benchmarks.scenarios.base import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for module in (routing, durable, rooms, nodes, files, reading, login, idle, presence, connected, start)
    for scenario in module.SCENARIOS
}


def selected(names: list[str]) -> list[Scenario]:
    """Find scenarios by name or by the beginning of a name; without names, all that do not take minutes.

    Raises `KeyError` for a name that fits none.
    """
    if not names:
        return [scenario for scenario in SCENARIOS.values() if not scenario.opt_in]
    chosen: dict[str, Scenario] = {}
    for name in names:
        fitting = {
            key: scenario
            for key, scenario in SCENARIOS.items()
            if key == name or (key.startswith(f"{name}-") and name not in SCENARIOS and not scenario.opt_in)
        }
        if not fitting:
            raise KeyError(name)
        chosen |= fitting
    return list(chosen.values())
