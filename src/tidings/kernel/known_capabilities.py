"""Known capabilities: what hashes stand for that clients announce, once somebody has proved it.

Only an answer that has the hash it was asked for gets in, so nobody can say something about another one's
client; and what is kept is bounded in number and octets, so nobody can fill the memory with hashes of his
own. What was used longest ago leaves.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

MOST_KNOWN: Final = 2_000
MOST_OCTETS: Final = 2 << 20
_BESIDE: Final = 200
"""Octets of an entry beside its texts."""


class Claim(NamedTuple):
    """A hash that a client announces: which document says how it is made, the function, and its value."""

    document: str
    algorithm: str
    value: str


class KnownCapabilities:
    """Keeps the nodes whose news a client wants, by the hash that it announces; for all hosts together."""

    def __init__(self, most: int = MOST_KNOWN, octets: int = MOST_OCTETS) -> None:
        self._most = most
        self._most_octets = octets
        self._octets = 0
        self._known: OrderedDict[Claim, frozenset[str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, claim: Claim) -> frozenset[str] | None:
        """Give the nodes, or None where nobody has proved yet what the hash stands for."""
        found = self._known.get(claim)
        if found is not None:
            self._known.move_to_end(claim)
        return found

    def put(self, claim: Claim, nodes: frozenset[str]) -> None:
        """Keep what a hash was proved to stand for."""
        if claim in self._known:
            return
        self._known[claim] = nodes
        self._octets += _octets(claim, nodes)
        while len(self._known) > self._most or self._octets > self._most_octets:
            self._octets -= _octets(*self._known.popitem(last=False))


def _octets(claim: Claim, nodes: frozenset[str]) -> int:
    return _BESIDE + sum(map(len, claim)) + sum(len(node.encode()) + _BESIDE for node in nodes)
