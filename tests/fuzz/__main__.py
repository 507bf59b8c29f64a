"""Tries random input until something breaks: `python -m tests.fuzz [NAME …]`, or `make fuzz`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.fuzz.budget import Budget, Outcome
from tests.fuzz.fuzzers import FUZZERS

_FINDINGS = Path(tempfile.gettempdir()) / "tidings-fuzz-findings"
_SHOWN = 300  # characters of an input that are printed
_say = Console(markup=False, highlight=False, soft_wrap=True).print


def main() -> int:
    """Run the fuzzers one after another; 0 when everything held, 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FUZZERS)}; all if none")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each of them (default 10)")
    parser.add_argument("--cases", type=int, help="so many cases of each instead")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000_000, help="for the same again")
    parser.add_argument("--case", type=int, help="this case of the seed alone")
    parser.add_argument(
        "--findings",
        type=Path,
        default=_FINDINGS,
        help=f"where inputs are kept that broke something ({_FINDINGS})",
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in FUZZERS]
    if unknown:
        parser.error(f"there is no fuzzer {unknown[0]}; there are {', '.join(FUZZERS)}")
    _say(f"seed {arguments.seed}")
    broken = 0
    for name in arguments.names or FUZZERS:
        broken += _run(name, arguments)
    return 1 if broken else 0


def _run(name: str, arguments: argparse.Namespace) -> int:
    fuzzer = FUZZERS[name]
    _say(f"\n{name}: {fuzzer.promise}")
    start = time.monotonic()
    outcome = fuzzer.run(
        Budget(
            arguments.seed,
            cases=arguments.cases,
            minutes=arguments.minutes,
            only=arguments.case,
            tell=lambda text: _say(f"  {text}"),
        )
    )
    _show(name, outcome, arguments.findings)
    found = len(outcome.findings)
    seconds = time.monotonic() - start
    _say(f"  {f'{found} findings' if found else 'everything held'} in {seconds:.0f} s")
    return found


def _show(name: str, outcome: Outcome, directory: Path) -> None:
    for what, count in sorted(outcome.counts.items()):
        _say(f"  {what + ' ':.<60} {count:>14,}")
    directory.mkdir(parents=True, exist_ok=True)
    for finding in outcome.findings:
        path = directory / f"{name}-{finding.case.replace('--', '').replace(' ', '-')}.input"
        path.write_bytes(finding.given)
        _say(f"  FOUND ({name} {finding.case}): {finding.what[:_SHOWN]}")
        _say(f"    input, in full in {path}: {finding.given[:_SHOWN]!r}")


if __name__ == "__main__":
    sys.exit(main())
