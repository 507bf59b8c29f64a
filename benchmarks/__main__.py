"""Measures Tidings beside Prosody and ejabberd: `python -m benchmarks [scenario …] [--server NAME …]`."""

import argparse
import resource
import signal
import sys
from pathlib import Path
from types import FrameType

from rich.console import Console

from benchmarks.report import save, show
from benchmarks.runner import Plan, run, show_progress
from benchmarks.scenarios import SCENARIOS, selected
from benchmarks.servers import SERVERS

_RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run what the command line asks for; the exit code tells whether it ran, not whether it was fast."""
    arguments = _parser().parse_args()
    console = Console()
    try:
        scenarios = selected(arguments.scenarios)
    except KeyError as unknown:
        console.print(f"There is no scenario {unknown}; there are: {', '.join(SCENARIOS)}.")
        return 2
    servers = [SERVERS[name] for name in SERVERS if not arguments.server or name in arguments.server]
    missing = [server.name for server in servers if server.version() is None]
    if missing:
        console.print(f"Not installed and left out: {', '.join(missing)} (see benchmarks/install-peers.sh).")
    servers = [server for server in servers if server.name not in missing]
    if not servers:
        return 2

    signal.signal(signal.SIGTERM, _end)  # the servers are stopped and what was measured is told
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with show_progress() as progress:
        report = run(Plan(scenarios, servers, arguments.seconds, arguments.rounds), progress)
    show(report, console if console.is_terminal else Console(width=140))
    console.print(f"Written to {save(report, arguments.output)} and the JSON file beside it.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="scenario",
        help=f"a name or the beginning of one, of: {', '.join(SCENARIOS)}; all but the long ones if none",
    )
    parser.add_argument("--server", nargs="+", choices=list(SERVERS), help="measure only these")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements per server (default 3)")
    parser.add_argument("--output", type=Path, default=_RESULTS, help="directory for the results")
    return parser


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
