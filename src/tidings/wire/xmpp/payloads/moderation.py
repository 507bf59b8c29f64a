"""Message Moderation: a moderator takes back what another has said in a room (XEP-0425 0.3.0, and 0.2.1).

COMPAT(Gajim 1.7 of Debian 12 and others that know 0.2.1, until Debian 12 ends): they ask, and are told, by
what is fastened to the message (XEP-0422).
"""

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


class FastenedModeration(msgspec.Struct, frozen=True):
    """`<apply-to/>` with `<moderate/>`: the same request as version 0.2.1 has it."""

    TAG: ClassVar[tuple[str, str]] = (ns.FASTENING, "apply-to")

    moderation: Moderation

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it asks; raise `bad-request` for anything but taking a message back."""
        moderate = element.find("moderate", ns.MODERATION0)
        if moderate is None or moderate.find("retract", ns.RETRACTION0) is None:
            raise StanzaError("bad-request", "a message is moderated by taking it back")
        return cls(Moderation(read_id(element.get("id"), "id"), moderate.text_of("reason") or ""))


def fastened(id_: str, *, by: Jid, reason: str) -> Element:
    """Return `<apply-to/>`, by which version 0.2.1 tells what `moderated` tells."""
    about = Element("moderated", ns.MODERATION0, {"by": by.text}, Element("retract", ns.RETRACTION0))
    if reason:
        about.append(Element("reason", ns.MODERATION0, None, reason))
    return Element("apply-to", ns.FASTENING, {"id": id_}, about)


def moderated(id_: str, *, by: Jid, occupant_id: str, reason: str) -> Element:
    """Return `<retract/>` as the room tells it everybody: which message is taken back, and who did it."""
    occupant = Element("occupant-id", ns.OCCUPANT_ID, {"id": occupant_id})
    retract = Element("retract", ns.RETRACTION1, {"id": id_})
    retract.append(Element("moderated", ns.MODERATION, {"by": by.text}, occupant))
    if reason:
        retract.append(Element("reason", ns.RETRACTION1, None, reason))
    return retract
