"""What moderators and admins of a room ask for and change (XEP-0045 §8, §9, §16.2)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_user import OccupantItem


class RoomAdministration(msgspec.Struct, frozen=True):
    """`<query/>`: items to list, or to change."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_ADMIN, "query")

    items: tuple[OccupantItem, ...]

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `bad-request` without an item, `jid-malformed` for a bad address."""
        items = tuple(OccupantItem.decode(item) for item in element.find_all("item"))
        if not items:
            raise StanzaError("bad-request", "the request names nobody and nothing")
        return cls(items)

    def encode(self) -> Element:
        """Return `<query/>`."""
        return Element("query", ns.MUC_ADMIN, None, *(item.encode(ns.MUC_ADMIN) for item in self.items))
