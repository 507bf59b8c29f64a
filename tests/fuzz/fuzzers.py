"""The fuzzers by name, each with what it tries to break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import logins, negotiations, stanzas, streams
from tests.fuzz.budget import Budget, Outcome


@dataclass(frozen=True, slots=True)
class Fuzzer:
    """One kind of random input."""

    promise: str
    run: Callable[[Budget], Outcome]


FUZZERS = {
    "streams": Fuzzer(streams.PROMISE, streams.run),
    "negotiations": Fuzzer(negotiations.PROMISE, negotiations.run),
    "logins": Fuzzer(logins.PROMISE, logins.run),
    "stanzas": Fuzzer(stanzas.PROMISE, stanzas.run),
}
