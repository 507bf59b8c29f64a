"""Stream Limits: how large a stanza may be and how long a stream may be silent (XEP-0478 0.2.0)."""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import read_unsigned


class StreamLimits(msgspec.Struct, frozen=True):
    """The limits of the announcing side; None is a limit that it does not tell (§3.1)."""

    TAG: ClassVar[tuple[str, str]] = (ns.STREAM_LIMITS, "limits")

    max_bytes: int | None = None
    idle_seconds: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the limits; raise `bad-request` for one that is no unsigned number."""
        return cls(_read(element, "max-bytes"), _read(element, "idle-seconds"))

    def encode(self) -> Element:
        """Return `<limits/>` with the limits that are told."""
        limits = Element("limits", ns.STREAM_LIMITS)
        for name, number in (("max-bytes", self.max_bytes), ("idle-seconds", self.idle_seconds)):
            if number is not None:
                limits.append(Element(name, ns.STREAM_LIMITS, None, str(number)))
        return limits


def _read(element: Element, name: str) -> int | None:
    text = element.text_of(name)
    return None if text is None else read_unsigned(text, name)
