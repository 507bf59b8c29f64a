"""MUC Light: rooms whose members need not enter them, as MongooseIM 6.8 has them on the wire.

What cannot be read is `bad-request`, malformed addresses included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final, Literal, NamedTuple, Self, cast

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Child

LightAffiliation = Literal["owner", "member", "none"]
_AFFILIATIONS: Final = frozenset({"owner", "member", "none"})


class LightUser(NamedTuple):
    """`<user/>`: what somebody is to a room, or is to be."""

    jid: Jid
    """The bare JID."""
    affiliation: LightAffiliation
    role: str = ""
    """What somebody is beyond that, which MongooseIM does not have: `administrator` or `read-only`."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `bad-request` for another affiliation or a bad address."""
        affiliation = element.get("affiliation")
        if affiliation not in _AFFILIATIONS:
            raise StanzaError("bad-request", f"there is no affiliation {affiliation!r}")
        return cls(
            _read_address(element.text), cast("LightAffiliation", affiliation), element.get("role") or ""
        )

    def encode(self, namespace: str = ns.MUC_LIGHT_AFFILIATIONS) -> Element:
        """Return `<user/>`."""
        attributes: dict[str, str] = {"affiliation": self.affiliation}
        if self.role:
            attributes["role"] = self.role
        return Element("user", namespace, attributes, self.jid.text)


class LightField(NamedTuple):
    """One field of a room's configuration."""

    name: str
    value: str

    def encode(self, namespace: str = ns.MUC_LIGHT_CONFIGURATION) -> Element:
        """Return the element that has the name of the field."""
        return Element(self.name, namespace, None, self.value)


class LightList(msgspec.Struct, frozen=True):
    """`<query/>` about who belongs to a room: a version that is known, or changes."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_LIGHT_AFFILIATIONS, "query")

    version: str = ""
    users: tuple[LightUser, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says."""
        return cls(element.text_of("version") or "", _users(element))


class LightConfiguration(msgspec.Struct, frozen=True):
    """`<query/>` about the configuration of a room: a version that is known, or fields to be changed."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_LIGHT_CONFIGURATION, "query")

    fields: tuple[LightField, ...] = ()
    """Every child, `version` included."""

    @property
    def version(self) -> str:
        """The version that the asker has; empty for none."""
        return next((value for name, value in self.fields if name == "version"), "")

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says."""
        return cls(_fields(element))


class LightInfo(msgspec.Struct, frozen=True):
    """`<query/>` about a room as a whole, with the version that the asker has."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_LIGHT_INFO, "query")

    version: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says."""
        return cls(element.text_of("version") or "")


class LightCreation(msgspec.Struct, frozen=True):
    """`<query/>` that makes a room, as it is to be."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_LIGHT_CREATE, "query")

    fields: tuple[LightField, ...] = ()
    users: tuple[LightUser, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says."""
        configuration, occupants = element.find("configuration"), element.find("occupants")
        return cls(
            () if configuration is None else _fields(configuration),
            () if occupants is None else _users(occupants),
        )


class LightDestruction(msgspec.Struct, frozen=True):
    """`<query/>` that ends a room."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_LIGHT_DESTROY, "query")

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; there is nothing in it."""
        del element
        return cls()


class BlockingItem(NamedTuple):
    """`<room/>` or `<user/>`: from what, or by whom, somebody lets himself be added to rooms, or does not."""

    what: Literal["room", "user"]
    jid: Jid
    is_denied: bool = True

    def encode(self) -> Element:
        """Return it."""
        action = "deny" if self.is_denied else "allow"
        return Element(self.what, ns.MUC_LIGHT_BLOCKING, {"action": action}, self.jid.text)


class LightBlocking(msgspec.Struct, frozen=True):
    """`<query/>` about what somebody blocks: nothing but denials in an answer."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_LIGHT_BLOCKING, "query")

    items: tuple[BlockingItem, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says."""
        return cls(tuple(_blocking_item(child) for child in element.children))

    def encode(self) -> Element:
        """Return `<query/>`."""
        return Element("query", ns.MUC_LIGHT_BLOCKING, None, *(item.encode() for item in self.items))


def answer(tag: tuple[str, str], version: str, content: bytes) -> Child:
    """Return `<query/>` with the version of the room in front; `content` is written for its namespace."""
    namespace, name = tag
    written = Element("version", namespace, None, version).to_bytes(namespace)
    raw = b'<%b xmlns="%b">%b%b</%b>' % (name.encode(), namespace.encode(), written, content, name.encode())
    return Child(namespace, name, raw)


def fields_written(fields: Iterable[LightField], namespace: str) -> bytes:
    """Write fields where this is the default namespace."""
    return b"".join(field.encode(namespace).to_bytes(namespace) for field in fields)


def change(namespace: str, before: str, after: str, content: Iterable[Element]) -> Element:
    """Return `<x/>`, which tells of a change; a version that is empty is left out."""
    told = Element("x", namespace)
    for name, version in (("prev-version", before), ("version", after)):
        if version:
            told.append(Element(name, namespace, None, version))
    for item in content:
        told.append(item)
    return told


def _users(element: Element) -> tuple[LightUser, ...]:
    return tuple(LightUser.decode(user) for user in element.find_all("user"))


def _fields(element: Element) -> tuple[LightField, ...]:
    return tuple(LightField(child.name, child.text) for child in element.children)


def _blocking_item(element: Element) -> BlockingItem:
    action = element.get("action")
    if element.name not in {"room", "user"} or action not in {"deny", "allow"}:
        raise StanzaError("bad-request", "rooms and users are denied or allowed")
    jid = _read_address(element.text)
    return BlockingItem(cast("Literal['room', 'user']", element.name), jid, action == "deny")


def _read_address(text: str) -> Jid:
    """Give the bare JID of somebody; raises `bad-request`."""
    try:
        jid = Jid(text.strip()).bare
    except JidError as error:
        raise StanzaError("bad-request", str(error)) from error
    if not jid.local:
        raise StanzaError("bad-request", f"{text.strip()!r} is nobody's address")
    return jid
