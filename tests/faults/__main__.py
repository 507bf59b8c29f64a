"""Tries the faults in full and prints the counts: `python -m tests.faults [PHASE …]`, or `make faults`."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from tests.faults.crashes import Outcome
from tests.faults.phases import PHASES, Plan
from tests.faults.small_disk import CannotMountError

SHOWN = 20  # violations of a phase
_say = Console(markup=False, highlight=False, soft_wrap=True).print


def main() -> int:
    """Run the phases; 0 when everything held, 1 when a promise was broken, 3 when a phase could not run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("phases", nargs="*", metavar="PHASE", help=f"of {', '.join(PHASES)}; all if none")
    parser.add_argument("--kills", type=int, help="kills in each phase of crashes (default 200 and 50)")
    parser.add_argument("--outage-seconds", type=float, default=60.0, help="length of an outage (default 60)")
    parser.add_argument("--messages", type=int, default=1_000_000, help="to move (default 1,000,000)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000_000, help="for the same again")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.phases if name not in PHASES]
    if unknown:
        parser.error(f"there is no phase {unknown[0]}; there are {', '.join(PHASES)}")
    plan = Plan(arguments.seed, arguments.kills, arguments.outage_seconds, arguments.messages)
    _say(f"seed {plan.seed}")
    codes = {_run(name, plan) for name in arguments.phases or PHASES}
    return next(code for code in (1, 3, 0) if code in codes)


def _run(name: str, plan: Plan) -> int:
    phase = PHASES[name]
    _say(f"\n{name}: {phase.promise}")
    start = time.monotonic()
    try:
        outcome = phase.run(plan, lambda text: _say(f"  {text}"))
    except CannotMountError as reason:
        _say(f"  !!! NOT TRIED: {reason}")
        return 3
    except (AssertionError, ConnectionError, RuntimeError) as failure:
        _say(f"  FAILED (seed {plan.seed}): {failure}")
        return 1
    _show(outcome, time.monotonic() - start)
    return 1 if outcome.violations else 0


def _show(outcome: Outcome, seconds: float) -> None:
    for what, count in outcome.counts.items():
        _say(f"  {what + ' ':.<40} {count:>10,}")
    for violation in outcome.violations[:SHOWN]:
        _say(f"  VIOLATION: {violation}")
    if len(outcome.violations) > SHOWN:
        _say(f"  … and {len(outcome.violations) - SHOWN} more")
    _say(f"  {'BROKEN' if outcome.violations else 'everything held'} in {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
