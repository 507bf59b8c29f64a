"""Last Message Correction: this message replaces an earlier one (XEP-0308 1.2.1)."""

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import read_id


class Correction(msgspec.Struct, frozen=True):
    """The `id` attribute of the original, also where it was corrected before (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.CORRECTION, "replace")

    id: str

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the correction; raise `bad-request` if it does not say of what."""
        return cls(read_id(element.get("id"), "id"))

    def encode(self) -> Element:
        """Return `<replace/>`."""
        return Element("replace", ns.CORRECTION, {"id": self.id})
