"""Terms of Erlang, as they are printed: binaries are octets, atoms and texts are strings."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Term: TypeAlias = "bytes | str | int | float | tuple[Term, ...] | list[Term]"

_DEEPEST: Final = 200
_BETWEEN: Final = re.compile(r"(?:\s|%[^\n]*)*")
_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ATOM: Final = re.compile(r"[a-z][\w@]*")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+(?:[eE][+-]?\d+)?)?")
_UTF8: Final = re.compile(r"/utf8")
_ESCAPE: Final = re.compile(r"\\(?:x\{([0-9a-fA-F]+)\}|x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS: Final = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "s": " ",
    "e": "\x1b",
    "d": "\x7f",
}


def read_term(text: str) -> Term:
    """Read one term, with or without the full stop after it; raises `ValueError`."""
    return _Reader(text).term()


def first_terms(text: str, count: int) -> list[Term]:
    """Read so many terms of a tuple, and nothing after them; raises `ValueError`."""
    return _Reader(text).first(count)


class _Reader:
    """A text that is read from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def term(self) -> Term:
        """Read a term."""
        if self._has("{"):
            return tuple(self._terms("}"))
        if self._has("["):
            return self._terms("]")
        if self._has("<<"):
            return self._binary()
        if (found := self._take(_TEXT) or self._take(_QUOTED)) is not None:
            return _ESCAPE.sub(_unescaped, found[1])
        if (found := self._take(_ATOM)) is not None:
            return found[0]
        if (found := self._take(_NUMBER)) is not None:
            return float(found[0]) if "." in found[0] else int(found[0])
        raise self._wrong("a term")

    def first(self, count: int) -> list[Term]:
        """Read the first terms of a tuple."""
        terms: list[Term] = []
        while len(terms) < count:
            if not self._has("," if terms else "{"):
                raise self._wrong("another term")
            terms.append(self.term())
        return terms

    def _terms(self, closing: str) -> list[Term]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} terms lie in each other")
        terms: list[Term] = []
        while not self._has(closing):
            if terms and not (self._has(",") or self._has("|")):
                raise self._wrong(closing)
            terms.append(self.term())
        self._depth -= 1
        return terms

    def _binary(self) -> bytes:
        parts: list[bytes] = []
        while not self._has(">>"):
            if parts and not self._has(","):
                raise self._wrong(">>")
            if (found := self._take(_TEXT)) is not None:
                text = _ESCAPE.sub(_unescaped, found[1])
                is_utf8 = self._take(_UTF8) is not None
                parts.append(text.encode("utf-8" if is_utf8 else "latin-1", "replace"))
            elif (found := self._take(_NUMBER)) is not None and "." not in found[0]:
                parts.append(bytes((int(found[0]) & 255,)))
            else:
                raise self._wrong("an octet")
        return b"".join(parts)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _has(self, sign: str) -> bool:
        self._skip()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _skip(self) -> None:
        found = _BETWEEN.match(self._text, self._at)
        assert found is not None  # it matches nothing, too
        self._at = found.end()

    def _wrong(self, wanted: str) -> ValueError:
        found = self._text[self._at : self._at + 20]
        return ValueError(f"has {found!r} where {wanted} should be" if found else "ends within a term")


def _unescaped(found: re.Match[str]) -> str:
    if found[1] or found[2]:
        return chr(int(found[1] or found[2], 16))
    return chr(int(found[3], 8)) if found[3] else _LETTERS.get(found[4], found[4])
