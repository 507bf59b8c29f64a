"""Fallback Indication: which text is only there for clients that do not know better (XEP-0428 0.2.1)."""

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import read_unsigned


class Region(msgspec.Struct, frozen=True):
    """A part of the `body` or `subject`, from character `start` to before `end`; the whole without both."""

    name: str
    start: int | None = None
    end: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the region; raise `bad-request` for half a range or one that ends before it starts."""
        start, end = element.get("start"), element.get("end")
        if start is None and end is None:
            return cls(element.name)
        region = cls(element.name, read_unsigned(start or "", "start"), read_unsigned(end or "", "end"))
        if region.length < 0:
            raise StanzaError("bad-request", "a fallback goes from start to end")
        return region

    @property
    def length(self) -> int:
        """How many characters it has; 0 is said of the whole, which has no bounds."""
        return (self.end or 0) - (self.start or 0)

    def encode(self) -> Element:
        """Return `<body/>` or `<subject/>`."""
        bounds = {"start": self.start, "end": self.end}
        attributes = {name: str(number) for name, number in bounds.items() if number is not None}
        return Element(self.name, ns.FALLBACK, attributes)


class Fallback(msgspec.Struct, frozen=True):
    """The parts of the message that stand for what `replaces`, a namespace, says; without any, all of it."""

    TAG: ClassVar[tuple[str, str]] = (ns.FALLBACK, "fallback")

    replaces: str = ""
    regions: tuple[Region, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the indication; raise `bad-request` for a region that is none."""
        parts = (child for child in element.children if child.namespace == ns.FALLBACK)
        return cls(
            element.get("for") or "",
            tuple(Region.decode(part) for part in parts if part.name in ("body", "subject")),
        )

    def encode(self) -> Element:
        """Return `<fallback/>`."""
        purpose = {"for": self.replaces} if self.replaces else {}
        return Element("fallback", ns.FALLBACK, purpose, *(region.encode() for region in self.regions))

    @property
    def is_whole_body(self) -> bool:
        """Tell whether nothing of the body is more than a fallback (§2.2)."""
        return not self.regions or any(
            region.name == "body" and region.start is None for region in self.regions
        )
