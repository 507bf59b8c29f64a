"""How long a fuzzer runs, with which random choices, and what it comes to."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Tell = Callable[[str], None]
_TOLD_EVERY = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that did not hold, with the input that broke it."""

    case: str
    """Which case of which seed: its random choices can be made again."""
    what: str
    given: bytes
    """What was sent; of several streams or stanzas, each on a line of its own."""


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Budget:
    """So many cases, or so many minutes; `only` is one case that is to be tried again."""

    seed: int
    cases: int | None = None
    minutes: float = 10.0
    only: int | None = None
    tell: Tell = lambda _: None
    most_findings: int = 20

    def numbers(self, outcome: Outcome) -> Iterator[int]:
        """Give the numbers of the cases to try, tell how it goes, and stop when that is enough."""
        start = told = time.monotonic()
        number = 0 if self.only is None else self.only
        told_of = 0
        while len(outcome.findings) < self.most_findings:
            for finding in outcome.findings[told_of:]:
                self.tell(f"FOUND ({finding.case}): {finding.what[:500]}")
            told_of = len(outcome.findings)
            now = time.monotonic()
            if self.cases is not None:
                if number >= self.cases:
                    return
            elif now - start > self.minutes * 60:
                return
            if now - told > _TOLD_EVERY:
                told = now
                findings = len(outcome.findings)
                self.tell(f"{now - start:5.0f} s, {number:,} cases, {findings} findings")
            yield number
            if self.only is not None:
                return
            number += 1

    def case(self, number: int) -> str:
        """Name a case, for whoever wants to try it again."""
        return f"--seed {self.seed} --case {number}"

    def chance(self, number: int) -> random.Random:
        """Give the random choices of a case, which depend on nothing but the seed and its number."""
        return random.Random(f"{self.seed}/{number}")
