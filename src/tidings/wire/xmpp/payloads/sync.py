"""Sync: all that has happened to an account since a cursor, a page at a time.

The document is docs/specs/sync.md; the marks § point at its sections. A page comes as messages, each with one
of `SyncEntry`, `SyncGap`, `SyncErased` and `SyncConversation`, and ends with `SyncFin`, the answer to the
request.

Limits: a cursor of 8,192 octets, a page of 4,294,967,295 items, of which a server gives as many as it likes.
"""

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import check_characters, escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.boxes import INBOX, read_box
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.forwarding import Forwarded, carry
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.strict import (
    present,
    read_boolean,
    read_id,
    read_jid,
    read_optional_id,
)
from tidings.wire.xmpp.stanza import Stanza

CURSOR_OCTETS: Final = 8_192
KINDS: Final = (
    "message",
    "correction",
    "retraction",
    "reactions",
    "receipt",
    "received",
    "displayed",
    "acknowledged",
    "fastening",
    "membership",
    "configuration",
)
"""What an entry may be (§4.1)."""


class SyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the page after a cursor, or without one for the first page (§3).

    `maximum` is how many entries or conversations there may be, None leaves it to the server.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_SYNC, "sync")

    since: str | None = None
    maximum: int | None = None
    query_id: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` for a cursor or an id too long and for a bad number."""
        since, maximum = element.get("since"), element.get("max")
        return cls(
            since=read_id(since, "since", maximum=CURSOR_OCTETS) if since else None,
            maximum=None if maximum is None else read_unsigned(maximum, "max", minimum=1),
            query_id=read_optional_id(element.get("queryid"), "queryid"),
        )

    def encode(self) -> Element:
        """Return `<sync/>`."""
        maximum = None if self.maximum is None else str(self.maximum)
        return Element("sync", ns.TIDINGS_SYNC, present(since=self.since, max=maximum, queryid=self.query_id))


class SyncEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the account's archive, or of the room's that `archive` names (§4.1).

    `peer` is the conversation. `target` is the id of the earlier entry that this one changes or marks, None
    where it has none or that is unknown. Without `forwarded` the entry has no content to show.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_SYNC, "entry")

    id: str
    peer: Jid
    is_sent: bool = False
    kind: str = KINDS[0]
    target: str | None = None
    archive: Jid | None = None
    forwarded: Forwarded | None = None
    query_id: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the entry; raise `bad-request` without an id, a peer or a known kind."""
        kind = element.get("kind") or KINDS[0]
        if kind not in KINDS:
            raise StanzaError("bad-request", f"there are no entries of kind {kind}")
        return cls(
            id=read_id(element.get("id"), "id"),
            peer=read_jid(element.get("jid"), "jid"),
            is_sent=read_boolean(element.get("sent"), "sent"),
            kind=kind,
            target=read_optional_id(element.get("target"), "target"),
            archive=_archive(element),
            forwarded=_forwarded(element),
            query_id=read_optional_id(element.get("queryid"), "queryid"),
        )

    def to_bytes(self) -> bytes:
        """Return `<entry/>`, written for any default namespace; the message is copied as it is."""
        attributes = present(
            queryid=self.query_id,
            id=self.id,
            jid=self.peer,
            sent="true" if self.is_sent else None,
            kind=None if self.kind == KINDS[0] else self.kind,
            target=self.target,
            archive=self.archive,
        )
        return _around("entry", attributes, self.forwarded)

    def message(self, *, to: Jid, account: Jid) -> Stanza:
        """Return the message that brings it to the device that asked."""
        return carry(self.TAG, self.to_bytes(), to=to, sender=account)


class SyncGap(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of a room that are not told: all between two others, neither included (§4.2).

    `after` is None where they begin with the first one.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_SYNC, "gap")

    archive: Jid
    before: str
    after: str | None = None
    query_id: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the gap; raise `bad-request` without an archive or an end, `jid-malformed` for a bad one."""
        return cls(
            archive=read_jid(element.get("archive"), "archive"),
            before=read_id(element.get("before"), "before"),
            after=read_optional_id(element.get("after"), "after"),
            query_id=read_optional_id(element.get("queryid"), "queryid"),
        )

    def to_bytes(self) -> bytes:
        """Return `<gap/>`, written for any default namespace."""
        attributes = present(
            queryid=self.query_id, archive=self.archive, after=self.after, before=self.before
        )
        return _around("gap", attributes, None)

    def message(self, *, to: Jid, account: Jid) -> Stanza:
        """Return the message that brings it to the device that asked."""
        return carry(self.TAG, self.to_bytes(), to=to, sender=account)


class SyncErased(msgspec.Struct, frozen=True):
    """Entries that have lost their content: all from `first` to `last`, both included (§4.3).

    They are those of the account's archive, or of the room's that `archive` names.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_SYNC, "erased")

    first: str
    last: str
    query_id: str | None = None
    archive: Jid | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the range; raise `bad-request` where an end is missing."""
        return cls(
            read_id(element.get("first"), "first"),
            read_id(element.get("last"), "last"),
            read_optional_id(element.get("queryid"), "queryid"),
            _archive(element),
        )

    def to_bytes(self) -> bytes:
        """Return `<erased/>`, written for any default namespace."""
        attributes = present(queryid=self.query_id, first=self.first, last=self.last, archive=self.archive)
        return _around("erased", attributes, None)

    def message(self, *, to: Jid, account: Jid) -> Stanza:
        """Return the message that brings it to the device that asked."""
        return carry(self.TAG, self.to_bytes(), to=to, sender=account)


class SyncConversation(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation stands now (§4.4).

    `archive` holds its messages: the account's own where it is None, else a room's. `last` and `read` are ids
    there: of the last message that counts, and of the last that was read. `mentions` are those of the unread
    messages of a room that mention the owner. Times are microseconds since 1970;
    `time` is that of the last message. `muted_until` 0 is not muted, `pinned` 0 not pinned. One that
    `is_gone` was taken out of the inbox, and nothing else of it is told.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_SYNC, "conversation")

    peer: Jid
    unread: int = 0
    mentions: int = 0
    time: int = 0
    last: str | None = None
    read: str | None = None
    box: str = INBOX
    muted_until: int = 0
    pinned: int = 0
    archive: Jid | None = None
    forwarded: Forwarded | None = None
    query_id: str | None = None
    is_gone: bool = False

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the conversation; raise `bad-request` for a broken part."""
        if read_boolean(element.get("gone"), "gone"):
            return cls(
                peer=read_jid(element.get("jid"), "jid"),
                query_id=read_optional_id(element.get("queryid"), "queryid"),
                is_gone=True,
            )
        time, muted = element.get("time"), element.get("muted-until")
        return cls(
            peer=read_jid(element.get("jid"), "jid"),
            unread=read_unsigned(element.get("unread") or "", "unread"),
            mentions=read_unsigned(element.get("mentions") or "0", "mentions"),
            time=read_date_time(time, "time") if time else 0,
            last=read_optional_id(element.get("last"), "last"),
            read=read_optional_id(element.get("read"), "read"),
            box=read_box(element.get("box") or INBOX),
            muted_until=read_date_time(muted, "muted-until") if muted else 0,
            pinned=read_unsigned(element.get("pinned") or "0", "pinned"),
            archive=_archive(element),
            forwarded=_forwarded(element),
            query_id=read_optional_id(element.get("queryid"), "queryid"),
        )

    def to_bytes(self) -> bytes:
        """Return `<conversation/>`, written for any default namespace; the message is copied as it is."""
        if self.is_gone:
            return _around("conversation", present(queryid=self.query_id, jid=self.peer, gone="true"), None)
        attributes = present(
            queryid=self.query_id,
            jid=self.peer,
            unread=str(self.unread),
            mentions=str(self.mentions) if self.mentions else None,
            time=format_date_time(self.time) if self.time else None,
            last=self.last,
            read=self.read,
            box=None if self.box == INBOX else self.box,
            pinned=str(self.pinned) if self.pinned else None,
            archive=self.archive,
        )
        if self.muted_until:
            attributes["muted-until"] = format_date_time(self.muted_until)
        return _around("conversation", attributes, self.forwarded)

    def message(self, *, to: Jid, account: Jid) -> Stanza:
        """Return the message that brings it to the device that asked."""
        return carry(self.TAG, self.to_bytes(), to=to, sender=account)


class SyncFin(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a page (§5).

    `cursor` is what to ask with next. `is_complete`: there was nothing more when the page was read.
    `is_reset`: the cursor of the request is worth nothing any more, and this page is a first one. `first` is
    the id of the oldest entry that the archive still has, None where it has none.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_SYNC, "sync")

    cursor: str
    is_complete: bool = False
    is_reset: bool = False
    first: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the end; raise `bad-request` without a cursor."""
        return cls(
            cursor=read_id(element.get("cursor"), "cursor", maximum=CURSOR_OCTETS),
            is_complete=read_boolean(element.get("complete"), "complete"),
            is_reset=read_boolean(element.get("reset"), "reset"),
            first=read_optional_id(element.get("first"), "first"),
        )

    def encode(self) -> Element:
        """Return `<sync/>`."""
        attributes = present(
            cursor=self.cursor,
            first=self.first,
            complete="true" if self.is_complete else None,
            reset="true" if self.is_reset else None,
        )
        return Element("sync", ns.TIDINGS_SYNC, attributes)


SyncItem = SyncEntry | SyncGap | SyncErased | SyncConversation


def item_of(message: Stanza, account: Jid) -> SyncItem | None:
    """Return what a message brings of a page, or None; one from anybody but the own account is none (§8)."""
    if message.sender is not None and message.sender != account.bare:
        return None
    for item in (SyncEntry, SyncGap, SyncErased, SyncConversation):
        element = message.decode(*item.TAG)
        if element is not None:
            return item.decode(element)
    return None


def _forwarded(element: Element) -> Forwarded | None:
    found = element.find("forwarded", ns.FORWARD)
    return None if found is None else Forwarded.decode(found)


def _archive(element: Element) -> Jid | None:
    archive = element.get("archive")
    return read_jid(archive, "archive") if archive else None


def _around(name: str, attributes: dict[str, str], forwarded: Forwarded | None) -> bytes:
    """Write an element around a message that is copied.

    Raises `ValueError` when a value holds a character that XML cannot carry.
    """
    written = "".join(f' {key}="{escape_attribute(value)}"' for key, value in attributes.items())
    opening = check_characters(f'<{name} xmlns="{ns.TIDINGS_SYNC}"{written}').encode()
    if forwarded is None:
        return opening + b"/>"
    return b"%b>%b</%b>" % (opening, forwarded.to_bytes(), name.encode())
