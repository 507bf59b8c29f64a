"""What is wrong with a configuration, as its administrator is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tidings.base.errors import TidingsError


class Mistake(NamedTuple):
    """One thing that is wrong: where, and what was expected."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


class ConfigError(TidingsError):
    """The configuration cannot be used; the text has a line for each mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))
