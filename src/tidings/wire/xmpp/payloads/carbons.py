"""Message Carbons: copies of both sides of a conversation for the other devices (XEP-0280 1.0.1).

Which messages are copied is told by `classification.is_copied`. The original is wrapped as bytes, unparsed.
"""

import enum
from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.forwarding import Forwarded, carry
from tidings.wire.xmpp.stanza import Stanza


class EnableCarbons(msgspec.Struct, frozen=True):
    """Asks for copies from now on, for this device (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.CARBONS, "enable")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<enable/>`."""
        return Element("enable", ns.CARBONS)


class DisableCarbons(msgspec.Struct, frozen=True):
    """Asks for no more copies, for this device (§5)."""

    TAG: ClassVar[tuple[str, str]] = (ns.CARBONS, "disable")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<disable/>`."""
        return Element("disable", ns.CARBONS)


class Private(msgspec.Struct, frozen=True):
    """Keeps a message from being copied (§9)."""

    TAG: ClassVar[tuple[str, str]] = (ns.CARBONS, "private")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the wish; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<private/>`."""
        return Element("private", ns.CARBONS)


class CarbonDirection(enum.StrEnum):
    """Whether another device has sent the message (§8) or got it (§7)."""

    SENT = "sent"
    RECEIVED = "received"


class Carbon(msgspec.Struct, frozen=True):
    """A copy of a message that another device has sent or got."""

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((ns.CARBONS, way.value) for way in CarbonDirection)

    direction: CarbonDirection
    forwarded: Forwarded

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the copy; raise `bad-request` for one that holds no message."""
        try:
            direction = CarbonDirection(element.name)
        except ValueError as error:
            raise StanzaError("bad-request", "a carbon is sent or received") from error
        forwarded = Forwarded.within(element)
        if not forwarded.raw.startswith(b"<message"):
            raise StanzaError("bad-request", "a carbon holds a message")
        return cls(direction, forwarded)

    def to_bytes(self) -> bytes:
        """Return `<sent/>` or `<received/>`, written for any default namespace."""
        name, namespace = self.direction.value.encode(), ns.CARBONS.encode()
        return b'<%b xmlns="%b">%b</%b>' % (name, namespace, self.forwarded.to_bytes(), name)


def carbon_copy(message: Stanza, account: Jid, direction: CarbonDirection) -> Stanza:
    """Return the copy for the devices of an account; address it to each with `Stanza.addressed` (§7, §8)."""
    raw = Carbon(direction, Forwarded.of(message)).to_bytes()
    return carry((ns.CARBONS, direction.value), raw, to=None, sender=account.bare, kind=message.kind)


def carbon_of(message: Stanza, account: Jid) -> Carbon | None:
    """Return the copy that a message is, or None; one from anybody but the own account is none (§11)."""
    if message.sender is not None and message.sender != account.bare:
        return None
    for namespace, name in Carbon.TAGS:
        element = message.decode(namespace, name)
        if element is not None:
            return Carbon.decode(element)
    return None
