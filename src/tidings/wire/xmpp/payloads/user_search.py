"""User search: fields to look for, and the people who were found (XEP-0055 1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm

FIELDS: Final = ("first", "last", "nick", "email")
"""What can be looked for without a data form (§2)."""


class FoundPerson(msgspec.Struct, frozen=True):
    """Somebody who was found, with what there is of the fields."""

    jid: Jid
    fields: Mapping[str, str] = {}


class UserSearch(msgspec.Struct, frozen=True):
    """A request when empty; else fields to fill in or filled in, or who was found.

    `fields` has a name for each field, with the empty text until it is filled in. Where there is a `form` it
    takes precedence over the fields (§3).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.SEARCH, "query")

    fields: Mapping[str, str] = {}
    instructions: str = ""
    form: DataForm | None = None
    found: tuple[FoundPerson, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what the element says; raise `bad-request` for a broken form."""
        form = element.find("x", ns.DATA_FORMS)
        present = {name: element.text_of(name) for name in FIELDS}
        return cls(
            {name: text for name, text in present.items() if text is not None},
            (element.text_of("instructions") or "").strip(),
            None if form is None else DataForm.decode(form),
        )

    def encode(self) -> Element:
        """Return `<query/>`."""
        query = Element("query", ns.SEARCH)
        if self.instructions:
            query.append(_texted("instructions", self.instructions))
        for name, text in self.fields.items():
            query.append(_texted(name, text))
        for person in self.found:
            fields = (_texted(name, person.fields.get(name, "")) for name in FIELDS)
            query.append(Element("item", ns.SEARCH, {"jid": person.jid.text}, *fields))
        if self.form is not None:
            query.append(self.form.encode())
        return query


def _texted(name: str, text: str) -> Element:
    return Element(name, ns.SEARCH, None, *filter(None, [text]))
