"""A short turn of every fault; `make faults` tries them in full."""

import os
import time

import pytest

from tests.faults.phases import PHASES, Plan
from tests.faults.small_disk import CannotMountError
from tests.harness.databases import program_of_mariadb
from tests.harness.postgresql import programs_of_postgresql

SHORT = Plan(
    seed=int(os.environ.get("TIDINGS_FAULTS_SEED", time.time_ns() % 1_000_000_000)),
    kills=3,
    outage_seconds=3.0,
    messages=2_000,
)


@pytest.mark.timeout(300)  # moves start nine commands and three databases
@pytest.mark.parametrize("name", PHASES)
def test_short_turn(name: str) -> None:
    if ("postgresql" in name or name == "moves") and programs_of_postgresql() is None:
        pytest.skip("POSTGRESQL IS NOT TESTED: install Debian's package postgresql")
    if name == "moves" and program_of_mariadb() is None:
        pytest.skip("MOVES ARE NOT TESTED: install Debian's package mariadb-server")
    told: list[str] = [f"seed {SHORT.seed}"]
    try:
        outcome = PHASES[name].run(SHORT, told.append)
    except CannotMountError as reason:
        pytest.skip(f"THE FULL DISK IS NOT TESTED: {reason}")
    assert outcome.violations == [], "\n".join(told)
    assert outcome.counts["messages acknowledged"] > 0
