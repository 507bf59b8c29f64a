"""The side-by-side run: every round measures one server after the other, so that a noisy minute hits all."""

import contextlib
import datetime as dt
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.gates import judge
from benchmarks.machine import describe
from benchmarks.report import Report, Row, ScenarioReport
from benchmarks.scenarios.base import Figures, Scenario
from benchmarks.servers.base import Server, Setting, running

_TROUBLE = (OSError, RuntimeError, subprocess.SubprocessError)
"""What one server's failure looks like; the others are measured all the same."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured, how long a measurement takes and how often it is repeated."""

    scenarios: Sequence[Scenario]
    servers: Sequence[type[Server]]
    seconds: float
    rounds: int


def run(plan: Plan, progress: Progress) -> Report:
    """Carry the plan out, or as much of it as there is time for before an interrupt."""
    machine = describe()
    time = dt.datetime.now(dt.UTC)
    scenarios: list[ScenarioReport] = []
    with contextlib.suppress(KeyboardInterrupt):  # what is measured by then is reported
        scenarios.extend(_run_scenario(scenario, plan, progress) for scenario in plan.scenarios)
    medians = {scenario.name: {row.server: row.median for row in scenario.rows} for scenario in scenarios}
    return Report(
        time=time,
        machine=machine,
        servers={server.name: server.version() or "" for server in plan.servers},
        seconds=plan.seconds,
        scenarios=scenarios,
        verdicts=judge(medians),
    )


def show_progress() -> Progress:
    """Make the bar that tells which scenario is at which server."""
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())


def _run_scenario(scenario: Scenario, plan: Plan, progress: Progress) -> ScenarioReport:
    rounds = 1 if scenario.once else plan.rounds
    contestants = scenario.contestants(plan.servers)
    task = progress.add_task(scenario.name, total=(rounds + 1) * len(contestants))
    found: dict[str, list[Figures]] = {}
    failures: dict[str, str] = {}

    with contextlib.ExitStack() as stack:
        measures: dict[str, Callable[[], Figures]] = {}
        for name, (server, setting) in contestants.items():
            progress.update(task, description=f"{scenario.name}: {name} starts")
            try:
                measures[name] = stack.enter_context(_ready(server, setting, scenario, plan.seconds))
            except _TROUBLE as trouble:
                failures[name] = str(trouble)
            progress.advance(task)
        for number in range(rounds):
            for name, measure in measures.items():
                progress.update(task, description=f"{scenario.name}: {name}, round {number + 1}")
                if name not in failures:
                    try:
                        found.setdefault(name, []).append(measure())
                    except _TROUBLE as trouble:
                        failures[name] = str(trouble)
                progress.advance(task)
    progress.update(task, description=scenario.name)
    rows = [Row(name, _medians(figures), figures) for name, figures in found.items() if figures]
    return ScenarioReport(scenario.name, scenario.promise, rows, failures)


@contextlib.contextmanager
def _ready(
    server: type[Server], setting: Setting, scenario: Scenario, seconds: float
) -> Iterator[Callable[[], Figures]]:
    """Start a server and set the scenario up on it; both end with the block."""
    with (
        tempfile.TemporaryDirectory(prefix=f"benchmark-{server.name}-") as directory,
        running(server(Path(directory), setting)) as started,
        scenario.measure(started, seconds) as measure,
    ):
        yield measure


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {metric: statistics.median(figures[metric] for figures in rounds) for metric in rounds[0]}
