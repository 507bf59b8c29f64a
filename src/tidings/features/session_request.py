"""Session requests: who has a session and asks for one is granted what it has, and refused another.

What RFC 3921 §3 had clients send after binding does nothing, and is granted: clients older than RFC 6121 send
it, and some newer ones although the stream feature says that it is optional.
A second resource on the same stream is refused (RFC 6120 §7.1).
COMPAT(RFC 3921 clients, for good)
"""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class SessionRequest(msgspec.Struct, frozen=True):
    """<session/>."""

    TAG: ClassVar[tuple[str, str]] = (ns.SESSION, "session")

    @classmethod
    def decode(cls, _element: Element) -> Self:
        """Read it: there is nothing in it."""
        return cls()


class BindRequest(msgspec.Struct, frozen=True):
    """<bind/>, which comes too late."""

    TAG: ClassVar[tuple[str, str]] = (ns.BIND, "bind")

    @classmethod
    def decode(cls, _element: Element) -> Self:
        """Read it: whatever it asks for is refused."""
        return cls()


class SessionRequests(Feature):
    """Grants what every bound client has anyway, and nothing more."""

    spec = Spec.rfc(3921, note="§3 only")

    @handles(SessionRequest, kind="set", at=Addressee.SELF | Addressee.SERVER)
    def grant(self, _request: Iq[SessionRequest]) -> None:
        """§3: the answer is an empty result."""

    @handles(BindRequest, kind="set", at=Addressee.SELF | Addressee.SERVER)
    def refuse(self, _request: Iq[BindRequest]) -> None:
        """RFC 6120 §7.1: a stream has one resource."""
        raise StanzaError("not-allowed", "this stream has its resource")
