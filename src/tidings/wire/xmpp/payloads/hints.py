"""Message Processing Hints: what the author wants stored and copied (XEP-0334 1.0.0)."""

import enum
from typing import Self

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza


class Hint(enum.Enum):
    """One wish; nobody has to obey it (§5)."""

    NO_PERMANENT_STORE = "no-permanent-store"
    NO_STORE = "no-store"
    NO_COPY = "no-copy"
    STORE = "store"

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the hint; raise `bad-request` for one that the document does not know."""
        try:
            return cls(element.name)
        except ValueError as error:
            raise StanzaError("bad-request", "an unknown hint") from error

    def encode(self) -> Element:
        """Return the hint's element."""
        return Element(self.value, ns.HINTS)


def hints_of(message: Stanza) -> frozenset[Hint]:
    """Return the hints; those of an error are the original's and do not count (§5)."""
    if message.kind == "error":
        return frozenset()
    return frozenset(hint for hint in Hint if message.has(ns.HINTS, hint.value))
