"""What a room tells of its occupants, and invitations through it (XEP-0045 §7.8, §19.2)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import read_jid


class Status(IntEnum):
    """The status codes of the registry (§16.6)."""

    SEES_ADDRESSES = 100
    AFFILIATION_CHANGED = 101
    SHOWS_UNAVAILABLE = 102
    CONFIGURATION_CHANGED = 104
    SELF = 110
    LOGGED = 170
    NOT_LOGGED = 171
    NOT_ANONYMOUS = 172
    SEMI_ANONYMOUS = 173
    CREATED = 201
    NICK_CHANGED_BY_ROOM = 210
    BANNED = 301
    NICK_CHANGES = 303
    KICKED = 307
    LOST_AFFILIATION = 321
    MEMBERS_ONLY = 322
    SHUTDOWN = 332
    ERROR = 333


class OccupantItem(msgspec.Struct, frozen=True, kw_only=True):
    """`<item/>`: what somebody is in the room, or is to be."""

    affiliation: str = ""
    role: str = ""
    jid: Jid | None = None
    nick: str = ""
    takes_nick: bool = False
    """Whether it asks that no nick is reserved any more, by an empty one (§9.5)."""
    actor: str = ""
    """The nickname of who has brought it about."""
    reason: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `jid-malformed` for a bad address."""
        jid = element.get("jid")
        return cls(
            affiliation=element.get("affiliation") or "",
            role=element.get("role") or "",
            jid=None if jid is None else read_jid(jid, "jid"),
            nick=element.get("nick") or "",
            takes_nick=element.get("nick") == "",
            reason=element.text_of("reason") or "",
        )

    def encode(self, namespace: str = ns.MUC_USER) -> Element:
        """Return `<item/>`."""
        attributes = {
            "affiliation": self.affiliation,
            "role": self.role,
            "jid": "" if self.jid is None else self.jid.text,
            "nick": self.nick,
        }
        item = Element("item", namespace, {name: text for name, text in attributes.items() if text})
        if self.actor:
            item.append(Element("actor", namespace, {"nick": self.actor}))
        if self.reason:
            item.append(Element("reason", namespace, None, self.reason))
        return item


class Destruction(msgspec.Struct, frozen=True, kw_only=True):
    """`<destroy/>`: the room is no more, and where people meet instead (§10.9)."""

    alternative: Jid | None = None
    password: str = ""
    reason: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `jid-malformed` for a bad address."""
        jid = element.get("jid")
        return cls(
            alternative=None if jid is None else read_jid(jid, "jid"),
            password=element.text_of("password") or "",
            reason=element.text_of("reason") or "",
        )

    def encode(self, namespace: str = ns.MUC_USER) -> Element:
        """Return `<destroy/>`."""
        element = Element(
            "destroy", namespace, None if self.alternative is None else {"jid": self.alternative.text}
        )
        for name, text in (("password", self.password), ("reason", self.reason)):
            if text:
                element.append(Element(name, namespace, None, text))
        return element


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """`<invite/>` or `<decline/>`: to whom it is, or from whom it comes (§7.8.2)."""

    name: str
    """`invite` or `decline`."""
    address: Jid
    reason: str = ""
    thread: str | None = None
    """Of a conversation that goes on in the room; empty where it has none, None where none does (§7.9)."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `bad-request` without an address, `jid-malformed` for a bad one."""
        to = element.get("to")
        if not to:
            raise StanzaError("bad-request", f"<{element.name}/> needs an address")
        goes_on = element.find("continue")
        return cls(
            name=element.name,
            address=read_jid(to, "to"),
            reason=element.text_of("reason") or "",
            thread=None if goes_on is None else goes_on.get("thread") or "",
        )

    def encode(self) -> Element:
        """Return it as the room hands it on: from whom it comes."""
        element = Element(self.name, ns.MUC_USER, {"from": self.address.text})
        if self.reason:
            element.append(Element("reason", ns.MUC_USER, None, self.reason))
        if self.thread is not None:
            thread = {"thread": self.thread} if self.thread else None
            element.append(Element("continue", ns.MUC_USER, thread))
        return element


class UserRequests(msgspec.Struct, frozen=True):
    """What an occupant asks of the room in a message: that it invites somebody, or tells a refusal."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC_USER, "x")

    invitations: tuple[Invitation, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raises as `Invitation.decode`."""
        return cls(
            tuple(
                Invitation.decode(child)
                for child in element.children
                if child.namespace == ns.MUC_USER and child.name in {"invite", "decline"}
            )
        )


class VersionMark(msgspec.Struct, frozen=True, kw_only=True):
    """`<mav/>`: between which versions a list of affiliations was changed (XEP-0463 §5.2)."""

    since: str = ""
    """Empty where the list is told as a whole, or nothing was changed."""
    until: str

    def encode(self) -> Element:
        """Return `<mav/>`."""
        attributes = {"since": self.since} if self.since else {}
        return Element("mav", ns.AFFILIATION_VERSIONS, {**attributes, "until": self.until})


class AffiliationList(msgspec.Struct, frozen=True):
    """`<x/>` with who has become what between two versions (XEP-0463 §5.2.1)."""

    version: VersionMark
    items: tuple[OccupantItem, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self | None:
        """Return what it says; None where it has no version."""
        mark = element.find("mav", ns.AFFILIATION_VERSIONS)
        if mark is None:
            return None
        version = VersionMark(since=mark.get("since") or "", until=mark.get("until") or "")
        return cls(version, tuple(OccupantItem.decode(item) for item in element.find_all("item")))

    def encode(self) -> Element:
        """Return `<x/>`."""
        return about_occupant(*self.items, version=self.version)


def about_occupant(
    *items: OccupantItem,
    statuses: Iterable[int] = (),
    destroyed: Destruction | None = None,
    version: VersionMark | None = None,
) -> Element:
    """Return `<x/>`: what is told of an occupant with a presence, or of the room with a message."""
    element = Element("x", ns.MUC_USER, None, *(() if version is None else (version.encode(),)))
    for item in items:
        element.append(item.encode())
    if destroyed is not None:
        element.append(destroyed.encode())
    for status in statuses:
        element.append(Element("status", ns.MUC_USER, {"code": str(int(status))}))
    return element
