"""Inbox: the conversations of an account with their last message and unread count, as MongooseIM has it.

`erlang-solutions.com:xmpp:inbox:0` of MongooseIM 6.8, described in our specification sheet §1, whose numbers
the marks § are. Partial reading has no element of its own: a marker (XEP-0333) or a displayed position
(XEP-0490) moves the read pointer. What is done with one conversation is in `conversation.py`.

Limit: counts of 32 bits.
"""

import enum
from base64 import b64decode, b64encode
from collections.abc import Collection
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import check_characters, escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.boxes import ALL, ARCHIVE, BOXES, INBOX, Standing, box_field
from tidings.wire.xmpp.payloads.data_form import FORM_TYPE, DataForm, Field, FieldKind, FormKind, Option
from tidings.wire.xmpp.payloads.date_time import LATEST, format_date_time, read_date_time
from tidings.wire.xmpp.payloads.forwarding import Forwarded, carry
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.strict import present, read_boolean, read_optional_id
from tidings.wire.xmpp.stanza import Stanza


class Order(enum.StrEnum):
    """Whether the oldest or the newest entry comes first."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class InboxFormRequest(msgspec.Struct, frozen=True):
    """Asks for the form of a query (§1.2)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX, "query")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<query/>`."""
        return Element("query", ns.INBOX)


class InboxForm(msgspec.Struct, frozen=True):
    """The form that such a request is answered with (§1.2)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX, "query")

    form: DataForm

    @classmethod
    def offered(cls, boxes: Collection[str] = ()) -> Self:
        """Return the form; `boxes` are those that the server adds."""
        ways = (
            Option(Order.ASCENDING.value, "Ascending by timestamp"),
            Option(Order.DESCENDING.value, "Descending by timestamp"),
        )
        form = DataForm.of(
            FormKind.FORM,
            ns.INBOX,
            Field("start", kind=FieldKind.TEXT_SINGLE),
            Field("end", kind=FieldKind.TEXT_SINGLE),
            Field("hidden_read", ("false",), FieldKind.TEXT_SINGLE),
            Field("order", (Order.DESCENDING.value,), FieldKind.LIST_SINGLE, options=ways),
            box_field(boxes),
            Field("archive", ("false",), FieldKind.BOOLEAN),
        )
        return cls(form)

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the form, or raise `bad-request` if there is none."""
        form = element.find("x", ns.DATA_FORMS)
        if form is None:
            raise StanzaError("bad-request", "an inbox answers with a form")
        return cls(DataForm.decode(form))

    def encode(self) -> Element:
        """Return `<query/>` around the form."""
        return Element("query", ns.INBOX, None, self.form.encode())


class FetchInbox(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted (§1.3), by the times of their last messages in microseconds, inclusive.

    `box` None means every box but the bin, "all" means the bin as well.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX, "inbox")

    query_id: str | None = None
    start: int | None = None
    end: int | None = None
    order: Order = Order.DESCENDING
    hides_read: bool = False
    box: str | None = None
    page: PageRequest = PageRequest()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the query; `check_box` tells whether the box is one that the server has.

        Raises `bad-request` for an unknown field, one given twice, without a value or with several, and for a
        bad value, with MongooseIM's texts; `feature-not-implemented` for a page by its index.
        """
        values = _field_values(element)
        page = PageRequest.within(element)
        if page.index is not None:
            raise StanzaError("feature-not-implemented", "Inbox does not expose a total count and indexes")
        return cls(
            query_id=read_optional_id(element.get("queryid"), "queryid"),
            start=_read_time(values, "start"),
            end=_read_time(values, "end"),
            order=_read_order(values),
            hides_read=_read_truth(values, "hidden_read") or False,
            box=_read_box(values),
            page=page,
        )

    def check_box(self, boxes: Collection[str]) -> None:
        """Raise `bad-request` for a box that no account has; `boxes` are those that the server adds."""
        if self.box is not None and self.box not in (ALL, *BOXES, *boxes):
            raise _bad_value("box", self.box)

    def encode(self) -> Element:
        """Return `<inbox/>`, with a form only if there is a wish to write in it."""
        element = Element("inbox", ns.INBOX, present(queryid=self.query_id))
        values = {
            "start": None if self.start is None else format_date_time(self.start),
            "end": None if self.end is None else format_date_time(self.end),
            "order": None if self.order is Order.DESCENDING else self.order.value,
            "hidden_read": "true" if self.hides_read else None,
            "box": self.box,
        }
        fields = [Field(name, (text,)) for name, text in values.items() if text]
        if fields:
            element.append(DataForm.of(FormKind.SUBMIT, ns.INBOX, *fields).encode())
        if self.page != PageRequest():
            element.append(self.page.encode())
        return element


class InboxResult(msgspec.Struct, frozen=True):
    """One entry of the inbox (§1.5); `others` are children that an extension of the server adds.

    The entry is read when `unread` is 0. `forwarded` has the last message and its time.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX, "result")

    unread: int
    forwarded: Forwarded
    query_id: str | None = None
    box: str = INBOX
    muted_until: int = 0
    others: tuple[Element, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the entry; raise `bad-request` for a count or a standing that is none."""
        standing = Standing.decode(element)
        return cls(
            read_unsigned(element.get("unread") or "", "unread"),
            Forwarded.within(element),
            read_optional_id(element.get("queryid"), "queryid"),
            standing.box,
            standing.muted_until,
            tuple(child for child in element.children if child.namespace not in (ns.INBOX, ns.FORWARD)),
        )

    def to_bytes(self) -> bytes:
        """Return `<result/>`, written for any default namespace; the message is copied as it is.

        Raises `ValueError` when a text holds a character that XML cannot carry.
        """
        query_id = "" if self.query_id is None else f' queryid="{escape_attribute(self.query_id)}"'
        opening = check_characters(f'<result xmlns="{ns.INBOX}" unread="{self.unread}"{query_id}>').encode()
        standing = Standing(self.unread == 0, self.box, self.muted_until).to_bytes(ns.INBOX)
        others = b"".join(child.to_bytes(ns.INBOX) for child in self.others)
        return b"%b%b%b%b</result>" % (opening, self.forwarded.to_bytes(), standing, others)

    def message(self, *, to: Jid, account: Jid, id: str | None = None) -> Stanza:  # noqa: A002  # the attribute's own name
        """Return the message that brings the entry to the device that asked."""
        return carry(self.TAG, self.to_bytes(), to=to, sender=account, id=id)


class InboxTotals(msgspec.Struct, frozen=True):
    """A child of our own: unread messages and conversations of the whole account (docs/specs)."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_INBOX, "totals")

    unread_messages: int
    active_conversations: int

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the totals; raise `bad-request` for a number that is none."""
        return cls(
            read_unsigned(element.get("unread-messages") or "", "unread-messages"),
            read_unsigned(element.get("active-conversations") or "", "active-conversations"),
        )

    def encode(self) -> Element:
        """Return `<totals/>`."""
        counts = {
            "unread-messages": str(self.unread_messages),
            "active-conversations": str(self.active_conversations),
        }
        return Element("totals", ns.TIDINGS_INBOX, counts)


class InboxFin(msgspec.Struct, frozen=True):
    """The end of a page (§1.5); its counts are those of the page, `totals` those of the account."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX, "fin")

    page: Page = Page()
    active_conversations: int = 0
    count: int = 0
    unread_messages: int = 0
    totals: InboxTotals | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the end; raise `bad-request` for a number that is none."""
        totals = element.find("totals", ns.TIDINGS_INBOX)
        active, count, unread = (read_unsigned(element.text_of(name) or "0", name) for name in _COUNTS)
        return cls(
            Page.within(element),
            active,
            count,
            unread,
            None if totals is None else InboxTotals.decode(totals),
        )

    def encode(self) -> Element:
        """Return `<fin/>`."""
        element = Element("fin", ns.INBOX, None, self.page.encode())
        for name, number in zip(
            _COUNTS, (self.active_conversations, self.count, self.unread_messages), strict=True
        ):
            element.append(Element(name, ns.INBOX, None, str(number)))
        if self.totals is not None:
            element.append(self.totals.encode())
        return element


class EmptyBin(msgspec.Struct, frozen=True):
    """Delete what is in the bin, and the answer, which tells how many entries went (§1.8)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX, "empty-bin")

    deleted: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request or the answer; raise `bad-request` for a number that is none."""
        deleted = element.text_of("num")
        return cls(None if deleted is None else read_unsigned(deleted, "num"))

    def encode(self) -> Element:
        """Return `<empty-bin/>`."""
        deleted = [] if self.deleted is None else [Element("num", ns.INBOX, None, str(self.deleted))]
        return Element("empty-bin", ns.INBOX, None, *deleted)


_COUNTS: Final = ("active-conversations", "count", "unread-messages")
_FIELDS: Final = frozenset({"start", "end", "order", "hidden_read", "box", "archive"})


def format_page_id(stamp: int, peer: Jid) -> str:
    """Return the id of an entry in paging: the time of its last message and its address (§1.4)."""
    return f"{stamp}/{b64encode(peer.encode()).decode()}"


def read_page_id(text: str) -> tuple[int, Jid]:
    """Return time and address of the entry that an id of paging names, or raise `bad-request`."""
    digits, slash, encoded = text.partition("/")
    try:
        peer = Jid(b64decode(encoded, validate=True).decode())
    except (JidError, ValueError):
        raise StanzaError("bad-request", "an entry of the inbox has no such id") from None
    stamp = read_unsigned(digits, "the time of an id", maximum=LATEST)
    if not slash or not peer.is_bare:
        raise StanzaError("bad-request", "an entry of the inbox has no such id")
    return stamp, peer


def result_of(message: Stanza) -> InboxResult | None:
    """Return the entry that a message brings, or None; raise `bad-request` for a broken one."""
    element = message.decode(*InboxResult.TAG)
    return None if element is None else InboxResult.decode(element)


def _field_values(element: Element) -> dict[str, str]:
    """Return the one value of each field; whatever FORM_TYPE there is does not matter (§1.3)."""
    found = element.find("x", ns.DATA_FORMS)
    if found is None:
        return {}
    form = DataForm.decode(found)
    if form.kind not in (FormKind.SUBMIT, FormKind.FORM):
        raise StanzaError("bad-request", "an inbox is asked with a form of type submit")
    values: dict[str, str] = {}
    for field in form.fields:
        if field.name == FORM_TYPE:
            continue
        if field.name not in _FIELDS:
            raise StanzaError("bad-request", f"Unknown inbox form field={field.name}, value={field.value}")
        if len(field.values) != 1 or field.name in values:
            raise _bad_value(field.name, ",".join(field.values))
        values[field.name] = field.value
    return values


def _bad_value(name: str, value: str) -> StanzaError:
    return StanzaError("bad-request", f"Invalid inbox form field value, field={name}, value={value}")


def _read_time(values: dict[str, str], name: str) -> int | None:
    if name not in values:
        return None
    try:
        return read_date_time(values[name], name)
    except StanzaError:
        raise _bad_value(name, values[name]) from None


def _read_order(values: dict[str, str]) -> Order:
    text = values.get("order", Order.DESCENDING)
    try:
        return Order(text)
    except ValueError:
        raise _bad_value("order", text) from None


def _read_truth(values: dict[str, str], name: str) -> bool | None:
    try:
        return read_boolean(values[name], name) if name in values else None
    except StanzaError:
        raise _bad_value(name, values[name]) from None


def _read_box(values: dict[str, str]) -> str | None:
    """Return the box; the older field archive counts only without it (§1.3)."""
    is_archive = _read_truth(values, "archive")
    if (name := values.get("box")) is not None:
        return name
    return None if is_archive is None else (ARCHIVE if is_archive else INBOX)
