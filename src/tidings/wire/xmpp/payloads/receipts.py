"""Message Delivery Receipts: a client says that a message has reached it (XEP-0184 1.4.0)."""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import read_id


class ReceiptRequest(msgspec.Struct, frozen=True):
    """The author wants to know that the message has arrived."""

    TAG: ClassVar[tuple[str, str]] = (ns.RECEIPTS, "request")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<request/>`."""
        return Element("request", ns.RECEIPTS)


class Receipt(msgspec.Struct, frozen=True):
    """The message with this `id` attribute has arrived."""

    TAG: ClassVar[tuple[str, str]] = (ns.RECEIPTS, "received")

    id: str

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the receipt; raise `bad-request` if it does not say of what (§5)."""
        return cls(read_id(element.get("id"), "id"))

    def encode(self) -> Element:
        """Return `<received/>`."""
        return Element("received", ns.RECEIPTS, {"id": self.id})
