"""A short turn of every fuzzer, with the same seed each time; `make fuzz` goes on for minutes."""

import pytest

from tests.fuzz.budget import Budget
from tests.fuzz.fuzzers import FUZZERS

CASES = {"streams": 200, "negotiations": 600, "logins": 15, "stanzas": 8}
SEED = 1


@pytest.mark.parametrize("name", FUZZERS)
def test_a_short_turn_finds_nothing(name: str) -> None:
    outcome = FUZZERS[name].run(Budget(SEED, cases=CASES[name]))
    assert [f"{name} {finding.case}: {finding.what}" for finding in outcome.findings] == []
    assert outcome.counts.total() > CASES[name]
