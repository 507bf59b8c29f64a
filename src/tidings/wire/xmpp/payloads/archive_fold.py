"""The fold: what has become of an archived message, beside the message itself (docs/specs/archive.md).

An extension of our own to XEP-0313, `urn:tidings:archive:0`. A query with `<fold/>` gets a `<folded/>` in
each result: the newest correction, the retraction, the reactions of each person, who has received and read
it, and what is fastened to it. Stanzas inside are raw bytes, written for `jabber:client`.
"""

import enum
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import check_characters, escape_attribute, escape_text
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.forwarding import with_content_namespace
from tidings.wire.xmpp.payloads.strict import read_id, read_jid

FOLD: Final = ("fold", ns.TIDINGS_ARCHIVE)
"""The child of a query that asks for folds: its name and namespace."""


class FoldedMessage(msgspec.Struct, frozen=True):
    """A whole message of the archive that changes or extends the one it points at: `raw` is its stanza."""

    id: str
    stamp: int
    by: Jid
    raw: bytes


class FoldedRetraction(msgspec.Struct, frozen=True):
    """The message is taken back, by the entry `id`; None where that is not in the archive any more."""

    stamp: int
    id: str | None = None


class FoldedReactions(msgspec.Struct, frozen=True):
    """All reactions that one person has to the message now."""

    stamp: int
    by: Jid
    reactions: tuple[str, ...]


class ProgressKind(enum.StrEnum):
    """How far a message has come with somebody."""

    RECEIVED = "received"
    DISPLAYED = "displayed"
    ACKNOWLEDGED = "acknowledged"


class FoldedProgress(msgspec.Struct, frozen=True):
    """Somebody has the message, has read it, or has acknowledged it, since `stamp` at the latest."""

    kind: ProgressKind
    stamp: int
    by: Jid


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a message; empty where nothing has."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_ARCHIVE, "folded")

    retraction: FoldedRetraction | None = None
    correction: FoldedMessage | None = None
    """The newest one."""
    reactions: tuple[FoldedReactions, ...] = ()
    progress: tuple[FoldedProgress, ...] = ()
    fastenings: tuple[FoldedMessage, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the fold; raise `bad-request` for a broken part. Unknown parts are passed over."""
        retraction, correction = element.find("retraction"), element.find("correction")
        return cls(
            retraction=None
            if retraction is None
            else FoldedRetraction(_stamp(retraction), retraction.get("id")),
            correction=None if correction is None else _read_message(correction),
            reactions=tuple(
                FoldedReactions(
                    _stamp(item), _by(item), tuple(each.text for each in item.find_all("reaction"))
                )
                for item in element.find_all("reactions")
            ),
            progress=tuple(
                FoldedProgress(ProgressKind(item.name), _stamp(item), _by(item))
                for item in element.children
                if item.namespace == ns.TIDINGS_ARCHIVE and item.name in _PROGRESS
            ),
            fastenings=tuple(_read_message(item) for item in element.find_all("fastening")),
        )

    def to_bytes(self) -> bytes:
        """Return `<folded/>`, written for any default namespace; messages are copied as they are."""
        parts: list[bytes] = []
        if self.retraction is not None:
            by_id = "" if self.retraction.id is None else f' id="{_safe(self.retraction.id)}"'
            parts.append(f'<retraction{by_id} stamp="{format_date_time(self.retraction.stamp)}"/>'.encode())
        if self.correction is not None:
            parts.append(_written_message("correction", self.correction))
        for each in self.reactions:
            opening = f"<reactions{_author(each.by, each.stamp)}>"
            texts = (f"<reaction>{escape_text(check_characters(text))}</reaction>" for text in each.reactions)
            parts.append(f"{opening}{''.join(texts)}</reactions>".encode())
        parts += (f"<{each.kind}{_author(each.by, each.stamp)}/>".encode() for each in self.progress)
        parts += (_written_message("fastening", each) for each in self.fastenings)
        if not parts:
            return _EMPTY
        return b"%b%b</folded>" % (_OPENING, b"".join(parts))


_OPENING: Final = f'<folded xmlns="{ns.TIDINGS_ARCHIVE}">'.encode()
_EMPTY: Final = f'<folded xmlns="{ns.TIDINGS_ARCHIVE}"/>'.encode()
_PROGRESS: Final = frozenset(ProgressKind)


def _read_message(element: Element) -> FoldedMessage:
    message = element.find("message", ns.CLIENT)
    if message is None:
        raise StanzaError("bad-request", f"{element.name} holds a message")
    return FoldedMessage(
        read_id(element.get("id"), "id"), _stamp(element), _by(element), message.to_bytes(ns.CLIENT)
    )


def _stamp(element: Element) -> int:
    return read_date_time(element.get("stamp") or "", "stamp")


def _by(element: Element) -> Jid:
    return read_jid(element.get("by"), "by")


def _written_message(name: str, message: FoldedMessage) -> bytes:
    opening = f'<{name} id="{_safe(message.id)}"{_author(message.by, message.stamp)}>'
    return b"%b%b</%b>" % (opening.encode(), with_content_namespace(message.raw), name.encode())


def _author(by: Jid, stamp: int) -> str:
    return f' by="{by.xml.decode()}" stamp="{format_date_time(stamp)}"'


def _safe(text: str) -> str:
    return escape_attribute(check_characters(text))
