"""In-Band Registration: asking for, making, changing and cancelling an account (XEP-0077 2.4)."""

from collections.abc import Mapping
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm

FIELDS: Final = (  # §14.1: a host must not add any; more is asked for in a data form
    "username",
    "nick",
    "password",
    "name",
    "first",
    "last",
    "email",
    "address",
    "city",
    "state",
    "zip",
    "phone",
    "url",
    "date",
    "misc",
    "text",
    "key",
)


class Register(msgspec.Struct, frozen=True):
    """A request when empty; else the fields to fill in or filled in, or the wish to be removed.

    `fields` has a name for each field asked for, with the empty text until it is filled in. Where there is a
    `form` it takes precedence over the fields (§6). `url` sends people elsewhere to register (§5).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.REGISTER, "query")

    fields: Mapping[str, str] = msgspec.field(default_factory=dict)
    instructions: str = ""
    is_registered: bool = False
    is_removal: bool = False
    form: DataForm | None = None
    url: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what the element says; raise `bad-request` if a removal says anything else too (§3.2)."""
        is_removal = element.find("remove") is not None
        if is_removal and len(element.children) > 1:
            raise StanzaError("bad-request", "<remove/> must be alone")
        form = element.find("x", ns.DATA_FORMS)
        redirection = element.find("x", ns.OOB)
        present = {name: element.text_of(name) for name in FIELDS}
        return cls(
            {name: text for name, text in present.items() if text is not None},
            (element.text_of("instructions") or "").strip(),
            element.find("registered") is not None,
            is_removal,
            None if form is None else DataForm.decode(form),
            "" if redirection is None else redirection.text_of("url") or "",
        )

    def encode(self) -> Element:
        """Return `<query/>`."""
        query = Element("query", ns.REGISTER)
        if self.is_removal:
            query.append(Element("remove", ns.REGISTER))
        if self.is_registered:
            query.append(Element("registered", ns.REGISTER))
        if self.instructions:
            query.append(Element("instructions", ns.REGISTER, None, self.instructions))
        for name, text in self.fields.items():
            query.append(Element(name, ns.REGISTER, None, *filter(None, [text])))
        if self.form is not None:
            query.append(self.form.encode())
        if self.url:
            query.append(Element("x", ns.OOB, None, Element("url", ns.OOB, None, self.url)))
        return query

    def get(self, name: str) -> str:
        """Return what was filled in for a field: from the form if there is one (§6), else from the fields."""
        if self.form is not None:
            return "".join(self.form.values(name)[:1])
        return self.fields.get(name, "")


def registration_feature() -> Element:
    """Return `<register/>`, the stream feature of a server that lets people register (§8)."""
    return Element("register", ns.REGISTER_FEATURE)
