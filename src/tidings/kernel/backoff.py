"""Backoff: how long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from typing import Final

FIRST: Final = 1.0
LONGEST: Final = 300.0


class Backoff:
    """Pauses that double with each failure, each up to a half longer or shorter than that.

    What failed together for one reason is then not tried again together.
    """

    def __init__(self, *, longest: float = LONGEST) -> None:
        self.failures = 0
        """How many there were since the last success."""
        self._longest = longest

    def failed(self) -> float:
        """Give the seconds until the next try."""
        pause = min(FIRST * 2.0 ** min(self.failures, 30), self._longest)
        self.failures += 1
        return pause * random.uniform(0.5, 1.5)  # noqa: S311  # nobody's secret

    def succeeded(self) -> None:
        """Begin anew with the next failure."""
        self.failures = 0
