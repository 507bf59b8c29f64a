"""Reads a stream with lxml, as our parser should: first-level elements, up to what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lxml import etree

Tree = tuple[str, dict[str, str], list[object]]
_NOT_FINISHED = ("Premature end of data", "no element found", "Document is empty")
_LAX = ("is not a valid URI", "is not absolute")
_UNKNOWN_ENTITY = re.compile("Entity '.*' not defined", re.DOTALL)
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(slots=True)
class Measures:
    """How large an element is, as the limits of a stream count it; of an unfinished one, so far."""

    depth: int = 0
    attributes: int = 0
    children: int = 0
    elements: int = 0


@dataclass(slots=True)
class Reading:
    """What lxml has read."""

    head: tuple[str, dict[str, str], str] | None = None
    elements: list[Tree] = field(default_factory=list)
    """Those on the first level that have ended."""
    measures: list[Measures] = field(default_factory=list)
    """Of each of them, and of the one that has not ended."""
    is_closed: bool = False
    refusal: str = ""
    """Why lxml reads no further; it never says that of a document that only is not finished."""
    namespace_error: str = ""
    """What is wrong with namespaces; lxml reads on, and says so at the end."""
    restricted: set[str] = field(default_factory=set)
    """What XML may have and streams may not."""
    restart: int | None = None
    """After so many elements a stream header, or a declaration before one, stands where an element may."""
    foreign_names: bool = False
    """Whether there are names beyond ASCII: which are allowed is told otherwise in each edition of XML."""
    spaced_namespaces: bool = False
    """Whether a namespace has a space in it, which no URI has (RFC 3986); expat refuses those."""


def second_reading(document: bytes) -> Reading:
    """Read all of it."""
    reading = Reading()
    parser = etree.XMLPullParser(
        events=("start", "end", "comment", "pi"), resolve_entities=False, huge_tree=True, no_network=True
    )
    try:
        parser.feed(document)
    except etree.XMLSyntaxError as error:
        reading.refusal = str(error)
    _take(reading, parser.read_events())
    log = [(entry.domain_name, entry.message) for entry in parser.feed_error_log]
    if reading.refusal and any("XML declaration allowed only at the start" in message for _, message in log):
        reading.restart = len(reading.elements) if reading.restart is None else reading.restart
    try:
        parser.close()
    except etree.XMLSyntaxError as error:
        # That a namespace is no URI is nobody's concern (Namespaces in XML 1.0 §9).
        if not str(error).startswith(_NOT_FINISHED) and not any(word in str(error) for word in _LAX):
            reading.refusal = reading.refusal or str(error)
    for domain, message in log:
        if domain == "NAMESPACE" and not any(word in message for word in _LAX):
            reading.namespace_error = message
        # In the value of an attribute lxml stops there without a word.
        if _UNKNOWN_ENTITY.fullmatch(message):
            reading.refusal = reading.refusal or message
    return reading


def _take(reading: Reading, events: Iterable[tuple[str, etree._Element]]) -> None:
    open_elements: list[etree._Element] = []
    for event, element in events:
        if event in {"comment", "pi"}:
            reading.restricted.add(event)
        elif event == "start":
            open_elements.append(element)
            _started(reading, element, len(open_elements) - 1)
        else:
            open_elements.pop()
            if len(open_elements) == 1:
                reading.elements.append(tree(element))
                if any(child.tag is etree.Entity for child in element.iter()):
                    reading.restricted.add("entity")
            elif not open_elements:
                reading.is_closed = True
    if open_elements and any(child.tag is etree.Entity for child in open_elements[0].iter()):
        reading.restricted.add("entity")


def _started(reading: Reading, element: etree._Element, level: int) -> None:
    reading.foreign_names |= not "".join((element.tag, *element.attrib, element.prefix or "")).isascii()
    reading.spaced_namespaces |= any(" " in space for space in element.nsmap.values())
    if level == 0:
        reading.head = (element.tag, attributes(element), element.nsmap.get(None) or "")
        if element.getroottree().docinfo.doctype:
            reading.restricted.add("document type")
        return
    if level == 1:
        reading.measures.append(Measures())
        if element.tag == "{http://etherx.jabber.org/streams}stream" and reading.restart is None:
            reading.restart = len(reading.elements)
    measures = reading.measures[-1]
    measures.depth = max(measures.depth, level)
    measures.attributes = max(measures.attributes, len(element.attrib))
    measures.children += level == 2
    measures.elements += 1


def attributes(element: etree._Element) -> dict[str, str]:
    """Give the attributes as our parser names them."""
    return {"xml:lang" if name == _LANG else name: value for name, value in element.attrib.items()}


def tree(element: etree._Element) -> Tree:
    """Give an element as values: its tag, its attributes, and texts and elements in order."""
    content: list[object] = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str):
            content += [tree(child), child.tail or ""]
        else:  # a comment, an instruction or an entity, which are told of elsewhere
            content[-1] = f"{content[-1]}{child.tail or ''}"
    return element.tag, attributes(element), content
