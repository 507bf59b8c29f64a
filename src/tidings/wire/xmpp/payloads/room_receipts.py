"""Who has seen a message of a room, and what they feel about it: docs/specs/room-receipts.md.

The marks § point at its sections. Each element is what is asked and, with more in it, what is answered.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.reactions import REACTION_OCTETS
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.strict import (
    present,
    read_boolean,
    read_id,
    read_jid,
    read_optional_id,
)

MESSAGES: Final = 100
"""So many messages are asked about at once."""

_NS: Final = ns.TIDINGS_ROOM_RECEIPTS


class SeenMessage(msgspec.Struct, frozen=True):
    """A message; in an answer how many have seen it, of how many."""

    id: str
    seen: int | None = None
    of: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; raise `bad-request` without an id."""
        return cls(read_id(element.get("id"), "id"), *_read_counts(element))

    def encode(self) -> Element:
        """Return `<message/>`."""
        return Element("message", _NS, {"id": self.id, **_counts(self.seen, self.of)})


class Seen(msgspec.Struct, frozen=True):
    """How many have seen each of these messages (§1)."""

    TAG: ClassVar[tuple[str, str]] = (_NS, "seen")

    messages: tuple[SeenMessage, ...]

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; raise `bad-request` for no message or for too many."""
        messages = tuple(map(SeenMessage.decode, element.find_all("message")))
        if not 0 < len(messages) <= MESSAGES:
            raise StanzaError("bad-request", f"1 to {MESSAGES} messages are asked about at once")
        return cls(messages)

    def encode(self) -> Element:
        """Return `<seen/>`."""
        return Element("seen", _NS, None, *(message.encode() for message in self.messages))


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has seen a message, or has reacted to it (§2, §3)."""

    occupant_id: str
    nick: str = ""
    jid: Jid | None = None
    upto: str | None = None
    """How far the person has read."""
    stamp: int | None = None
    """In microseconds since 1970."""
    reactions: tuple[str, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the person; raise `bad-request` for a part that is missing or broken."""
        jid, stamp = element.get("jid"), element.get("stamp")
        return cls(
            occupant_id=read_id(element.get("occupant-id"), "occupant-id"),
            nick=element.get("nick") or "",
            jid=None if jid is None else read_jid(jid, "jid"),
            upto=read_optional_id(element.get("upto"), "upto"),
            stamp=None if stamp is None else read_date_time(stamp, "stamp"),
            reactions=tuple(reaction.text for reaction in element.find_all("reaction")),
        )

    def encode(self) -> Element:
        """Return `<person/>`."""
        jid, stamp = self.jid, self.stamp
        attributes = {
            "occupant-id": self.occupant_id,
            **present(nick=self.nick, jid=None if jid is None else jid.text, upto=self.upto),
            **present(stamp=None if stamp is None else format_date_time(stamp)),
        }
        texts = (Element("reaction", _NS, None, text) for text in self.reactions)
        return Element("person", _NS, attributes, *texts)


class Readers(msgspec.Struct, frozen=True, kw_only=True):
    """Who has seen a message, or has not, page by page (§2)."""

    TAG: ClassVar[tuple[str, str]] = (_NS, "readers")

    id: str
    is_unread: bool = False
    wanted: PageRequest = PageRequest()
    seen: int | None = None
    of: int | None = None
    people: tuple[Person, ...] = ()
    page: Page | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; raise `bad-request` without an id, or for a page that is none."""
        seen, of = _read_counts(element)
        return cls(
            id=read_id(element.get("id"), "id"),
            is_unread=read_boolean(element.get("unread"), "unread"),
            wanted=PageRequest.within(element),
            seen=seen,
            of=of,
            people=tuple(map(Person.decode, element.find_all("person"))),
            page=_read_page(element),
        )

    def encode(self) -> Element:
        """Return `<readers/>`: the request, or with a page the answer."""
        attributes = {"id": self.id, **present(unread="true" if self.is_unread else None)}
        attributes |= _counts(self.seen, self.of)
        return Element("readers", _NS, attributes, *_paged(self.people, self.wanted, self.page))


class ReactionCount(msgspec.Struct, frozen=True):
    """A reaction, how many have it, and whether the asker is one of them (§3)."""

    text: str
    count: int
    is_mine: bool = False

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; raise `bad-request` without a count."""
        count = read_unsigned(element.get("count") or "", "count")
        return cls(element.text, count, read_boolean(element.get("mine"), "mine"))

    def encode(self) -> Element:
        """Return `<reaction/>`."""
        attributes = {"count": str(self.count), **present(mine="true" if self.is_mine else None)}
        return Element("reaction", _NS, attributes, self.text)


class ReactedMessage(msgspec.Struct, frozen=True):
    """A message; in an answer with its reactions, the commonest first."""

    id: str
    reactions: tuple[ReactionCount, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; raise `bad-request` without an id."""
        reactions = tuple(map(ReactionCount.decode, element.find_all("reaction")))
        return cls(read_id(element.get("id"), "id"), reactions)

    def encode(self) -> Element:
        """Return `<message/>`."""
        return Element("message", _NS, {"id": self.id}, *(each.encode() for each in self.reactions))


class RoomReactions(msgspec.Struct, frozen=True, kw_only=True):
    """Which reactions these messages have, or those of a stretch of the archive (§3)."""

    TAG: ClassVar[tuple[str, str]] = (_NS, "reactions")

    messages: tuple[ReactedMessage, ...] = ()
    from_id: str | None = None
    to_id: str | None = None
    is_complete: bool | None = None
    """In an answer: whether the stretch has no more."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; raise `bad-request` for too many messages, or messages and a stretch."""
        messages = tuple(map(ReactedMessage.decode, element.find_all("message")))
        complete = element.get("complete")
        found = cls(
            messages=messages,
            from_id=read_optional_id(element.get("from"), "from"),
            to_id=read_optional_id(element.get("to"), "to"),
            is_complete=None if complete is None else read_boolean(complete, "complete"),
        )
        if len(messages) > MESSAGES:
            raise StanzaError("bad-request", f"{MESSAGES} messages are asked about at once")
        if messages and (found.from_id or found.to_id):
            raise StanzaError("bad-request", "messages, or a stretch of the archive")
        return found

    def encode(self) -> Element:
        """Return `<reactions/>`."""
        complete = None if self.is_complete is None else str(self.is_complete).lower()
        attributes = present(**{"from": self.from_id}, to=self.to_id, complete=complete)
        return Element("reactions", _NS, attributes, *(message.encode() for message in self.messages))


class Reactors(msgspec.Struct, frozen=True, kw_only=True):
    """Who has reacted to a message, page by page (§3)."""

    TAG: ClassVar[tuple[str, str]] = (_NS, "reactors")

    id: str
    reaction: str | None = None
    """Only who has this one."""
    wanted: PageRequest = PageRequest()
    people: tuple[Person, ...] = ()
    page: Page | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return it; raise `bad-request` without an id, or for a page that is none."""
        reaction = element.get("reaction")
        return cls(
            id=read_id(element.get("id"), "id"),
            reaction=read_id(reaction, "reaction", maximum=REACTION_OCTETS) if reaction else None,
            wanted=PageRequest.within(element),
            people=tuple(map(Person.decode, element.find_all("person"))),
            page=_read_page(element),
        )

    def encode(self) -> Element:
        """Return `<reactors/>`: the request, or with a page the answer."""
        attributes = {"id": self.id, **present(reaction=self.reaction)}
        return Element("reactors", _NS, attributes, *_paged(self.people, self.wanted, self.page))


def _counts(seen: int | None, of: int | None) -> dict[str, str]:
    return {} if seen is None else {"seen": str(seen), "of": str(of or 0)}


def _read_counts(element: Element) -> tuple[int | None, int | None]:
    seen, of = element.get("seen"), element.get("of")
    if seen is None or of is None:
        return None, None
    return read_unsigned(seen, "seen"), read_unsigned(of, "of")


def _read_page(element: Element) -> Page | None:
    """Return the page of an answer; None in a request, which has no count."""
    found = element.find("set", ns.RSM)
    return None if found is None or found.find("count") is None else Page.decode(found)


def _paged(people: tuple[Person, ...], wanted: PageRequest, page: Page | None) -> list[Element]:
    return [*(person.encode() for person in people), wanted.encode() if page is None else page.encode()]
