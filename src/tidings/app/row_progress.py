"""Progress through the rows of a database, told now and then: a word for each would cost more than it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tidings.adapters.sql.dump import Row

OnProgress = Callable[[str, int, int], None]
"""Is told what is at work, how many rows are done, and how many there are."""

_EVERY: Final = 5_000


class RowProgress:
    """Counts rows, and tells how far it is."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._total = total
        self._on_progress = on_progress
        self._done = 0

    def step(self, what: str) -> None:
        """One row more is done."""
        self._done += 1
        if self._done % _EVERY == 0 or self._done == self._total:
            self._on_progress(what, self._done, self._total)

    def skip(self, what: str, rows: int) -> None:
        """So many rows need nothing done."""
        self._done += rows
        self._on_progress(what, self._done, self._total)

    def through(self, what: str, rows: Iterator[Row]) -> Iterator[Row]:
        """Pass rows on and count them."""
        for row in rows:
            self.step(what)
            yield row
