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
        self._by_word: dict[str, list[tuple[str, int, Jid]]] = {}
        self._wordless: list[tuple[str, Jid]] = []  # names of signs alone

    def add(self, name: str, jid: Jid) -> None:
        """Note that somebody is called so."""
        folded = name.casefold()
        word = _WORD.search(folded)
        if word is not None:
            self._by_word.setdefault(word[0], []).append((folded, word.start(), jid))
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
        known = (folded, word.start(), jid)
        if found is not None and known in found:
            found.remove(known)
            if not found:
                del self._by_word[word[0]]

    def within(self, folded: str) -> set[Jid]:
        """Give those whose names are in a text, whose case was folded."""
        found: set[Jid] = set()
        by_word = self._by_word
        for word in _WORD.finditer(folded):
            for name, offset, jid in by_word.get(word[0], ()):
                start = word.start() - offset
                if start >= 0 and folded.startswith(name, start) and _ends_at(folded, start + len(name)):
                    found.add(jid)
        for name, jid in self._wordless:
            if name in folded:
                found.add(jid)
        return found


def _ends_at(text: str, end: int) -> bool:
    """Tell whether no word goes on at this place."""
    return end >= len(text) or _WORD.match(text, end) is None or _WORD.match(text, end - 1) is None
