"""Client State Indication: a client says whether its user looks at it (XEP-0352 1.0.0).

Neither element is a stanza, and neither is answered (§4.2).
"""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class Active(msgspec.Struct, frozen=True):
    """The user is looking: send everything at once."""

    TAG: ClassVar[tuple[str, str]] = (ns.CSI, "active")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the indication; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<active/>`."""
        return Element("active", ns.CSI)


class Inactive(msgspec.Struct, frozen=True):
    """The user is not looking: what is unimportant may wait."""

    TAG: ClassVar[tuple[str, str]] = (ns.CSI, "inactive")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the indication; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<inactive/>`."""
        return Element("inactive", ns.CSI)


def client_state_feature() -> Element:
    """Return `<csi/>`, the stream feature that a server offers after log-in (§4.1)."""
    return Element("csi", ns.CSI)
