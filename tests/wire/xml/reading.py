"""What the tests of the parser share: pieces, comparable events, a second parser, watched expats."""

from __future__ import annotations

import pyexpat
from collections.abc import Iterable

from lxml import etree

from tidings.base.limits import XmlLimits
from tidings.wire.xml.fragment import Event, Fragment, StreamHead
from tidings.wire.xml.parser import StreamParser

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
OWN_HEADER = b'<stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">'
TAIL = b"</stream:stream>"


def shape(event: Event) -> object:
    """Return what two equal events have in common."""
    if isinstance(event, Fragment):
        return (event.namespace, event.name, event.attributes, event.index, event.content)
    if isinstance(event, StreamHead):
        return (event.namespace, event.name, event.attributes, event.content_namespace)
    return "tail"


def read(pieces: Iterable[bytes], limits: XmlLimits | None = None) -> tuple[list[object], str | None]:
    """Feed a new parser and return its events and the condition it failed with."""
    parser = StreamParser(limits or XmlLimits())
    events = [shape(event) for piece in pieces for event in parser.feed(piece)]
    return events, None if parser.failure is None else parser.failure.condition


def octets(data: bytes) -> list[bytes]:
    """Cut into single octets."""
    return [data[position : position + 1] for position in range(len(data))]


def fragments(data: bytes, limits: XmlLimits | None = None) -> list[Fragment]:
    """Return the elements of a stream that must have no fault."""
    parser = StreamParser(limits or XmlLimits())
    events = parser.feed(data)
    assert parser.failure is None, parser.failure
    return [event for event in events if isinstance(event, Fragment)]


def tree(element: etree._Element) -> object:
    """Return an lxml tree as values: tag, attributes, and texts and children in order."""
    content: list[object] = [element.text or ""]
    for child in element:
        content += [tree(child), child.tail or ""]
    return element.tag, dict(element.attrib), content


def second_opinion(document: bytes) -> etree._Element:
    """Parse a whole stream with lxml and return its only first-level element."""
    root = etree.fromstring(document, etree.XMLParser(resolve_entities=False, huge_tree=True))
    (element,) = root
    return element


class WatchedExpat:
    """An expat that counts the work that one without deferral does: it reads unfinished tokens again."""

    made = 0
    work = 0

    def __init__(self, *arguments: str) -> None:
        type(self).made += 1
        self.__dict__["_real"] = pyexpat.ParserCreate(*arguments)
        self.__dict__["_given"] = 0
        self.__dict__["_unfinished"] = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)

    def Parse(self, data: bytes, final: bool) -> int:  # noqa: N802  # expat's own name
        type(self).work += len(data) + self._unfinished
        result = self._real.Parse(data, final)
        self.__dict__["_given"] += len(data)
        self.__dict__["_unfinished"] = self._given - max(self._real.CurrentByteIndex, 0)
        return result


class DeferringExpat(WatchedExpat):
    """An expat that puts off an unfinished token until it has doubled, as those since 2.6 do."""

    def __init__(self, *arguments: str) -> None:
        super().__init__(*arguments)
        self.__dict__["_pending"] = b""
        self.__dict__["_in_vain"] = 0

    def Parse(self, data: bytes, final: bool) -> int:  # noqa: N802
        self.__dict__["_pending"] += data
        before = self._unfinished
        now = before + len(self._pending)
        if now < 2 * self._in_vain:
            return 1
        pending, self.__dict__["_pending"] = self._pending, b""
        result = super().Parse(pending, final)
        self.__dict__["_in_vain"] = now if self._unfinished == now else 0
        return result
