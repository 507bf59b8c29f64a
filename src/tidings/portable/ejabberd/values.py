"""What ejabberd's databases have in common: keys of passwords, rosters, elements, addresses."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable
from typing import Final, NamedTuple

from tidings.base.jid import Jid, JidError
from tidings.portable.ejabberd.terms import Term
from tidings.ports.accounts import ScramKeys, ScramMechanism
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import strip_characters
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem

MECHANISMS: Final[dict[str, ScramMechanism]] = {
    "sha": "SCRAM-SHA-1",
    "sha256": "SCRAM-SHA-256",
    "sha512": "SCRAM-SHA-512",
}
DEFAULTS: Final = {each.value: each for each in ArchiveDefault}


class Contact(NamedTuple):
    """A contact as ejabberd knows it."""

    jid: Jid
    name: str
    subscription: str
    ask: str
    """`in` and `both`: it waits for an answer; `out`, `both` and `subscribe`: we do."""
    groups: tuple[str, ...]
    message: str

    def item(self) -> RosterItem | None:
        """Give the contact of the owner; None for somebody who only waits for an answer."""
        if self.subscription == "none" and self.ask == "in" and not self.name and not self.groups:
            return None
        return RosterItem(
            self.jid,
            self.name,
            ItemSubscription(self.subscription),
            self.ask in {"out", "both", "subscribe"},
            groups=self.groups,
        )

    def request(self, owner: Jid) -> Element | None:
        """Give the request that waits for an answer, if there is one."""
        if self.ask not in {"in", "both"}:
            return None
        status = [Element("status", ns.CLIENT, None, self.message)] if self.message else []
        attributes = {"from": self.jid.text, "to": owner.text, "type": "subscribe"}
        return Element("presence", ns.CLIENT, attributes, *status)


def scram_keys(
    known: ScramMechanism | None, stored: str, server: str, salt: str, iterations: int
) -> ScramKeys | None:
    """Read keys of a mechanism that are written in base64; None where they are none."""
    try:
        parts = [b64decode(text, validate=True) for text in (salt, stored, server)]
    except binascii.Error:
        return None
    if known is None or not all(parts) or iterations < 1:
        return None
    return ScramKeys(known, parts[0], iterations, parts[1], parts[2])


def text_of(term: Term) -> str:
    """Give a binary, or an atom, as text."""
    return term.decode("utf-8", "replace") if isinstance(term, bytes) else str(term)


def element_of(term: Term, namespace: str) -> Element:
    """Give an `xmlel` as an element, where this namespace is the default; raises `ValueError`."""
    match term:
        case ("xmlel", bytes() as name, list() as pairs, list() as children):
            attributes = {text_of(pair[0]): text_of(pair[1]) for pair in pairs if isinstance(pair, tuple)}
            namespace = attributes.pop("xmlns", namespace)
            element = Element(text_of(name), namespace)
            element.attributes = {
                key: strip_characters(value)
                for key, value in attributes.items()
                if ":" not in key or key == "xml:lang"
            }
            for child in children:
                if isinstance(child, tuple) and child[0] == "xmlcdata":
                    element.append(strip_characters(text_of(child[1])))
                else:
                    element.append(element_of(child, namespace))
            return element
    raise ValueError(f"has {str(term)[:40]} where an element should be")


def jid_of(term: Term) -> Jid:
    """Give the address of `{User, Server, Resource}` or of a `jid` record; raises `ValueError`."""
    parts = term[1:4] if isinstance(term, tuple) and term[:1] == ("jid",) else term
    if not isinstance(parts, tuple) or len(parts) not in {2, 3}:
        raise ValueError(f"has {str(term)[:40]} where an address should be")
    user, server, *resource = map(text_of, parts)
    return Jid((f"{user}@" if user else "") + server + (f"/{resource[0]}" if any(resource) else ""))


def jids(terms: Iterable[Term]) -> tuple[Jid, ...]:
    """Give the addresses among them."""
    found = []
    for term in terms:
        try:
            found.append(jid_of(term))
        except (ValueError, JidError):
            continue
    return tuple(found)
