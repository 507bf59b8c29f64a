"""Shows where Tidings spends its time in a scenario: `python -m benchmarks.profile routing`."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import signals
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers.base import running
from benchmarks.servers.tidings import Tidings

_ROOT = Path(__file__).parent.parent
_ROWS = 30


Stacks = dict[tuple[str, ...], int]
"""How often each stack was seen, outermost function first."""


class SampledTidings(Tidings):
    """Tidings inside the sampler."""

    def command(self) -> list[str]:
        """Run this package's sampler in place of the installed command."""
        _, *arguments = super().command()
        return [sys.executable, "-m", "benchmarks.sampler", str(self._stacks), *arguments]

    def environment(self) -> dict[str, str]:
        """Let the sampler be found."""
        return super().environment() | {"PYTHONPATH": str(_ROOT)}

    def begin(self) -> None:
        """Begin to take samples."""
        os.kill(self.pid, signals.BEGIN)

    def end(self) -> None:
        """Stop, and wait until the samples are written."""
        os.kill(self.pid, signals.END)
        deadline = time.monotonic() + 10
        while not self._stacks.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the sampler wrote nothing")
            time.sleep(0.05)

    def read(self) -> Stacks:
        """Give the samples."""
        lines = (line.rpartition(" ") for line in self._stacks.read_text().splitlines())
        return {tuple(stack.split(";")): int(count) for stack, _, count in lines}

    @property
    def _stacks(self) -> Path:
        return self.directory / "stacks.folded"


class NativeTidings(Tidings):
    """Tidings with perf attached, which sees C code and the kernel, but not Python functions."""

    _perf: subprocess.Popen[bytes]

    def begin(self) -> None:
        """Attach perf."""
        command = ["perf", "record", "--quiet", "-F", "999", "-o", self._data, "-p", str(self.pid)]
        self._perf = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def end(self) -> None:
        """Detach it."""
        self._perf.send_signal(signal.SIGINT)
        self._perf.wait(30)

    def summary(self) -> str:
        """Give the shares of libraries and of symbols."""
        parts = []
        for order in ("dso", "dso,symbol"):
            command = [
                "perf",
                "report",
                "-i",
                self._data,
                "--stdio",
                "--sort",
                order,
                "--percent-limit",
                "0.5",
            ]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            parts += [line for line in output.splitlines() if line.strip() and not line.startswith("#")]
        return "\n".join(parts)

    @property
    def _data(self) -> str:
        return str(self.directory / "perf.data")


def main() -> int:
    """Run one scenario once and print what the samples say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("scenario", choices=list(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--lines", action="store_true", help="tell lines apart, not only functions")
    parser.add_argument("--native", action="store_true", help="sample C code and kernel with perf instead")
    parser.add_argument("--folded", type=Path, help="also keep the stacks here, for a flame graph")
    arguments = parser.parse_args()
    if arguments.native and shutil.which("perf") is None:
        parser.error("--native needs perf (Debian: linux-perf)")

    console = Console(width=max(Console().width, 140))
    scenario = SCENARIOS[arguments.scenario]
    kind = NativeTidings if arguments.native else SampledTidings
    with tempfile.TemporaryDirectory(prefix="profile-") as directory:
        ((_, setting),) = scenario.contestants([kind]).values()
        server = kind(Path(directory), setting)
        with running(server), scenario.measure(server, arguments.seconds) as measure:
            server.begin()
            figures = measure()
            server.end()
            console.print({metric.value: round(value, 2) for metric, value in figures.items()})
        if isinstance(server, NativeTidings):
            console.out(server.summary())
            return 0
        stacks = server.read()
    if arguments.folded:
        arguments.folded.write_text(
            "".join(f"{';'.join(stack)} {count}\n" for stack, count in stacks.items())
        )
    _show(stacks, console, by_line=arguments.lines)
    return 0


def _show(stacks: Stacks, console: Console, *, by_line: bool) -> None:
    """Print the places with the most samples of their own, each with the share it has with its callees."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for stack, count in stacks.items():
        places = [place if by_line else place.rpartition(":")[0] or place for place in stack]
        own[places[-1]] += count
        for place in set(places):
            inclusive[place] += count
    total = own.total() or 1
    for title, counter in (("by own time", own), ("by time with callees", inclusive)):
        table = Table("own %", "with callees %", "place", title=f"{total:,} samples, {title}")
        for place, _ in counter.most_common(_ROWS):
            table.add_row(f"{own[place] / total:.1%}", f"{inclusive[place] / total:.1%}", place)
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
