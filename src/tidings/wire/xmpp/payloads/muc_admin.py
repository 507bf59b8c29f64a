"""What moderators and admins of a room ask for and change (XEP-0045 §8, §9, §19.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_user import OccupantItem
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.stanza import Child


class RoomAdministration(msgspec.Struct, frozen=True):
    """`<query/>`: items to list, or to change."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_ADMIN, "query")

    items: tuple[OccupantItem, ...]
    page: PageRequest | None = None
    """Which page of a list is asked for (XEP-0059)."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `bad-request` without an item, `jid-malformed` for a bad address."""
        items = tuple(OccupantItem.decode(item) for item in element.find_all("item"))
        if not items:
            raise StanzaError("bad-request", "the request names nobody and nothing")
        return cls(items, None if element.find("set", ns.RSM) is None else PageRequest.within(element))

    def encode(self) -> Element:
        """Return `<query/>`."""
        return Element("query", ns.MUC_ADMIN, None, *(item.encode(ns.MUC_ADMIN) for item in self.items))


def list_written(items: Iterable[str], page: Page | None = None) -> Child:
    """Return `<query/>` with items that are written already, for where its namespace is the default one."""
    set_ = b"" if page is None else page.encode().to_bytes(ns.MUC_ADMIN)
    raw = b'<query xmlns="%b">%b%b</query>' % (ns.MUC_ADMIN.encode(), "".join(items).encode(), set_)
    return Child(ns.MUC_ADMIN, "query", raw)
