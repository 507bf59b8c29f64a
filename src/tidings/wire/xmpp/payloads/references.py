"""What does this message refer to? One answer for corrections, retractions, reactions, markers and receipts.

An archive keeps such a message as an entry that points at an earlier one. Whoever is allowed to point there
is for the archive to say; here is only what the message claims. Left out: replies (XEP-0461), which are
messages of their own and are counted as such.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.correction import Correction
from tidings.wire.xmpp.payloads.fastening import Fastening
from tidings.wire.xmpp.payloads.markers import Marker, MarkerKind
from tidings.wire.xmpp.payloads.reactions import Reactions
from tidings.wire.xmpp.payloads.receipts import Receipt
from tidings.wire.xmpp.payloads.retraction import FASTENED, Retraction, RetractionForm
from tidings.wire.xmpp.stanza import Child, Stanza


class ReferenceKind(enum.Enum):
    """What the message does to the earlier one."""

    RETRACTION = enum.auto()
    FASTENING = enum.auto()
    CORRECTION = enum.auto()
    REACTIONS = enum.auto()
    DISPLAYED = enum.auto()
    ACKNOWLEDGED = enum.auto()
    RECEIPT = enum.auto()
    RECEIVED = enum.auto()


class IdKind(enum.Enum):
    """Which of a message's ids a reference means."""

    MESSAGE = enum.auto()
    """The `id` attribute of the stanza."""
    ORIGIN = enum.auto()
    """The author's origin-id (XEP-0359)."""
    ARCHIVE = enum.auto()
    """The id under which the room or the account has archived it (XEP-0359 stanza-id)."""


class Reference(msgspec.Struct, frozen=True):
    """The earlier message, by one of its ids, and what is done to it."""

    kind: ReferenceKind
    target: str
    names: IdKind = IdKind.MESSAGE


def reference_of(message: Stanza) -> Reference | None:
    """Return what the message refers to, or None; what is broken refers to nothing.

    Of several references the first in the order of `ReferenceKind` counts. An error refers to nothing.
    """
    if message.kind == "error":
        return None
    for child in sorted(filter(_is_reference, message.children), key=_rank):
        try:
            reference = _READERS[child.namespace, child.name](decode(child.raw, ns.CLIENT))
        except StanzaError:
            continue
        if message.kind == "groupchat" and reference.names is IdKind.MESSAGE:
            names = _IN_ROOMS.get(reference.kind, IdKind.MESSAGE)
            return Reference(reference.kind, reference.target, names)
        return reference
    return None


def _is_reference(child: Child) -> bool:
    return (child.namespace, child.name) in _READERS


def _rank(child: Child) -> int:
    return _RANKS[child.namespace, child.name]


def _read_retraction(element: Element) -> Reference:
    retraction = Retraction.decode(element)
    return Reference(ReferenceKind.RETRACTION, retraction.id, _RETRACTED[retraction.form])


def _read_fastening(element: Element) -> Reference:
    if any(element.find("retract", form.value) is not None for form in FASTENED):
        return _read_retraction(element)
    return Reference(ReferenceKind.FASTENING, Fastening.decode(element).id, IdKind.ORIGIN)


def _read_correction(element: Element) -> Reference:
    return Reference(ReferenceKind.CORRECTION, Correction.decode(element).id)


def _read_reactions(element: Element) -> Reference:
    return Reference(ReferenceKind.REACTIONS, Reactions.decode(element).id)


def _read_marker(element: Element) -> Reference:
    marker = Marker.decode(element)
    return Reference(_MARKERS[marker.kind], marker.id)


def _read_receipt(element: Element) -> Reference:
    return Reference(ReferenceKind.RECEIPT, Receipt.decode(element).id)


_RETRACTED: Final[Mapping[RetractionForm, IdKind]] = {
    RetractionForm.BY_MESSAGE_ID: IdKind.MESSAGE,
    RetractionForm.BY_ORIGIN_ID: IdKind.ORIGIN,
    RetractionForm.BY_STANZA_ID: IdKind.ARCHIVE,
}
_MARKERS: Final[Mapping[MarkerKind, ReferenceKind]] = {
    MarkerKind.DISPLAYED: ReferenceKind.DISPLAYED,
    MarkerKind.ACKNOWLEDGED: ReferenceKind.ACKNOWLEDGED,
    MarkerKind.RECEIVED: ReferenceKind.RECEIVED,
}
_IN_ROOMS: Final[Mapping[ReferenceKind, IdKind]] = {  # there, the id is the room's
    ReferenceKind.RETRACTION: IdKind.ARCHIVE,  # XEP-0424 §5.1
    ReferenceKind.REACTIONS: IdKind.ARCHIVE,  # XEP-0444 §3.1
    ReferenceKind.DISPLAYED: IdKind.ARCHIVE,  # XEP-0333 §4.3
    ReferenceKind.ACKNOWLEDGED: IdKind.ARCHIVE,
    ReferenceKind.RECEIVED: IdKind.ARCHIVE,
}
_READERS: Final[Mapping[tuple[str, str], Callable[[Element], Reference]]] = {
    Retraction.TAG: _read_retraction,
    Fastening.TAG: _read_fastening,
    Correction.TAG: _read_correction,
    Reactions.TAG: _read_reactions,
    (ns.MARKERS, MarkerKind.DISPLAYED.value): _read_marker,
    (ns.MARKERS, MarkerKind.ACKNOWLEDGED.value): _read_marker,
    Receipt.TAG: _read_receipt,
    (ns.MARKERS, MarkerKind.RECEIVED.value): _read_marker,
}
_RANKS: Final = {tag: rank for rank, tag in enumerate(_READERS)}
TAGS: Final = frozenset(_READERS)
"""The children by which a message refers to another."""
