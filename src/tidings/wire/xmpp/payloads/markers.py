"""Displayed Markers: a client says how far its user has read (XEP-0333 1.0.0).

The kinds received and acknowledged are of the versions before 1.0, which MongooseIM and many clients speak.
"""

import enum
from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import read_id


class MarkerKind(enum.StrEnum):
    """What has happened to the message named and to all before it."""

    RECEIVED = "received"
    DISPLAYED = "displayed"
    ACKNOWLEDGED = "acknowledged"


class Markable(msgspec.Struct, frozen=True):
    """The author wants to know that the message is read (§4.1)."""

    TAG: ClassVar[tuple[str, str]] = (ns.MARKERS, "markable")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<markable/>`."""
        return Element("markable", ns.MARKERS)


class Marker(msgspec.Struct, frozen=True):
    """All messages up to this one are displayed (§4.2).

    `id` is the message's `id` attribute, in a room the id that the room gave it (§4.3).
    """

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((ns.MARKERS, kind.value) for kind in MarkerKind)

    kind: MarkerKind
    id: str

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the marker; raise `bad-request` for an unknown one and if it does not say of what."""
        try:
            kind = MarkerKind(element.name)
        except ValueError as error:
            raise StanzaError("bad-request", "an unknown marker") from error
        return cls(kind, read_id(element.get("id"), "id"))

    def encode(self) -> Element:
        """Return the marker's element."""
        return Element(self.kind.value, ns.MARKERS, {"id": self.id})
