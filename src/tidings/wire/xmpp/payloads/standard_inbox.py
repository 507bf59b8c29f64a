"""Inbox: the conversations of an account, as the XSF's own document has them (XEP-0430 0.2.0).

An entry comes beside an archive result in one message. The read marks that the document mentions are those of
XEP-0333; unmarking has no element there.
"""

from typing import ClassVar, Self

import msgspec

from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import check_characters, escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveResult
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.strict import read_boolean, read_jid, read_optional_id
from tidings.wire.xmpp.stanza import Stanza


class StandardInboxQuery(msgspec.Struct, frozen=True):
    """Which conversations are wanted, and whether with their last message (§3.1)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX1, "inbox")

    unread_only: bool = False
    with_messages: bool = True
    page: PageRequest = PageRequest()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the query; raise `bad-request` for what is neither true nor false and for a bad page."""
        return cls(
            read_boolean(element.get("unread-only"), "unread-only"),
            read_boolean(element.get("messages"), "messages", default=True),
            PageRequest.within(element),
        )

    def encode(self) -> Element:
        """Return `<inbox/>`; what is not said is the default."""
        unread = {"unread-only": "true"} if self.unread_only else {}
        messages = {} if self.with_messages else {"messages": "false"}
        page = [] if self.page == PageRequest() else [self.page.encode()]
        return Element("inbox", ns.INBOX1, {**unread, **messages}, *page)


class StandardInboxEntry(msgspec.Struct, frozen=True):
    """One conversation; `id` is the archive id of its last entry, None while it has none (§3.1)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX1, "entry")

    peer: Jid
    unread: int
    id: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the entry; raise `bad-request` without jid or count, `jid-malformed` for a bad address."""
        return cls(
            read_jid(element.get("jid"), "jid"),
            read_unsigned(element.get("unread") or "", "unread"),
            read_optional_id(element.get("id"), "id"),
        )

    def encode(self) -> Element:
        """Return `<entry/>`."""
        last = {} if self.id is None else {"id": self.id}
        return Element("entry", ns.INBOX1, {"unread": str(self.unread), "jid": str(self.peer), **last})

    def to_bytes(self) -> bytes:
        """Return `<entry/>`, written for any default namespace."""
        last = "" if self.id is None else f' id="{escape_attribute(self.id)}"'
        opening = f'<entry xmlns="{ns.INBOX1}" unread="{self.unread}" jid="{self.peer.xml.decode()}"'
        return check_characters(f"{opening}{last}/>").encode()

    def message(
        self,
        *,
        to: Jid,
        account: Jid,
        result: ArchiveResult | None = None,
        id: str | None = None,  # noqa: A002  # the attribute's own name
    ) -> Stanza:
        """Return the message that brings the entry and, as the archive gives it, its last message (§3.1)."""
        entry = self.to_bytes()
        index = [(" ".join(self.TAG), 0)]
        if result is None:
            return Stanza("message", "", id, to, account, None, index, entry)
        index.append((f"{result.namespace} result", len(entry)))
        return Stanza("message", "", id, to, account, None, index, entry + result.to_bytes())


class StandardInboxFin(msgspec.Struct, frozen=True):
    """The end of a page, and the counts of the whole inbox (§3.1)."""

    TAG: ClassVar[tuple[str, str]] = (ns.INBOX1, "fin")

    total: int
    unread_conversations: int
    unread_messages: int
    page: Page = Page()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the end; raise `bad-request` for a count that is none."""
        names = ("total", "unread", "all-unread")
        total, conversations, messages = (read_unsigned(element.get(name) or "", name) for name in names)
        return cls(total, conversations, messages, Page.within(element))

    def encode(self) -> Element:
        """Return `<fin/>`, always with a page."""
        counts = {
            "total": str(self.total),
            "unread": str(self.unread_conversations),
            "all-unread": str(self.unread_messages),
        }
        return Element("fin", ns.INBOX1, counts, self.page.encode())
