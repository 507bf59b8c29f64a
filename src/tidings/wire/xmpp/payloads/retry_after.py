"""Retry after: when somebody who is turned away for now is to come back (docs/specs/retry.md)."""

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import read_unsigned


class RetryAfter(msgspec.Struct, frozen=True):
    """Stands in a stream error or a stanza error, beside its condition."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_RETRY, "retry-after")

    seconds: int

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the seconds; raise `bad-request` where there is no such number."""
        seconds = element.get("seconds")
        if seconds is None:
            raise StanzaError("bad-request", "<retry-after/> needs `seconds`")
        return cls(read_unsigned(seconds, "seconds"))

    def encode(self) -> Element:
        """Return `<retry-after/>`."""
        return Element("retry-after", ns.TIDINGS_RETRY, {"seconds": str(self.seconds)})
