"""A vCard that Prosody keeps as vCard 4 (XEP-0292) becomes one of XEP-0054, as its clients saw it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "fn": ("FN", "text"),
    "nickname": ("NICKNAME", "text"),
    "title": ("TITLE", "text"),
    "role": ("ROLE", "text"),
    "note": ("NOTE", "text"),
    "url": ("URL", "uri"),
    "bday": ("BDAY", "date"),
}
_NAMES: Final[Mapping[str, str]] = {
    "surname": "FAMILY",
    "given": "GIVEN",
    "additional": "MIDDLE",
    "prefix": "PREFIX",
    "suffix": "SUFFIX",
}
_ADDRESS: Final[Mapping[str, str]] = {
    "pobox": "POBOX",
    "ext": "EXTADD",
    "street": "STREET",
    "locality": "LOCALITY",
    "region": "REGION",
    "code": "PCODE",
    "country": "CTRY",
}


def older(card: Element) -> Element:
    """Give the vCard of XEP-0054; what that has no word for is left out."""
    return Element("vCard", ns.VCARD, None, *(each for child in card.children for each in _property(child)))


def photo(avatar: Element, metadata: Element | None) -> Element:
    """Give the picture of a vCard: that of an avatar, with what its metadata say of it (XEP-0084)."""
    info = None if metadata is None else metadata.find("info")
    kind = None if info is None else info.get("type")
    return _element("PHOTO", *_text("TYPE", kind), *_text("BINVAL", avatar.text))


def _property(child: Element) -> Iterator[Element]:
    if child.name in _TEXTS:
        name, form = _TEXTS[child.name]
        yield from _text(name, child.text_of(form))
    elif child.name == "n":
        yield _element("N", *_parts(child, _NAMES))
    elif child.name == "adr":
        yield _element("ADR", *_parts(child, _ADDRESS), *_place(child))
    elif child.name == "email":
        yield _element("EMAIL", *_text("USERID", child.text_of("text")), *_place(child))
    elif child.name == "tel":
        number = (child.text_of("uri") or "").removeprefix("tel:") or child.text_of("text")
        yield _element("TEL", *_text("NUMBER", number), *_place(child))
    elif child.name == "org":
        yield _element("ORG", *_text("ORGNAME", child.text_of("text")))


def _parts(child: Element, names: Mapping[str, str]) -> Iterator[Element]:
    for name, old in names.items():
        yield from _text(old, child.text_of(name))


def _place(child: Element) -> Iterator[Element]:
    """Say whether it is for home or for work."""
    parameters = child.find("parameters")
    kind = None if parameters is None else parameters.find("type")
    text = None if kind is None else kind.text_of("text")
    if text in {"home", "work"}:
        yield _element(text.upper())


def _text(name: str, text: str | None) -> Iterator[Element]:
    if text:
        yield Element(name, ns.VCARD, None, text)


def _element(name: str, *children: Element) -> Element:
    return Element(name, ns.VCARD, None, *children)
