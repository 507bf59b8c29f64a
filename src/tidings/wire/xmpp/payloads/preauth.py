"""The token of an invitation, as clients show it (XEP-0379 0.3.3 §3.4, XEP-0445 0.2.0 §4)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class Preauth(msgspec.Struct, frozen=True):
    """`<preauth/>`: whoever sends it has this token."""

    TAG: ClassVar[tuple[str, str]] = (ns.PREAUTH, "preauth")

    token: str

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what the element says; raise `bad-request` where it has no token."""
        token = element.get("token")
        if not token:
            raise StanzaError("bad-request", "<preauth/> needs a token")
        return cls(token)

    def encode(self) -> Element:
        """Return `<preauth/>`."""
        return Element("preauth", ns.PREAUTH, {"token": self.token})


def invitation_feature() -> Element:
    """Return the stream feature of a server where a token lets people register (XEP-0445 §3)."""
    return Element("register", ns.REGISTER_INVITED)
