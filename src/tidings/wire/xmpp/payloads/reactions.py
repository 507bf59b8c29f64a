"""Message Reactions: what somebody feels about a message, in emojis (XEP-0444 0.2.1).

Limits: 64 reactions of 128 octets each. Whether a text is one emoji is left to those who show it (§4).
"""

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import octets, read_id

REACTIONS: Final = 64
REACTION_OCTETS: Final = 128


class Reactions(msgspec.Struct, frozen=True):
    """All reactions of the sender to the message; none takes them back (§3.2).

    `id` is the message's `id` attribute, in a room the id that the room gave it (§3.1).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.REACTIONS, "reactions")

    id: str
    reactions: tuple[str, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the reactions, each once (§4); raise `bad-request` without an id or beyond the limits."""
        texts = dict.fromkeys(reaction.text for reaction in element.find_all("reaction"))
        if len(texts) > REACTIONS:
            raise StanzaError("bad-request", f"{REACTIONS} reactions at most")
        if any(not text or octets(text) > REACTION_OCTETS for text in texts):
            raise StanzaError("bad-request", f"a reaction has 1 to {REACTION_OCTETS} octets")
        return cls(read_id(element.get("id"), "id"), tuple(texts))

    def encode(self) -> Element:
        """Return `<reactions/>`."""
        texts = (Element("reaction", ns.REACTIONS, None, text) for text in self.reactions)
        return Element("reactions", ns.REACTIONS, {"id": self.id}, *texts)
