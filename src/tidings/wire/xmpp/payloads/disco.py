"""Service Discovery: who an entity is, what it speaks and what belongs to it.

XEP-0030 2.5.0 with the extended information of XEP-0128 1.0.1.
"""

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest


class Identity(msgspec.Struct, frozen=True):
    """What an entity is, in the words of the registry (§3.1)."""

    category: str
    kind: str
    name: str = ""
    lang: str = ""


class Item(msgspec.Struct, frozen=True):
    """Something that belongs to an entity: an address and, perhaps, a node of it (§4.1)."""

    jid: Jid
    node: str = ""
    name: str = ""


class Info(msgspec.Struct, frozen=True):
    """The identities, features and forms of an entity or of one of its nodes; empty in a request (§3)."""

    TAG: ClassVar[tuple[str, str]] = (ns.DISCO_INFO, "query")

    node: str = ""
    identities: tuple[Identity, ...] = ()
    features: tuple[str, ...] = ()
    forms: tuple[DataForm, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the information; raise `bad-request` for an identity or feature that lacks its words."""
        return cls(
            element.get("node") or "",
            tuple(_decode_identity(identity) for identity in element.find_all("identity")),
            tuple(_required(feature, "var") for feature in element.find_all("feature")),
            tuple(DataForm.decode(form) for form in element.find_all("x", ns.DATA_FORMS)),
        )

    def encode(self) -> Element:
        """Return `<query/>`."""
        query = Element("query", ns.DISCO_INFO, {"node": self.node} if self.node else {})
        for identity in self.identities:
            query.append(_encode_identity(identity))
        for feature in self.features:
            query.append(Element("feature", ns.DISCO_INFO, {"var": feature}))
        for form in self.forms:
            query.append(form.encode())
        return query


class ItemsWanted(msgspec.Struct, frozen=True):
    """Asks what belongs to an entity or to one of its nodes (§4), or for a page of that (XEP-0059)."""

    TAG: ClassVar[tuple[str, str]] = (ns.DISCO_ITEMS, "query")

    node: str = ""
    page: PageRequest = PageRequest()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raises as `PageRequest` does."""
        return cls(element.get("node") or "", PageRequest.within(element))


class Items(msgspec.Struct, frozen=True):
    """What belongs to an entity or to one of its nodes (§4); `page` says which part of it, None all."""

    TAG: ClassVar[tuple[str, str]] = (ns.DISCO_ITEMS, "query")

    node: str = ""
    items: tuple[Item, ...] = ()
    page: Page | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the items; raise `bad-request` or `jid-malformed` for one without a good address."""
        page = element.find("set", ns.RSM)
        return cls(
            element.get("node") or "",
            tuple(_decode_item(item) for item in element.find_all("item")),
            None if page is None else Page.decode(page),
        )

    def encode(self) -> Element:
        """Return `<query/>`."""
        query = Element("query", ns.DISCO_ITEMS, {"node": self.node} if self.node else {})
        for item in self.items:
            attributes = {"jid": str(item.jid), "node": item.node, "name": item.name}
            query.append(
                Element("item", ns.DISCO_ITEMS, {name: text for name, text in attributes.items() if text})
            )
        if self.page is not None:
            query.append(self.page.encode())
        return query


def _decode_identity(element: Element) -> Identity:
    return Identity(
        _required(element, "category"),
        _required(element, "type"),
        element.get("name") or "",
        element.get("xml:lang") or "",
    )


def _encode_identity(identity: Identity) -> Element:
    attributes = {
        "category": identity.category,
        "type": identity.kind,
        "name": identity.name,
        "xml:lang": identity.lang,
    }
    return Element("identity", ns.DISCO_INFO, {name: text for name, text in attributes.items() if text})


def _decode_item(element: Element) -> Item:
    try:
        jid = Jid(_required(element, "jid"))
    except JidError as error:
        raise StanzaError("jid-malformed", str(error)) from error
    return Item(jid, element.get("node") or "", element.get("name") or "")


def _required(element: Element, attribute: str) -> str:
    text = element.get(attribute)
    if not text:
        raise StanzaError("bad-request", f"{element.name} needs {attribute}")
    return text
