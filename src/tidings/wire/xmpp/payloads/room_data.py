"""Data of applications about a room: a JSON object and its version (docs/specs/rooms.md)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import UNSIGNED_LONG, read_unsigned


class RoomData(msgspec.Struct, frozen=True):
    """`<data/>`: what applications have said of a room, or nothing in a request for it."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_ROOMS, "data")

    text: str = ""
    """The JSON (XEP-0335)."""
    version: int | None = None
    """One more after each change; in a change the one that is known, where it must be that."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `bad-request` for a version that is no number."""
        version = element.get("version")
        return cls(
            element.text_of("json", ns.JSON) or "",
            None if version is None else read_unsigned(version, "version", maximum=UNSIGNED_LONG),
        )

    def encode(self) -> Element:
        """Return `<data/>`."""
        version = {} if self.version is None else {"version": str(self.version)}
        element = Element("data", ns.TIDINGS_ROOMS, version)
        if self.text:
            element.append(Element("json", ns.JSON, None, self.text))
        return element


def read_object(text: str, longest: int) -> None:
    """Raise `bad-request` for what is no JSON object, `policy-violation` for more than so many octets."""
    size = len(text.encode())
    if size > longest:
        raise StanzaError("policy-violation", f"the data would have {size} octets; {longest} are allowed")
    try:
        msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise StanzaError("bad-request", f"the data are one JSON object: {error}") from error
