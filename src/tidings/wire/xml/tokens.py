"""Unfinished tokens: tags and references whose end has not come yet, and what expat makes of them."""

from __future__ import annotations

import re
from pyexpat import ParserCreate

_REFERENCE = b"&"
_REFERENCE_END = re.compile(rb"[^#\w.:\x80-\xff-]")
_TAG_STOPS = {b"": re.compile(rb"""["'<>]"""), b'"': re.compile(rb'["<]'), b"'": re.compile(rb"['<]")}


class OpenToken:
    """Follows a tag or reference through more octets; a `>` inside quotes ends no tag."""

    __slots__ = ("_quote",)

    def __init__(self, *, is_reference: bool) -> None:
        self._quote = _REFERENCE if is_reference else b""  # the quote that the tag is inside of

    def ends_in(self, data: bytes) -> bool:
        """Tell whether the token ends in these octets, the next ones."""
        if self._quote == _REFERENCE:
            return _REFERENCE_END.search(data) is not None
        position = 0
        while True:
            match = _TAG_STOPS[self._quote].search(data, position)
            if match is None:
                return False
            mark = match[0]
            if mark in b"<>":  # a < has no place in a tag: let expat say so
                return True
            self._quote = b"" if self._quote else mark
            position = match.end()


def follow(token: bytes) -> OpenToken | None:
    """Begin to follow a tag or reference; None if it ends in these octets."""
    begun = OpenToken(is_reference=token[:1] == _REFERENCE)
    return None if begun.ends_in(token[1:]) else begun


def expat_defers() -> bool:
    """Tell whether this expat puts off unfinished tokens and Python has no switch for it.

    COMPAT(expat 2.6 and Debian's 2.5.0-1+deb12u2 under Python before 3.11.9 and 3.12.3, until Python 3.13)
    """
    parser = ParserCreate()
    if hasattr(parser, "SetReparseDeferralEnabled"):
        return False
    seen: list[str] = []
    parser.StartElementHandler = lambda tag, _attributes: seen.append(tag)
    parser.Parse(b"<probe one='1' two='", False)
    parser.Parse(b"'>", False)
    return not seen
