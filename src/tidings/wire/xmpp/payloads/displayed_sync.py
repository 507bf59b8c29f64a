"""Message Displayed Synchronization: how far the user has read a chat, for the user's own devices.

XEP-0490 1.0.1: the payload of the item, whose id is the address of the chat.
"""

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId


class DisplayedUpTo(msgspec.Struct, frozen=True):
    """The latest message displayed, as the account's archive or the room calls it (§4.1)."""

    TAG: ClassVar[tuple[str, str]] = (ns.DISPLAYED_SYNC, "displayed")

    stanza_id: StanzaId

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the position; raise `bad-request` unless exactly one stanza-id is named (§4.1)."""
        ids = list(element.find_all("stanza-id", ns.STANZA_ID))
        if len(ids) != 1:
            raise StanzaError("bad-request", "displayed needs exactly one stanza-id")
        return cls(StanzaId.decode(ids[0]))

    def encode(self) -> Element:
        """Return `<displayed/>`."""
        return Element("displayed", ns.DISPLAYED_SYNC, None, self.stanza_id.encode())
