"""Inbox state: what Tidings adds to the inbox of MongooseIM, in a namespace of its own.

The marks § point at docs/specs/inbox.md.
"""

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.strict import read_jid

LAST_PIN: Final = 65_535
"""The highest order of a pinned conversation."""


class ConversationState(msgspec.Struct, frozen=True):
    """How many messages of a conversation are unread, and its order among those that are pinned (§3).

    0 is not pinned. `mentions` are those of the unread messages of a room that mention the owner. It stands
    beside the properties of MongooseIM.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_INBOX, "state")

    unread: int = 0
    pinned: int = 0
    mentions: int = 0

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the state; raise `bad-request` for a number that is none."""
        return cls(
            read_unsigned(element.get("unread") or "0", "unread"),
            read_unsigned(element.get("pinned") or "0", "pinned"),
            read_unsigned(element.get("mentions") or "0", "mentions"),
        )

    def encode(self) -> Element:
        """Return `<state/>`; what is not pinned, and has no mentions, says nothing of it."""
        pinned = {"pinned": str(self.pinned)} if self.pinned else {}
        mentions = {"mentions": str(self.mentions)} if self.mentions else {}
        return Element("state", ns.TIDINGS_INBOX, {"unread": str(self.unread), **pinned, **mentions})


class Pin(msgspec.Struct, frozen=True):
    """Pin a conversation, at this place from 1, or unpin it with 0 (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_INBOX, "pin")

    peer: Jid
    order: int = 1

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the wish; raise `bad-request` without a peer or for a number that is none."""
        peer = read_jid(element.get("jid"), "jid").bare
        return cls(peer, read_unsigned(element.get("order") or "1", "order", maximum=LAST_PIN))

    def encode(self) -> Element:
        """Return `<pin/>`."""
        return Element("pin", ns.TIDINGS_INBOX, {"jid": str(self.peer), "order": str(self.order)})


class Corrected(msgspec.Struct, frozen=True):
    """The newest correction of the last message, which is shown as it was written (§5)."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_INBOX, "corrected")

    forwarded: Forwarded

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the correction; raise `bad-request` if there is none."""
        forwarded = Forwarded.within(element)
        if not forwarded.raw:
            raise StanzaError("bad-request", "a correction is missing")
        return cls(forwarded)

    def to_bytes(self) -> bytes:
        """Return `<corrected/>`, written for any default namespace; the message is copied as it is."""
        return self.around(self.forwarded.to_bytes())

    @staticmethod
    def around(forwarded: bytes) -> bytes:
        """Return `<corrected/>` around a `<forwarded/>` that is written already."""
        return b'<corrected xmlns="%b">%b</corrected>' % (ns.TIDINGS_INBOX.encode(), forwarded)
