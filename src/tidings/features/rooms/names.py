"""Names: finds in a text the names of people, whatever their number.

A name is found by its first word, so a text costs a look-up for each of its words. Case does not count, and a
name counts where it stands as words of its own.
"""

from __future__ import annotations

import re
from typing import Final

from tidings.base.jid import Jid

SEARCHED: Final = 10_000
"""So many characters of a text are looked through."""

_WORD: Final = re.compile(r"\w+")


class Names:
    """Who is called what; the same name may be that of several."""

    __slots__ = ("_by_word", "_wordless")

    def __init__(self) -> None:
        self._by_word: dict[str, list[tuple[str, Jid]]] = {}
        self._wordless: list[tuple[str, Jid]] = []  # names of signs alone

    def add(self, name: str, jid: Jid) -> None:
        """Note that somebody is called so."""
        folded = name.casefold()
        word = _WORD.search(folded)
        if word is not None:
            self._by_word.setdefault(word[0], []).append((folded, jid))
        elif folded:
            self._wordless.append((folded, jid))

    def discard(self, name: str, jid: Jid) -> None:
        """Note that somebody is not called so any more."""
        folded = name.casefold()
        word = _WORD.search(folded)
        if word is None:
            self._wordless = [each for each in self._wordless if each != (folded, jid)]
            return
        found = self._by_word.get(word[0])
        known = (folded, jid)
        if found is not None and known in found:
            found.remove(known)
            if not found:
                del self._by_word[word[0]]

    def within(self, folded: str, words: frozenset[str]) -> set[Jid]:
        """Give those whose names are in a text, whose case was folded, and whose words these are."""
        found: set[Jid] = set()
        for word in self._by_word.keys() & words:
            for name, jid in self._by_word[word]:
                if jid not in found and _stands_in(folded, name):
                    found.add(jid)
        for name, jid in self._wordless:
            if name in folded:
                found.add(jid)
        return found


def words_of(folded: str) -> frozenset[str]:
    """Give the words of a text."""
    return frozenset(_WORD.findall(folded))


def _stands_in(text: str, name: str) -> bool:
    """Tell whether a name stands in a text as words of its own."""
    start = text.find(name)
    while start >= 0:
        if _is_bound(text, start) and _is_bound(text, start + len(name)):
            return True
        start = text.find(name, start + 1)
    return False


def _is_bound(text: str, place: int) -> bool:
    """Tell whether no word goes on over a place."""
    return not 0 < place < len(text) or not (_WORD.match(text, place - 1) and _WORD.match(text, place))
