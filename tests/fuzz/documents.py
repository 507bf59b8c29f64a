"""Writes random streams: well-formed ones in unusual clothes, restricted XML, and damage."""

from __future__ import annotations

import random

STREAMS = "http://etherx.jabber.org/streams"
_SPACES = ("jabber:client", "urn:x", "urn:y?a=1&b='2'", STREAMS, "http://a.example/#")
_PREFIXES = ("a", "b", "message", "stream", "ü", "p-1", "_")
_NAMES = ("body", "x", "message", "iq", "presence", "stream", "a", "höhe", "x-1.y", "_", "xm", "Xmlx")
_WORDS = (
    "hello",
    " ",
    "\n",
    "\t",
    "\r\n",
    "é€😀",
    "\u00a0\u2028\u0085",
    "]] >",
    "]]",
    ">",
    "/>",
    "'",
    '"',
    "&amp;",
    "&lt;",
    "&gt;",
    "&apos;",
    "&quot;",
    "&#65;",
    "&#x1F600;",
    "&#000000000000000000000010;",
    "&#13;",
    "&#x9;",
    "<![CDATA[]]>",
    "<![CDATA[<x>&amp;]] ]>]]>",
    "<![CDATA[]]]]><![CDATA[>]]>",
    "\ufffd",
    "\U0010fffd",
)
_RESTRICTED = ("<!-- x -->", "<?php echo ?>", "<?xml version='1.0'?>", "<!DOCTYPE x>", "&nbsp;", "&x;")
_BROKEN = (
    *(b"<", b">", b"&", b"'", b'"', b"/", b"=", b" ", b"]]>", b"<!", b"<?xml", b"</", b"&#0;", b"&#xD800;"),
    *(
        b"&#x110000;",
        b"&#xFFFE;",
        b"\0",
        b"\x01",
        b"\x7f",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
    ),
    *(
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\xc3",
        b"\x80",
        b"\xef\xbf\xbf",
        b"\xef\xbb\xbf",
        b"<a:b/>",
        b"<:c/>",
    ),
    *(
        b" xmlns:q=''",
        b" xmlns:xml='urn:x'",
        b" a='1' a='2'",
        b"<![CDATA[",
        b"<!--",
        b"-->",
        b"&a;",
        b"&#",
        b":",
    ),
    *(b"<stream:stream>", b"</stream:stream>", b" xmlns:xmlns='urn:x'", b"<!DOCTYPE x [<!ENTITY e 'e'>]>"),
)

_END = b"'>\">'>;?>]]></x>< "
"""Ends a tag, a value and a reference: what has begun is judged when it is whole."""


class Author:
    """Writes one stream with the random choices that it is given."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._is_large = chance.random() < 0.01
        self._elements_left = 3_000 if self._is_large else 15

    def stream(self) -> bytes:
        """Write a stream, whole or damaged; where it ends, no tag or reference is open."""
        raw = self._whole().encode()
        return self._damaged(raw) + _END if self._chance.random() < 0.5 else raw

    def _whole(self) -> str:
        chance = self._chance
        parts = [chance.choice(("", "", "<?xml version='1.0'?>", '<?xml version="1.0" encoding="UTF-8"?>\n'))]
        if not parts[0] and chance.random() < 0.1:
            parts = [
                chance.choice((" ", "\n\r\n", "\ufeff", "text", "<?xml version='1.1'?>", "<?x?>", "<!---->"))
            ]
        scope = {"": chance.choice(("jabber:client", "jabber:client", "urn:x", ""))}
        prefix = chance.choice(("stream", "stream", "stream", "s", "ü", ""))
        scope[prefix] = STREAMS
        for _ in range(chance.choice((0, 0, 1, 3, 70 if self._is_large else 2))):
            scope.setdefault(f"{chance.choice(_PREFIXES)}{chance.choice(('', '1'))}", chance.choice(_SPACES))
        tag = f"{prefix}:stream" if prefix else "stream"
        declared = [self._attribute(f"xmlns:{key}" if key else "xmlns", uri) for key, uri in scope.items()]
        chance.shuffle(declared)
        parts.append(f"<{tag}{''.join(declared)}{self._attributes(scope)}{self._loose()}>")
        for _ in range(chance.choice((0, 1, 1, 2, 3, 40 if self._is_large else 5))):
            parts.append(self._between())
            parts.append(self._element(scope, chance.choice((0, 1, 2, 3, 12, 70 if self._is_large else 4))))
        parts.append(self._between())
        if chance.random() < 0.6:
            parts.append(f"</{tag}{self._loose()}>")
        return "".join(parts)

    def _between(self) -> str:
        chance = self._chance
        if chance.random() < 0.03:
            return chance.choice(_RESTRICTED)
        return chance.choice(("", "", " ", "\n", "\r\n\t", "text", "&#65;", "<![CDATA[x]]>"))

    def _element(self, outer: dict[str, str], depth: int) -> str:
        chance = self._chance
        scope = dict(outer)
        declared = []
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            key = chance.choice(("", "", *_PREFIXES))
            scope[key] = chance.choice((*_SPACES, "") if not key else _SPACES)
            declared.append((key, scope[key]))
        parts = [
            self._attribute(f"xmlns:{key}" if key else "xmlns", uri) for key, uri in dict(declared).items()
        ]
        chance.shuffle(parts)
        prefix = chance.choice(sorted(scope)) if chance.random() < 0.3 else ""
        name = self._name()
        tag = f"{prefix}:{name}" if prefix else name
        opening = f"<{tag}{''.join(parts)}{self._attributes(scope)}{self._loose()}"
        content = self._content(scope, depth)
        if not content and chance.random() < 0.5:
            return opening + "/>"
        return f"{opening}>{content}</{tag}{self._loose()}>"

    def _content(self, scope: dict[str, str], depth: int) -> str:
        chance = self._chance
        if chance.random() < 0.01:
            return chance.choice(_RESTRICTED)
        self._elements_left -= 1
        if depth <= 0 or self._elements_left < 0:
            return self._text()
        if depth > 5:  # one long branch
            return self._text() + self._element(scope, depth - 1) + self._text()
        width = chance.choice((0, 1, 1, 2, 3, 30 if self._is_large and depth > 2 else 2))
        return "".join(
            part
            for _ in range(width)
            for part in (self._text(), self._element(scope, depth - 1), self._text())
        )

    def _name(self) -> str:
        chance = self._chance
        if chance.random() < 0.005:
            return chance.choice(
                (
                    "n" * chance.randint(100, 20_000 if self._is_large else 200),
                    f"n{chance.randint(0, 10_000)}",
                    "😀",
                    "\u037fA",
                    "\u00b7x",
                )
            )
        return chance.choice(_NAMES)

    def _attributes(self, scope: dict[str, str]) -> str:
        chance = self._chance
        count = chance.choice((0, 0, 0, 1, 2, 3))
        if chance.random() < 0.02:
            count = chance.choice((20, 63, 64, 65, 100))
        used: set[tuple[str, str]] = set()
        parts = []
        for number in range(count):
            key = chance.choice(("", "", "xml", *(key for key in sorted(scope) if key)))
            local = (
                chance.choice(("lang", "space"))
                if key == "xml"
                else chance.choice(("id", "to", f"d{number}"))
            )
            space = key if key in {"", "xml"} else scope[key]
            if (space, local) not in used:
                used.add((space, local))
                parts.append(self._attribute(f"{key}:{local}" if key else local, None))
        return "".join(parts)

    def _attribute(self, name: str, value: str | None) -> str:
        chance = self._chance
        quote = chance.choice("'\"")
        if value is None:
            value = "".join(word for word in self._words() if "<" not in word)
        else:
            value = value.replace("&", "&amp;")
        value = value.replace(quote, "&apos;" if quote == "'" else "&quot;")
        gap = chance.choice((" ", " ", " ", "\n", "\t ", "\r\n"))
        return f"{gap}{name}{self._loose()}={self._loose()}{quote}{value}{quote}"

    def _text(self) -> str:
        return "".join(self._words()) if self._chance.random() < 0.6 else ""

    def _words(self) -> list[str]:
        chance = self._chance
        if chance.random() < (0.01 if self._is_large else 0.0001):
            return [chance.choice(("x", "]", "é", "&#65;", " ")) * chance.randint(1_000, 70_000)]
        return chance.choices(_WORDS, k=chance.choice((0, 1, 1, 2, 5)))

    def _loose(self) -> str:
        return self._chance.choice(("", "", "", "", " ", "\n", "\r\n"))

    def _damaged(self, whole: bytes) -> bytes:
        """Cut, repeat, replace or insert octets in a few places."""
        chance = self._chance
        raw = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            place = chance.randint(0, len(raw))
            length = chance.choice((0, 0, 1, 2, 8, 40))
            match chance.randrange(4):
                case 0:
                    del raw[place : place + length]
                case 1:
                    raw[place:place] = raw[place : place + length] or b"<"
                case 2:
                    raw[place : place + length] = chance.choice(_BROKEN)
                case _:
                    raw[place:place] = chance.choice(_BROKEN)
        if chance.random() < 0.2:
            del raw[chance.randint(0, len(raw)) :]
        return bytes(raw)


def cuts(chance: random.Random, length: int) -> list[int]:
    """Choose places at which octets are cut, in order."""
    if length < 2:
        return []
    count = min(length - 1, chance.choice((1, 2, 3, 8, 30)))
    return sorted(chance.sample(range(1, length), count))


def pieces(document: bytes, places: list[int]) -> list[bytes]:
    """Cut octets at these places."""
    ends = [*places, len(document)]
    return [document[start:end] for start, end in zip([0, *places], ends, strict=True)]
