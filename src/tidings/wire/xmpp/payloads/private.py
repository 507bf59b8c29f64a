"""Private XML Storage: fragments that a client keeps on its server (XEP-0049 1.2)."""

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class PrivateData(msgspec.Struct, frozen=True):
    """Fragments, each with a namespace of its own; empty elements in a request.

    A fragment is known by its namespace and name together.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.PRIVATE, "query")

    fragments: tuple[Element, ...]

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the fragments; raise `not-acceptable` without one, `bad-request` for a bad namespace."""
        if not element.children:
            raise StanzaError("not-acceptable", "private storage needs an element to find or to keep")
        if any(child.namespace in ("", ns.PRIVATE) for child in element.children):
            raise StanzaError("bad-request", "a private fragment needs a namespace of its own")
        return cls(tuple(element.children))

    def encode(self) -> Element:
        """Return `<query/>` around the fragments."""
        return Element("query", ns.PRIVATE, None, *self.fragments)
