"""Smart Markers: the last marker of each participant of a chat, as MongooseIM keeps and tells them.

`esl:xmpp:smart-markers:0` of MongooseIM 6.8; the marks § are those of our specification sheet, §3.1.
"""

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.markers import MarkerKind
from tidings.wire.xmpp.payloads.strict import present, read_id, read_jid, read_optional_id


class KeptMarker(msgspec.Struct, frozen=True):
    """The last marker of one kind that somebody has set, and when, in microseconds since 1970."""

    sender: Jid
    id: str
    kind: MarkerKind
    stamp: int
    thread: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the marker; raise `bad-request` for a part that is missing or broken."""
        try:
            kind = MarkerKind(element.get("type") or "")
        except ValueError as error:
            raise StanzaError("bad-request", "an unknown marker") from error
        return cls(
            read_jid(element.get("from"), "from"),
            read_id(element.get("id"), "id"),
            kind,
            read_date_time(element.get("timestamp") or "", "timestamp"),
            read_optional_id(element.get("thread"), "thread"),
        )

    def encode(self) -> Element:
        """Return `<marker/>`; a thread is told only where there is one."""
        attributes = {
            "from": str(self.sender),
            "id": self.id,
            "type": self.kind.value,
            "timestamp": format_date_time(self.stamp),
            **present(thread=self.thread),
        }
        return Element("marker", ns.SMART_MARKERS, attributes)


class MarkersQuery(msgspec.Struct, frozen=True):
    """The markers of a chat: those set after a moment are asked for, those found are answered with."""

    TAG: ClassVar[tuple[str, str]] = (ns.SMART_MARKERS, "query")

    peer: Jid
    thread: str | None = None
    after: int | None = None
    markers: tuple[KeptMarker, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the query or its answer; raise `bad-request` with MongooseIM's texts."""
        try:
            peer = Jid(element.get("peer") or "").bare
        except JidError as error:
            raise StanzaError("bad-request", "invalid-peer") from error
        after = element.get("after")
        return cls(
            peer,
            read_optional_id(element.get("thread"), "thread"),
            None if after is None else _read_after(after),
            tuple(map(KeptMarker.decode, element.find_all("marker"))),
        )

    def encode(self) -> Element:
        """Return `<query/>` with the markers, if any."""
        after = None if self.after is None else format_date_time(self.after)
        attributes = present(peer=self.peer, thread=self.thread, after=after)
        return Element("query", ns.SMART_MARKERS, attributes, *(marker.encode() for marker in self.markers))


def _read_after(text: str) -> int:
    try:
        return read_date_time(text, "after")
    except StanzaError:
        raise StanzaError("bad-request", "invalid-timestamp") from None
