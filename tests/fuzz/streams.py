"""Streams cut anywhere, read by our parser and by lxml: the same elements, the same refusals.

Where the two may differ is told in `_reasons`: what streams may not have although XML has it, our limits,
and what the one library allows and the other does not.
"""

from __future__ import annotations

import functools
import random
import re

from tests.fuzz.budget import Budget, Finding, Outcome
from tests.fuzz.documents import Author, cuts, pieces
from tests.fuzz.second_reader import Reading, Tree, second_reading
from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element
from tidings.wire.xml.fragment import Event, Fragment, StreamHead, StreamTail
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xml.parser import StreamParser

PROMISE = "however a stream is cut, it is read as lxml reads it, and what lxml refuses is refused"
_SHORT = 200  # octets; every one of the two-part cuts of such a stream is tried
_LONG = 5_000  # octets; longer streams are not cut into single octets
_SMALL = XmlLimits(stanza_bytes=3_000, depth=6, attributes=8, children=12, elements=40)
_MARKUP = re.compile(rb"<!-|<![D-Z]|<!\Z|<!.|<\?(?!xml[ \t\r\n])|<\?xml[ \t\r\n].*<\?|&[^#\s;<&]*", re.DOTALL)
_STRANGE_REFERENCE = re.compile(rb"&[^;\s]*[:\x80-\xff]")
"""Names of entities have no colons (Namespaces in XML 1.0 §7), which lxml lets pass, or are foreign."""


def run(budget: Budget) -> Outcome:
    """Try random streams."""
    outcome = Outcome()
    for number in budget.numbers(outcome):
        chance = budget.chance(number)
        document = Author(chance).stream()
        for what in try_document(document, chance, outcome):
            outcome.findings.append(Finding(budget.case(number), what, document))
    return outcome


def try_document(document: bytes, chance: random.Random, outcome: Outcome) -> list[str]:
    """Read one stream whole and in pieces, and with lxml; give what is not as it should be."""
    limits = chance.choice((_SMALL, XmlLimits()))
    ours = _Ours([document], limits)
    outcome.counts["streams"] += 1
    outcome.counts["octets"] += len(document)
    outcome.counts["elements"] += len(ours.elements)
    outcome.counts[f"refused: {ours.condition}" if ours.condition else "not refused"] += 1
    found = []
    for parts in _divisions(document, chance):
        outcome.counts["ways to cut them"] += 1
        other = _Ours(parts, limits)
        if other.state != ours.state:
            how = "by single octets" if len(parts) == len(document) else f"at {_places(parts)}"
            found.append(f"cut {how}: {other.state} instead of {ours.state}")
            break
    theirs = second_reading(document if not ours.is_closed else document[: ours.end(document, limits)])
    found += _differences(document, ours, theirs, limits)
    found += _frames(ours, limits)
    return found


class _Ours:
    """What our parser makes of pieces."""

    def __init__(self, parts: list[bytes], limits: XmlLimits) -> None:
        parser = StreamParser(limits)
        events = [event for part in parts for event in parser.feed(part)]
        self.heads = [event for event in events if isinstance(event, StreamHead)]
        self.fragments = [event for event in events if isinstance(event, Fragment)]
        self.is_closed = any(isinstance(event, StreamTail) for event in events)
        self.condition = "" if parser.failure is None else parser.failure.condition
        self.state = ([_shape(event) for event in events], bool(self.condition))

    @functools.cached_property
    def elements(self) -> list[Tree]:
        return [_tree(fragment.to_element()) for fragment in self.fragments]

    def end(self, document: bytes, limits: XmlLimits) -> int:
        """Tell where the closing tag of the stream ends."""
        parser = StreamParser(limits)
        for place in range(len(document)):
            if any(isinstance(event, StreamTail) for event in parser.feed(document[place : place + 1])):
                return place + 1
        raise AssertionError("the stream has no end by single octets")


def _divisions(document: bytes, chance: random.Random) -> list[list[bytes]]:
    everywhere = list(range(1, len(document)))
    if len(document) <= _SHORT:
        ways = [everywhere, *([place] for place in everywhere)]
    elif len(document) <= _LONG:
        ways = [everywhere, *(cuts(chance, len(document)) for _ in range(4))]
    else:
        ways = [cuts(chance, len(document))]
    return [pieces(document, places) for places in ways]


def _differences(document: bytes, ours: _Ours, theirs: Reading, limits: XmlLimits) -> list[str]:
    found = []
    common = min(len(ours.elements), len(theirs.elements))
    if theirs.restart is not None:
        common = min(common, theirs.restart)
    if ours.elements[:common] != theirs.elements[:common]:
        place = next(n for n in range(common) if ours.elements[n] != theirs.elements[n])
        found.append(f"element {place}: {ours.elements[place]} instead of {theirs.elements[place]}")
    if ours.heads and theirs.head is not None:
        head = ours.heads[0]
        name = f"{{{head.namespace}}}{head.name}" if head.namespace else head.name
        if (name, head.attributes, head.content_namespace) != theirs.head:
            found.append(f"header {head} instead of {theirs.head}")
    refused = theirs.refusal or theirs.namespace_error
    if ours.condition:
        if not refused and not _reasons(document, ours, theirs, limits):
            found.append(f"refused with {ours.condition}, and lxml reads it")
    elif theirs.restart is not None:
        pass  # the rest is another document
    elif refused:
        found.append(f"not refused, and lxml says: {refused}")
    elif theirs.restricted:
        found.append(f"not refused, and it has {theirs.restricted}")
    elif len(ours.elements) != len(theirs.elements) or ours.is_closed != theirs.is_closed:
        found.append(
            f"{len(ours.elements)} elements instead of {len(theirs.elements)}, closed {ours.is_closed}"
        )
    if len(ours.elements) > len(theirs.elements) and theirs.refusal and theirs.restart is None:
        found.append(f"elements from behind what lxml refuses: {theirs.refusal}")
    return found


def _reasons(document: bytes, ours: _Ours, theirs: Reading, limits: XmlLimits) -> bool:
    """Tell whether ours may refuse what lxml reads."""
    before = document.lstrip(b" \t\r\n")
    match ours.condition:
        case "restricted-xml":  # comments, instructions, document types and entities
            return bool(theirs.restricted) or _MARKUP.search(document) is not None
        case "unsupported-encoding":  # a byte order mark, another encoding
            return not ours.heads and (b"encoding" in document[:60] or before[:1] >= b"\x80")
        case "invalid-namespace":  # an element of the namespace of xml:
            return b"xml:" in document
        case "policy-violation":
            return _is_too_large(document, ours, theirs, limits)
        case "not-well-formed":
            return (
                # Expat's names are those of the fourth edition of XML, lxml's those of the fifth.
                theirs.foreign_names
                or theirs.spaced_namespaces
                or _STRANGE_REFERENCE.search(document) is not None
                or theirs.restart is not None  # too many of them, or a declaration that is none
                or (not ours.heads and (before != document or b"version" in document[:30]))
            )
        case _:
            return False


def _is_too_large(document: bytes, ours: _Ours, theirs: Reading, limits: XmlLimits) -> bool:
    place = len(ours.fragments)
    if len(document) > limits.stanza_bytes:
        return True
    if not ours.heads:
        return document.count(b"=") > limits.attributes
    if theirs.restart is not None:
        return True
    return place < len(theirs.measures) and (
        theirs.measures[place].depth > limits.depth
        or theirs.measures[place].attributes > limits.attributes
        or theirs.measures[place].children > limits.children
        or theirs.measures[place].elements > limits.elements
    )


def _frames(ours: _Ours, limits: XmlLimits) -> list[str]:
    """Read each element as a frame, which tells everything itself."""
    parser = FrameParser(limits)
    found = []
    for fragment, expected in zip(ours.fragments, ours.elements, strict=True):
        raw = fragment.to_element().to_bytes()
        try:
            given = _tree(parser.parse(raw).to_element())
        except StreamError as error:
            if len(raw) <= limits.stanza_bytes:
                found.append(f"refused as a frame with {error.condition}: {raw!r}")
            continue
        if given != expected:
            found.append(f"another element as a frame: {given} instead of {expected}")
    return found


def _places(parts: list[bytes]) -> list[int]:
    ends: list[int] = []
    for part in parts[:-1]:
        ends.append(len(part) + (ends[-1] if ends else 0))
    return ends


def _shape(event: Event) -> object:
    if isinstance(event, Fragment):
        return (event.namespace, event.name, event.attributes, event.index, event.content)
    if isinstance(event, StreamHead):
        return (event.namespace, event.name, event.attributes, event.content_namespace)
    return "tail"


def _tree(element: Element) -> Tree:
    content: list[object] = [""]
    for item in element.content:
        if isinstance(item, str):
            content[-1] = f"{content[-1]}{item}"
        else:
            content += [_tree(item), ""]
    name = f"{{{element.namespace}}}{element.name}" if element.namespace else element.name
    return name, element.attributes, content
