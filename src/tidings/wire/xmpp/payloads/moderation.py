"""Message Moderation: a moderator takes back what another has said in a room (XEP-0425 0.3.0)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import read_id


class Moderation(msgspec.Struct, frozen=True):
    """`<moderate/>`: the message of this archive id is to be taken back."""

    TAG: ClassVar[tuple[str, str]] = (ns.MODERATION, "moderate")

    id: str
    reason: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it asks; raise `bad-request` for anything but taking a message back."""
        if element.find("retract", ns.RETRACTION1) is None:
            raise StanzaError("bad-request", "a message is moderated by taking it back")
        return cls(read_id(element.get("id"), "id"), element.text_of("reason") or "")


def moderated(id_: str, *, by: Jid, occupant_id: str, reason: str) -> Element:
    """Return `<retract/>` as the room tells it everybody: which message is taken back, and who did it."""
    occupant = Element("occupant-id", ns.OCCUPANT_ID, {"id": occupant_id})
    retract = Element("retract", ns.RETRACTION1, {"id": id_})
    retract.append(Element("moderated", ns.MODERATION, {"by": by.text}, occupant))
    if reason:
        retract.append(Element("reason", ns.RETRACTION1, None, reason))
    return retract
