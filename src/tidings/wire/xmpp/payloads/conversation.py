"""Conversation: how one conversation of the inbox stands, and changing that, as MongooseIM has it.

`erlang-solutions.com:xmpp:inbox:0#conversation`; the marks § are those of our specification sheet, §1.6 to
§1.8. A mute lasts 100 years at most.
"""

from collections.abc import Collection
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.boxes import ARCHIVE, BOXES, INBOX, Standing, box_field, read_box
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.strict import present, read_boolean, read_optional_id

LONGEST_MUTE: Final = 100 * 366 * 86_400
"""Seconds."""


class ConversationQuery(msgspec.Struct, frozen=True):
    """Asks how a conversation stands, or without a peer for the form (§1.6).

    `is_complete` asks for the last message too.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX_CONVERSATION, "query")

    peer: Jid | None = None
    is_complete: bool = False

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` for a peer that is no address."""
        peer = None if element.get("jid") is None else _read_peer(element)
        return cls(peer, read_boolean(element.get("complete"), "complete"))

    def encode(self) -> Element:
        """Return `<query/>`."""
        complete = "true" if self.is_complete else None
        return Element("query", ns.INBOX_CONVERSATION, present(jid=self.peer, complete=complete))


class ConversationForm(msgspec.Struct, frozen=True):
    """The properties that a conversation has (§1.6)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX_CONVERSATION, "query")

    form: DataForm

    @classmethod
    def offered(cls, boxes: Collection[str] = ()) -> Self:
        """Return the form; `boxes` are those that the server adds."""
        form = DataForm.of(
            FormKind.FORM,
            ns.INBOX_CONVERSATION,
            box_field(boxes),
            Field("archive", ("false",), FieldKind.BOOLEAN),
            Field("read", ("false",), FieldKind.BOOLEAN),
            Field("mute", ("0",), FieldKind.TEXT_SINGLE),
        )
        return cls(form)

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the form, or raise `bad-request` if there is none."""
        form = element.find("x", ns.DATA_FORMS)
        if form is None:
            raise StanzaError("bad-request", "the properties are told in a form")
        return cls(DataForm.decode(form))

    def encode(self) -> Element:
        """Return `<query/>` around the form."""
        return Element("query", ns.INBOX_CONVERSATION, None, self.form.encode())


class Conversation(msgspec.Struct, frozen=True):
    """How a conversation stands, with its last message if that was asked for (§1.6)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX_CONVERSATION, "query")

    peer: Jid
    standing: Standing
    forwarded: Forwarded | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the answer; raise `bad-request` for a broken part."""
        forwarded = element.find("forwarded", ns.FORWARD)
        return cls(
            _read_peer(element),
            Standing.decode(element),
            None if forwarded is None else Forwarded.decode(forwarded),
        )

    def to_bytes(self) -> bytes:
        """Return `<query/>`, written for any default namespace; the message is copied as it is."""
        namespace = ns.INBOX_CONVERSATION
        opening = f'<query xmlns="{namespace}" jid="{escape_attribute(self.peer)}">'.encode()
        forwarded = b"" if self.forwarded is None else self.forwarded.to_bytes()
        return b"%b%b%b</query>" % (opening, forwarded, self.standing.to_bytes(namespace))


class ConversationChange(msgspec.Struct, frozen=True):
    """What shall be different from now on (§1.7); None stays as it is.

    `mute` are seconds from now, 0 ends it; `read` True reads all, False makes one unread if none was.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX_CONVERSATION, "query")

    peer: Jid
    box: str | None = None
    mute: int | None = None
    read: bool | None = None
    query_id: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the change; `check_box` tells whether the box is one that the server has.

        Raises `bad-request` with MongooseIM's texts: `jid-required`, `invalid-jid`, `no-property`,
        `invalid-box`, and `bad-request` for an unknown child, one given twice, or a bad value.
        """
        peer = _read_peer(element)
        texts = {child.name: child.text.strip() for child in element.children}
        if not texts:
            raise StanzaError("bad-request", "no-property")
        is_known = all(
            child.namespace == ns.INBOX_CONVERSATION and child.name in _PROPERTIES
            for child in element.children
        )
        if not is_known or len(texts) != len(element.children):
            raise StanzaError("bad-request", "bad-request")
        archive, read = (_read_property(texts.get(name)) for name in ("archive", "read"))
        box = None if archive is None else (ARCHIVE if archive else INBOX)
        if "box" in texts:
            box = read_box(texts["box"])
        query_id = read_optional_id(element.get("queryid"), "queryid")
        return cls(peer, box, _read_mute(texts.get("mute")), read, query_id)

    def check_box(self, boxes: Collection[str]) -> None:
        """Raise `bad-request` for a box that no account has; `boxes` are those that the server adds."""
        if self.box is not None:
            read_box(self.box, (*BOXES, *boxes))

    def encode(self) -> Element:
        """Return `<query/>` with the properties to change."""
        texts = {
            "box": self.box,
            "mute": None if self.mute is None else str(self.mute),
            "read": None if self.read is None else str(self.read).lower(),
        }
        properties = (
            Element(name, ns.INBOX_CONVERSATION, None, text) for name, text in texts.items() if text
        )
        attributes = present(jid=self.peer, queryid=self.query_id)
        return Element("query", ns.INBOX_CONVERSATION, attributes, *properties)


class ConversationUpdate(msgspec.Struct, frozen=True):
    """Tells every device of the account how a conversation stands now (§1.7).

    Without a `query_id` nobody has asked for it: a message has brought the conversation back (§1.9).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX_CONVERSATION, "x")

    peer: Jid
    standing: Standing
    query_id: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the news; raise `bad-request` for a broken part."""
        return cls(
            _read_peer(element),
            Standing.decode(element),
            read_optional_id(element.get("queryid"), "queryid"),
        )

    def encode(self) -> Element:
        """Return `<x/>`."""
        namespace = ns.INBOX_CONVERSATION
        attributes = present(jid=self.peer, queryid=self.query_id)
        return Element("x", namespace, attributes, *self.standing.encode(namespace))


class ConversationReset(msgspec.Struct, frozen=True):
    """All of a conversation is read; the answer names nobody (§1.8)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX_CONVERSATION, "reset")

    peer: Jid | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request or the answer; raise `bad-request` for a peer that is no address."""
        return cls(None if element.get("jid") is None else _read_peer(element))

    def encode(self) -> Element:
        """Return `<reset/>`."""
        return Element("reset", ns.INBOX_CONVERSATION, present(jid=self.peer))

    def change(self) -> ConversationChange:
        """Return what a request does, or raise `bad-request` if it names nobody."""
        if self.peer is None:
            raise StanzaError("bad-request", "jid-required")
        return ConversationChange(self.peer, read=True)


_PROPERTIES: Final = frozenset({"box", "archive", "mute", "read"})


def entry_not_found() -> StanzaError:
    """Return the answer to a question about a conversation that is not in the inbox (§1.6)."""
    return StanzaError("item-not-found", "Entry not found")


def changed_entry_not_found() -> StanzaError:
    """Return the answer to a change of one that is not in the inbox: oddly, a `bad-request` (§1.7)."""
    return StanzaError("bad-request", "item-not-found")


def _read_peer(element: Element) -> Jid:
    """Return the peer without its resource, since conversations are with accounts and rooms."""
    text = element.get("jid")
    if not text:
        raise StanzaError("bad-request", "jid-required")
    try:
        return Jid(text).bare
    except JidError as error:
        raise StanzaError("bad-request", "invalid-jid") from error


def _read_property(text: str | None) -> bool | None:
    try:
        return None if text is None else read_boolean(text, "a property")
    except StanzaError:
        raise StanzaError("bad-request", "bad-request") from None


def _read_mute(text: str | None) -> int | None:
    try:
        return None if text is None else read_unsigned(text, "mute", maximum=LONGEST_MUTE)
    except StanzaError:
        raise StanzaError("bad-request", "bad-request") from None
