"""Session requests: what RFC 3921 §3 had clients send after binding does nothing, and is granted.

Clients older than RFC 6121 send it, and some newer ones although the stream feature says that it is optional.
COMPAT(RFC 3921 clients, for good)
"""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

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


class SessionRequests(Feature):
    """Grants what every bound client has anyway."""

    spec = Spec.rfc(3921, note="§3 only")

    @handles(SessionRequest, kind="set", at=Addressee.SELF | Addressee.SERVER)
    def grant(self, _request: Iq[SessionRequest]) -> None:
        """§3: the answer is an empty result."""
