"""Channel search: which public rooms there are, by what is looked for (XEP-0433 0.1.0)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest

FORM_TYPE: Final = f"{ns.CHANNEL_SEARCH}:search-params"
BY_USERS: Final = f"{{{ns.CHANNEL_SEARCH}:order}}nusers"
BY_ADDRESS: Final = f"{{{ns.CHANNEL_SEARCH}:order}}address"
MUC: Final = "xep-0045"
_SEARCH: Final = f"{ns.CHANNEL_SEARCH}:search"
_ERROR: Final = f"{ns.CHANNEL_SEARCH}:error"
_SHOWS_ADDRESSES: Final = f"{{{ns.CHANNEL_SEARCH}:anonymity}}none"


class ChannelSearch(msgspec.Struct, frozen=True):
    """`<search/>`: a request for the form, the form, or what was filled in."""

    TAG: ClassVar[tuple[str, str]] = (_SEARCH, "search")

    form: DataForm | None = None
    page: PageRequest = PageRequest()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raises as `DataForm` and `PageRequest` do."""
        form = element.find("x", ns.DATA_FORMS)
        return cls(None if form is None else DataForm.decode(form), PageRequest.within(element))

    def encode(self) -> Element:
        """Return `<search/>` with its form."""
        return Element("search", _SEARCH, None, *(() if self.form is None else (self.form.encode(),)))


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A room that was found."""

    address: Jid
    name: str
    description: str = ""
    language: str = ""
    users: int = 0
    is_open: bool
    """Whether everybody may enter."""
    is_anonymous: bool

    def encode(self) -> Element:
        """Return `<item/>`."""
        texts = {
            "name": self.name,
            "description": self.description,
            "language": self.language,
            "nusers": str(self.users),
            "service-type": MUC,
            "anonymity-mode": "muc_semianonymous" if self.is_anonymous else _SHOWS_ADDRESSES,
        }
        children = [Element(name, _SEARCH, None, text) for name, text in texts.items() if text]
        if self.is_open:
            children.append(Element("is-open", _SEARCH))
        return Element("item", _SEARCH, {"address": self.address.text}, *children)


def found(channels: Iterable[Channel], page: Page) -> Element:
    """Return `<result/>` with a page of what was found."""
    return Element("result", _SEARCH, None, *(each.encode() for each in channels), page.encode())


def refused(
    condition: str,
    defined: str,
    text: str,
    *,
    kind: str = "modify",
    fields: Iterable[str] = (),
    retry_after: int = 0,
) -> StanzaError:
    """Return an error with one of the document's own conditions (§4.2.2)."""
    attributes = {"retry-after": str(retry_after)} if retry_after else {}
    payload = Element(defined, _ERROR, attributes, *(Element("var", _ERROR, None, each) for each in fields))
    return StanzaError(condition, text, kind=kind, payload=payload.to_bytes())
