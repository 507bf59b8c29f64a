"""The outcome of a run, as a table on the terminal, as markdown for people and as JSON for machines."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.gates import Verdict
from benchmarks.machine import Machine
from benchmarks.scenarios.base import Figures, Metric


class Row(msgspec.Struct, frozen=True):
    """One server in one scenario: the median of each figure, and the rounds it was taken from."""

    server: str
    median: Figures
    rounds: list[Figures]


class ScenarioReport(msgspec.Struct, frozen=True):
    """One scenario with a row for each server that ran it and the reasons of those that could not."""

    name: str
    promise: str
    rows: list[Row]
    failures: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """All that a run found out."""

    time: dt.datetime
    machine: Machine
    servers: dict[str, str]
    seconds: float
    scenarios: list[ScenarioReport]
    verdicts: list[Verdict]


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    for scenario in report.scenarios:
        header, *lines = _lines(scenario)
        _print(console, f"{scenario.name}: {scenario.promise}", header, lines)
        for server, reason in scenario.failures.items():
            console.print(f"[red]{server} failed:[/] {reason}", highlight=False)
    if report.verdicts:
        _print(console, "Gates", *_gate_lines(report.verdicts))


def save(report: Report, directory: Path) -> Path:
    """Write the markdown and the JSON file, named after the time; return the markdown file."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{report.time:%Y-%m-%dT%H%M}.md"
    file.write_text(_markdown(report))
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=1)
    file.with_suffix(".json").write_bytes(encoded + b"\n")
    return file


def _print(console: Console, title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    table = Table(*header, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines:
        table.add_row(*line)
    console.print(table)


def _lines(scenario: ScenarioReport) -> list[list[str]]:
    """Lay a scenario out: a column for each figure, and the ratio of its first figure to each peer."""
    metrics = [metric for metric in Metric if any(metric in row.median for row in scenario.rows)]
    peers = [row.server for row in scenario.rows if row.server != "tidings"]
    lines = [["server", *(metric.value for metric in metrics), *(f"÷ {peer}" for peer in peers)]]
    leading = {row.server: row.median[metrics[0]] for row in scenario.rows if metrics[0] in row.median}
    for row in scenario.rows:
        figures = [_number(row.median.get(metric)) for metric in metrics]
        ratios = [_number(_ratio(leading.get(row.server), leading.get(peer))) for peer in peers]
        lines.append([row.server, *figures, *ratios])
    return lines


def _gate_lines(verdicts: Sequence[Verdict]) -> tuple[list[str], list[list[str]]]:
    words = {True: "holds", False: "MISSED", None: "not measured"}
    lines = [
        [verdict.path, verdict.limit, _number(verdict.value), words[verdict.holds]] for verdict in verdicts
    ]
    return ["gate", "limit", "value", "verdict"], lines


def _markdown(report: Report) -> str:
    machine = report.machine
    parts = [
        f"# Benchmark of {report.time:%Y-%m-%d %H:%M} UTC",
        (
            f"{machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB; {machine.system}, "
            f"Linux {machine.kernel}; Python {machine.python}; fsync {machine.fsync_ms:g} ms; "
            f"load before the run {machine.load_before:g}."
        ),
        (
            f"Servers: {', '.join(f'{name} {version}' for name, version in report.servers.items())}. "
            f"Medians of interleaved rounds of {report.seconds:g} s; ÷ is the ratio of the first figure."
        ),
    ]
    for scenario in report.scenarios:
        header, *lines = _lines(scenario)
        failures = "\n".join(f"\n{server} failed: {reason}" for server, reason in scenario.failures.items())
        parts.append(f"## {scenario.name}\n\n{scenario.promise}\n\n{_pipes(header, lines)}{failures}")
    if report.verdicts:
        parts.append(f"## Gates\n\n{_pipes(*_gate_lines(report.verdicts))}")
    return "\n\n".join(parts) + "\n"


def _pipes(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ruler, *lines))


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _number(value: float | None) -> str:
    """Write three digits that matter."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
