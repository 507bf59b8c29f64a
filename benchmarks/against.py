"""Measures this tree and an earlier commit by turns: `python -m benchmarks.against REVISION [scenario …]`.

Both run at once and are loaded one after the other, for a second each: what else happens on the machine hits
both, and the median of the ratios tells them apart by a few per cent where absolute figures swing by half.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.scenarios import SCENARIOS, selected
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Setting, running
from benchmarks.servers.tidings import Tidings

_ROOT = Path(__file__).parent.parent
_Figures = dict[str, float]
"""As a contestant prints them: by the title of the metric."""
_Round = tuple[_Figures, _Figures]
"""Of both, the earlier commit first."""


class Contestant:
    """A process that has the code of one tree, with the server and the load of one scenario."""

    def __init__(self, tree: Path, scenario: str, seconds: float) -> None:
        # Its benchmarks go with its server; -P keeps this directory out of what it imports from.
        command = [sys.executable, "-P", __file__, "--by-turns", scenario, str(seconds)]
        environment = os.environ | {"PYTHONPATH": f"{tree / 'src'}:{tree}"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True)

    def turn(self, word: str = "go") -> str:
        """Let it measure once, or wait until it is ready; gives what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(word, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"it ended with {self._process.wait()}")
        return line

    def close(self) -> None:
        """End it; its server goes with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _take_turns(scenario: Scenario, seconds: float) -> None:
    """Be a contestant: measure whenever a line comes, and print the figures."""
    (_, setting), *_ = scenario.contestants([Tidings]).values()
    with _measured(scenario, setting, seconds) as measure:
        for line in sys.stdin:
            figures = measure() if line.strip() == "go" else {}
            print(json.dumps({metric.value: value for metric, value in figures.items()}), flush=True)


@contextlib.contextmanager
def _measured(scenario: Scenario, setting: Setting, seconds: float) -> Iterator[Callable[[], Figures]]:
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-tidings-") as directory,
        running(Tidings(Path(directory), setting)) as server,
        scenario.measure(server, seconds) as measure,
    ):
        yield measure


@contextlib.contextmanager
def _tree_of(revision: str) -> Iterator[Path]:
    """Check an earlier commit out beside this tree."""
    with tempfile.TemporaryDirectory(prefix="benchmark-tree-") as directory:
        tree = Path(directory) / "tree"
        add = ["git", "-C", str(_ROOT), "worktree", "add", "--quiet", "--detach", str(tree), revision]
        subprocess.run(add, check=True)
        try:
            yield tree
        finally:
            remove = ["git", "-C", str(_ROOT), "worktree", "remove", "--force", str(tree)]
            subprocess.run(remove, check=True)


def _compare(scenario: Scenario, before: Path, rounds: int, seconds: float) -> list[_Round]:
    """Give the figures of both in each round; who comes first changes from round to round."""
    with contextlib.ExitStack() as stack:
        pair = [Contestant(tree, scenario.name, seconds) for tree in (before, _ROOT)]
        for contestant in pair:
            stack.callback(contestant.close)
        for contestant in pair:
            contestant.turn("ready?")
        found: list[_Round] = []
        for number in track(range(rounds), description=scenario.name):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            figures = {which: json.loads(pair[which].turn()) for which in order}
            found.append((figures[0], figures[1]))
        return found


def _table(scenario: Scenario, rounds: list[_Round], revision: str) -> Table:
    table = Table("figure", revision, "now", "now ÷ then", "half of the rounds", title=scenario.name)
    for title in rounds[0][0]:
        pairs = [(then[title], now[title]) for then, now in rounds]
        if title == Metric.GENERATOR.value or any(then <= 0 for then, _ in pairs):
            continue
        ratios = sorted(now / then for then, now in pairs)
        quarter = len(ratios) // 4
        medians = [f"{statistics.median(values):,.4g}" for values in zip(*pairs, strict=True)]
        spread = f"{ratios[quarter]:.3f} to {ratios[-quarter - 1]:.3f}"
        table.add_row(title, *medians, f"{statistics.median(ratios):.3f}", spread)
    return table


def main() -> int:
    """Compare, and print a table for each scenario."""
    if sys.argv[1:2] == ["--by-turns"]:
        _take_turns(SCENARIOS[sys.argv[2]], float(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("revision", help="the commit to compare with")
    parser.add_argument("scenarios", nargs="*", default=["routing", "durable"], metavar="scenario")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each (default 20)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (default 1)")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 110)
    with _tree_of(arguments.revision) as before:
        for name in arguments.scenarios:
            [scenario] = [each for each in selected([name]) if each.name == name]
            rounds = _compare(scenario, before, arguments.rounds, arguments.seconds)
            console.print(_table(scenario, rounds, arguments.revision))
    return 0


if __name__ == "__main__":
    sys.exit(main())
