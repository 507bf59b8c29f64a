"""Mentions: whom a message names so that it concerns them (XEP-0372 0.6 §3.2, XEP-0513 0.1).

Neither document says who may; what is broken mentions nobody.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import msgspec

from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

MOST: Final = 100
"""So many mentions of a message count."""

_REFERENCE: Final = f"{ns.REFERENCES} reference"
_MENTION: Final = f"{ns.MENTIONS} mention"
TAGS: Final = frozenset({_REFERENCE, _MENTION})
"""The children that mention somebody."""

_CHANNEL: Final = f"{ns.MENTIONS}#channel"


class Mention(msgspec.Struct, frozen=True):
    """Whom one element mentions: an address, an occupant by his id (XEP-0421), or everybody in the room."""

    address: Jid | None = None
    occupant_id: str = ""
    is_everybody: bool = False


def mentions_of(message: Stanza) -> list[Mention]:
    """Give whom the elements of a message mention."""
    found = []
    for child in message.children:
        if f"{child.namespace} {child.name}" in TAGS:
            element = decode(child.raw, ns.CLIENT)
            read = _read_reference if child.name == "reference" else _read_mention
            mention = read(element)
            if mention is not None:
                found.append(mention)
    return found[:MOST]


def _read_reference(element: Element) -> Mention | None:
    if element.get("type") != "mention":
        return None
    address = _address_of(element.get("uri") or "")
    return None if address is None else Mention(address)


def _read_mention(element: Element) -> Mention | None:
    group = element.get("mentions")
    if group is not None:
        is_here = group == _CHANNEL and element.get("uri") is None
        return Mention(is_everybody=True) if is_here else None
    occupant_id = element.get("occupantid")
    if occupant_id:
        return Mention(occupant_id=occupant_id)
    address = _address_of(f"xmpp:{element.get('jid') or ''}")
    return None if address is None else Mention(address)


def _address_of(uri: str) -> Jid | None:
    """Read the address of an `xmpp:` URI (RFC 5122), without what it asks for."""
    scheme, _, rest = uri.partition(":")
    if scheme != "xmpp" or not rest:
        return None
    try:
        return Jid(unquote(rest.partition("?")[0].partition("#")[0]))
    except JidError:
        return None
