"""Last Activity: seconds since an account was online, a client was used or a server was started.

XEP-0012 2.0; which of the three depends on the address that answers.
"""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import UNSIGNED_LONG, read_unsigned


class LastActivity(msgspec.Struct, frozen=True):
    """A request when `seconds` is None; `status` is the text of the last unavailable presence."""

    TAG: ClassVar[tuple[str, str]] = (ns.LAST, "query")

    seconds: int | None = None
    status: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what the element says; raise `bad-request` for seconds that are no unsigned number."""
        seconds = element.get("seconds")
        if seconds is None:
            return cls(None, element.text)
        return cls(read_unsigned(seconds, "seconds", maximum=UNSIGNED_LONG), element.text)

    def encode(self) -> Element:
        """Return `<query/>` with the seconds, if any."""
        attributes = {} if self.seconds is None else {"seconds": str(self.seconds)}
        return Element("query", ns.LAST, attributes, *filter(None, [self.status]))
