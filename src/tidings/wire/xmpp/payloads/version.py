"""Software Version: the name and version of what runs at an address (XEP-0092 1.1)."""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class Version(msgspec.Struct, frozen=True):
    """A request when empty; in an answer `name` and `version` are required and `os` may be hidden."""

    TAG: ClassVar[tuple[str, str]] = (ns.VERSION, "query")

    name: str = ""
    version: str = ""
    os: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what the element says; a request says nothing."""
        return cls(*(element.text_of(part) or "" for part in ("name", "version", "os")))

    def encode(self) -> Element:
        """Return `<query/>` with a child for each part that is set."""
        query = Element("query", ns.VERSION)
        for part, text in (("name", self.name), ("version", self.version), ("os", self.os)):
            if text:
                query.append(Element(part, ns.VERSION, None, text))
        return query
