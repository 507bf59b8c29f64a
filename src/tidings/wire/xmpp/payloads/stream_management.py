"""Stream Management: the elements between stanzas that acknowledge them and take a session up again.

XEP-0198 1.6.3. None of them is a stanza, and none is counted. What they say is counted in `acks.py`.

Limits: an id of 4,000 octets (§5), a location of 1,024, times and counts of 32 bits.
"""

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import STANZA_ERROR_KINDS
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import strip_characters
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.strict import present, read_boolean, read_id

SESSION_ID_OCTETS: Final = 4_000


class Enable(msgspec.Struct, frozen=True):
    """Starts counting (§3); `maximum` are the seconds in which the client would like to be able to resume."""

    TAG: ClassVar[tuple[str, str]] = (ns.SM, "enable")

    can_resume: bool = False
    maximum: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` for what is no xs:boolean or no number."""
        return cls(read_boolean(element.get("resume"), "resume"), _read_number(element, "max"))

    def encode(self) -> Element:
        """Return `<enable/>`."""
        return Element("enable", ns.SM, {**_truth(self.can_resume), **_number("max", self.maximum)})


class Enabled(msgspec.Struct, frozen=True):
    """Counting has started; with an id and `can_resume` the session can be resumed (§5)."""

    TAG: ClassVar[tuple[str, str]] = (ns.SM, "enabled")

    id: str | None = None
    can_resume: bool = False
    maximum: int | None = None
    location: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the answer; raise `bad-request` for a session that has no id and shall be resumed by it."""
        can_resume = read_boolean(element.get("resume"), "resume")
        text, location = element.get("id"), element.get("location") or ""
        if can_resume or text:
            text = read_id(text, "id", maximum=SESSION_ID_OCTETS)
        if location:
            read_id(location, "location")
        return cls(text or None, can_resume, _read_number(element, "max"), location)

    def encode(self) -> Element:
        """Return `<enabled/>`."""
        attributes = {**present(id=self.id, location=self.location), **_number("max", self.maximum)}
        return Element("enabled", ns.SM, {**attributes, **_truth(self.can_resume)})


class Resume(msgspec.Struct, frozen=True):
    """Takes a session up again; `handled` stanzas of the server have come in (§5)."""

    TAG: ClassVar[tuple[str, str]] = (ns.SM, "resume")

    id: str
    handled: int

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` without previd or h."""
        return cls(_read_previous(element), _read_handled(element))

    def encode(self) -> Element:
        """Return `<resume/>`."""
        return Element("resume", ns.SM, {"h": str(self.handled), "previd": self.id})


class Resumed(msgspec.Struct, frozen=True):
    """The session goes on; `handled` stanzas of the client have been taken over (§5)."""

    TAG: ClassVar[tuple[str, str]] = (ns.SM, "resumed")

    id: str
    handled: int

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the answer; raise `bad-request` without previd or h."""
        return cls(_read_previous(element), _read_handled(element))

    def encode(self) -> Element:
        """Return `<resumed/>`."""
        return Element("resumed", ns.SM, {"h": str(self.handled), "previd": self.id})


class Failed(msgspec.Struct, frozen=True):
    """There is no counting or no such session (§6).

    `condition` is one of the stanza errors; `handled` tells of a session that is over how many stanzas of it
    had been taken over, so that the client sends only the others again (§5).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.SM, "failed")

    condition: str = "undefined-condition"
    handled: int | None = None
    text: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the failure; raise `bad-request` for a count that is none."""
        names = (child.name for child in element.children if child.namespace == ns.STANZA_ERRORS)
        condition = next((name for name in names if name in STANZA_ERROR_KINDS), "undefined-condition")
        text = element.text_of("text", ns.STANZA_ERRORS) or ""
        return cls(condition, _read_number(element, "h"), text)

    def encode(self) -> Element:
        """Return `<failed/>`."""
        condition = Element(self.condition, ns.STANZA_ERRORS)
        element = Element("failed", ns.SM, _number("h", self.handled), condition)
        if self.text:
            text = strip_characters(self.text)
            element.append(Element("text", ns.STANZA_ERRORS, {"xml:lang": "en"}, text))
        return element


class AckRequest(msgspec.Struct, frozen=True):
    """Asks how many of the own stanzas the peer has taken over (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.SM, "r")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<r/>`."""
        return Element("r", ns.SM)


class Ack(msgspec.Struct, frozen=True):
    """Says how many stanzas of the peer were taken over, modulo 2 to the 32nd (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.SM, "a")

    handled: int

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the count; raise `bad-request` without h or for one that is no number of 32 bits."""
        return cls(_read_handled(element))

    def encode(self) -> Element:
        """Return `<a/>`."""
        return Element("a", ns.SM, {"h": str(self.handled)})


ACK_REQUEST: Final = AckRequest().encode().to_bytes()
"""`<r/>` as it is sent; nothing in it ever differs."""


def ack_bytes(handled: int) -> bytes:
    """Return `<a/>` as it is sent: the answer to every `<r/>`, so it is written without a tree."""
    return f'<a xmlns="{ns.SM}" h="{handled}"/>'.encode()


def stream_management_feature() -> Element:
    """Return `<sm/>`, the stream feature of a server that can count (§2)."""
    return Element("sm", ns.SM)


def _read_previous(element: Element) -> str:
    return read_id(element.get("previd"), "previd", maximum=SESSION_ID_OCTETS)


def _read_handled(element: Element) -> int:
    return read_unsigned(element.get("h") or "", "h")


def _read_number(element: Element, name: str) -> int | None:
    text = element.get(name)
    return None if text is None else read_unsigned(text, name)


def _number(name: str, number: int | None) -> dict[str, str]:
    return {} if number is None else {name: str(number)}


def _truth(can_resume: bool) -> dict[str, str]:
    return {"resume": "true"} if can_resume else {}
