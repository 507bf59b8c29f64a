"""Terms in Erlang's external format, as archives hold them: octets that begin with 131.

Of the format (https://www.erlang.org/doc/apps/erts/erl_ext_dist) those terms are read of which elements are
made: tuples, lists, maps, binaries, atoms, integers. The result is as `terms.read_term` gives it; a map is
the list of its pairs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from tidings.portable.ejabberd.terms import Term

_VERSION: Final = 131
_COMPRESSED: Final = 80
_LARGEST: Final = 16 << 20
"""Octets that a compressed term may have."""
_DEEPEST: Final = 200


def read_external(octets: bytes) -> Term:
    """Read one term; raises `ValueError`."""
    if not octets or octets[0] != _VERSION:
        raise ValueError("is no term of Erlang")
    if octets[1:2] == bytes((_COMPRESSED,)):
        inflating = zlib.decompressobj()
        try:
            octets = bytes((_VERSION,)) + inflating.decompress(octets[6:], _LARGEST)
        except zlib.error as error:
            raise ValueError(f"is compressed wrongly: {error}") from None
        if not inflating.eof:
            raise ValueError("is cut off, or too large")
    try:
        return _External(octets, 1).term()
    except IndexError:
        raise ValueError("is cut off") from None


class _External:
    """Octets that are read from a place on."""

    def __init__(self, octets: bytes, at: int) -> None:
        self._octets = octets
        self._at = at
        self._depth = 0

    def term(self) -> Term:
        """Read a term."""
        tag = self._number(1)
        read = _READERS.get(tag)
        if read is None:
            raise ValueError(f"has a term of the kind {tag}, of which no stanza is made")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} terms lie in each other")
        found = read(self)
        self._depth -= 1
        return found

    def integer(self, octets: int) -> int:
        """Read a whole number, with a sign where it is long."""
        return int.from_bytes(self._take(octets), "big", signed=octets > 1)

    def big(self) -> int:
        """Read a number of any length."""
        count, sign = self._number(1), self._number(1)
        value = int.from_bytes(self._take(count), "little")
        return -value if sign else value

    def octets(self, size: int) -> bytes:
        """Read so many octets as a number of that size says."""
        return self._take(self._number(size))

    def terms(self, size: int) -> list[Term]:
        """Read so many terms as a number of that size says."""
        return [self.term() for _ in range(self._number(size))]

    def items(self) -> list[Term]:
        """Read a list, and what it ends with, which is nothing."""
        found = self.terms(4)
        self.term()
        return found

    def pairs(self) -> list[Term]:
        """Read a map."""
        return [(self.term(), self.term()) for _ in range(self._number(4))]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        if len(taken) < count:
            raise IndexError
        self._at += count
        return taken


_READERS: Final[dict[int, Callable[[_External], Term]]] = {
    97: lambda external: external.integer(1),
    98: lambda external: external.integer(4),
    100: lambda external: external.octets(2).decode("latin-1"),  # an atom
    104: lambda external: tuple(external.terms(1)),
    105: lambda external: tuple(external.terms(4)),
    106: lambda _: [],
    107: lambda external: external.octets(2).decode("latin-1"),  # a list of small numbers: a text
    108: lambda external: external.items(),
    109: lambda external: external.octets(4),
    110: lambda external: external.big(),
    115: lambda external: external.octets(1).decode("latin-1"),  # an atom
    116: lambda external: external.pairs(),
    118: lambda external: external.octets(2).decode("utf-8", "replace"),  # an atom
    119: lambda external: external.octets(1).decode("utf-8", "replace"),  # an atom
}
