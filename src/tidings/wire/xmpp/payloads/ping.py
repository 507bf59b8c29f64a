"""XMPP Ping: the payload that asks an entity to answer (XEP-0199 2.0.1)."""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class Ping(msgspec.Struct, frozen=True):
    """A ping carries nothing; its answer is an empty result."""

    TAG: ClassVar[tuple[str, str]] = (ns.PING, "ping")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the ping; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<ping/>`."""
        return Element("ping", ns.PING)
