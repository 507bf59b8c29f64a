"""What owners of a room ask for and change (XEP-0045 §10, §19.4)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.muc_user import Destruction


class RoomOwnership(msgspec.Struct, frozen=True, kw_only=True):
    """`<query/>`: asks for the configuration when empty; else a form that sets it, or the end of the room."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_OWNER, "query")

    form: DataForm | None = None
    destruction: Destruction | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `bad-request` where it says both."""
        form, destroy = element.find("x", ns.DATA_FORMS), element.find("destroy")
        if form is not None and destroy is not None:
            raise StanzaError("bad-request", "a room is configured or destroyed, not both")
        return cls(
            form=None if form is None else DataForm.decode(form),
            destruction=None if destroy is None else Destruction.decode(destroy),
        )

    def encode(self) -> Element:
        """Return `<query/>`."""
        query = Element("query", ns.MUC_OWNER)
        if self.form is not None:
            query.append(self.form.encode())
        if self.destruction is not None:
            query.append(self.destruction.encode(ns.MUC_OWNER))
        return query
