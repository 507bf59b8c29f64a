"""Extended stanza addressing: to whom else a stanza goes (XEP-0033 1.2.1)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class Address(msgspec.Struct, frozen=True):
    """One address; what else stands in the element is kept (§4.7)."""

    element: Element
    kind: str
    """`to`, `cc` and `bcc` are recipients; others say something about replies."""
    jid: Jid | None = None
    is_delivered: bool = False

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the address; raise `bad-request` without a type, and `jid-malformed`."""
        kind, jid = element.get("type"), element.get("jid")
        if not kind:
            raise StanzaError("bad-request", "an address needs a type")
        try:
            address = None if jid is None else Jid(jid)
        except JidError as error:
            raise StanzaError("jid-malformed", str(error)) from error
        return cls(element, kind, address, element.get("delivered") in {"true", "1"})

    def delivered(self) -> Element:
        """Give the element of an address to which the stanza has been delivered (§4.5)."""
        copy = Element(self.element.name, self.element.namespace, {**self.element.attributes})
        copy.content = list(self.element.content)
        copy.attributes["delivered"] = "true"
        return copy


class Addresses(msgspec.Struct, frozen=True):
    """All addresses of a stanza, in their order."""

    TAG: ClassVar[tuple[str, str]] = (ns.ADDRESS, "addresses")

    addresses: tuple[Address, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the addresses; raises what `Address.decode` does."""
        return cls(tuple(map(Address.decode, element.find_all("address"))))
