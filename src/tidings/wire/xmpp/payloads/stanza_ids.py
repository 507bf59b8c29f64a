"""Unique and Stable Stanza IDs: what a message is called, by whoever archives it and by its author.

XEP-0359 0.7.0. Limit: an origin-id of 256 octets; a longer one is none, since nothing can be kept under it.
"""

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import read_id, read_jid
from tidings.wire.xmpp.stanza import Child, Stanza

ORIGIN_ID_OCTETS: Final = 256


class StanzaId(msgspec.Struct, frozen=True):
    """The id under which the archive of `by` has a message."""

    TAG: ClassVar[tuple[str, str]] = (ns.STANZA_ID, "stanza-id")

    id: str
    by: Jid

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the id; raise `bad-request` without id or by (§3), `jid-malformed` for a bad address."""
        return cls(read_id(element.get("id"), "id"), read_jid(element.get("by"), "by"))

    def encode(self) -> Element:
        """Return `<stanza-id/>`."""
        return Element("stanza-id", ns.STANZA_ID, {"by": str(self.by), "id": self.id})


class OriginId(msgspec.Struct, frozen=True):
    """The id that the author gave a message."""

    TAG: ClassVar[tuple[str, str]] = (ns.STANZA_ID, "origin-id")

    id: str

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the id; raise `bad-request` without one or for one too long."""
        return cls(read_id(element.get("id"), "id", maximum=ORIGIN_ID_OCTETS))

    def encode(self) -> Element:
        """Return `<origin-id/>`."""
        return Element("origin-id", ns.STANZA_ID, {"id": self.id})


def origin_id_of(stanza: Stanza) -> str | None:
    """Return the author's id for the message, or None where there is none that can be kept."""
    element = stanza.decode(*OriginId.TAG)
    try:
        return None if element is None else OriginId.decode(element).id
    except StanzaError:
        return None


def stanza_id_of(stanza: Stanza, by: Jid) -> str | None:
    """Return the id under which the archive of `by` has the message, or None.

    It is to be believed only where `by` removes what others claim in its name (§5).
    """
    for child in stanza.children:
        if _is_stanza_id(child.namespace, child.name):
            claimed = _read(child)
            if claimed is not None and claimed.by == by:
                return claimed.id
    return None


def without_claims(stanza: Stanza, *ours: Jid) -> Stanza:
    """Return the stanza without stanza-ids in our name, whoever wrote them (§3, rule 2).

    Those that lack an id or an address go too: some reader might take them for ours. Others stay (rule 3).
    """
    if not stanza.has(*StanzaId.TAG):
        return stanza
    claims = [child for child in stanza.children if _is_stanza_id(child.namespace, child.name)]
    kept = [child.raw for child in claims if (claim := _read(child)) is not None and claim.by not in ours]
    if len(kept) == len(claims):
        return stanza
    return stanza.replace(drop=_is_stanza_id, append=kept)


def with_stanza_id(stanza: Stanza, stanza_id: StanzaId) -> Stanza:
    """Return the stanza with this id, and no other in the name of its archive."""
    return without_claims(stanza, stanza_id.by).replace(append=(stanza_id.encode(),))


def _is_stanza_id(namespace: str, name: str) -> bool:
    return (namespace, name) == StanzaId.TAG


def _read(child: Child) -> StanzaId | None:
    try:
        return StanzaId.decode(decode(child.raw, ns.CLIENT))
    except StanzaError:
        return None
