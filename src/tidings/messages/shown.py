"""Shown: what is shown of a stored message; what its author took back is nowhere.

Every view of stored messages asks here. That an entry was retracted, or is a correction of what was, the
ledger tells (`Archived.retracted`), so that no view can forget a way in which it may have happened.
"""

from __future__ import annotations

from typing import Final

from tidings.base.jid import Jid
from tidings.ports.ledger.reading import Archived
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.references import IdKind, ReferenceKind, reference_of
from tidings.wire.xmpp.payloads.retraction import Retraction, RetractionForm, Tombstone
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId, origin_id_of
from tidings.wire.xmpp.stanza import Stanza

_FORMS: Final = {
    IdKind.MESSAGE: RetractionForm.BY_MESSAGE_ID,
    IdKind.ORIGIN: RetractionForm.BY_ORIGIN_ID,
    IdKind.ARCHIVE: RetractionForm.BY_STANZA_ID,
}


def shown_body(entry: Archived, archive: Jid, retraction: Archived | None = None) -> bytes | None:
    """Give the stanza that is shown of an entry of an archive; None where it has been erased.

    What was taken back is a tombstone, its root around `<retracted/>` (XEP-0424 §4). `retraction` is what
    took it back, where that has been read; the tombstone has its form, one of the older ones perhaps, and
    its id.
    """
    if entry.retracted is None or entry.body is None:
        return entry.body
    message = kept(entry.body)
    by = None if retraction is None or retraction.body is None else kept(retraction.body)
    reference = None if by is None else reference_of(by)
    form = RetractionForm.BY_MESSAGE_ID
    if reference is not None and reference.kind is ReferenceKind.RETRACTION and message.kind != "groupchat":
        form = _FORMS[reference.names]
    is_by_message_id = form is RetractionForm.BY_MESSAGE_ID
    stone = Tombstone(
        stamp=entry.retracted,
        form=form,
        id=by.id if is_by_message_id and by is not None else None,
        origin_id=None if is_by_message_id else origin_id_of(message),
        stanza_id=StanzaId(str(entry.id), archive) if form is RetractionForm.BY_STANZA_ID else None,
    )
    element = stone.encode()
    if by is not None and retraction is not None:
        for said in _said_by_room(by, retraction, archive):
            element.append(said)
    author = message.child(ns.OCCUPANT_ID, "occupant-id")  # a room's word, which tells who it was
    return Stanza.build(
        "message",
        kind=message.kind,
        to=message.to,
        sender=message.sender,
        id=message.id,
        content=(element,) if author is None else (element, author.raw),
    ).to_bytes()


def _said_by_room(by: Stanza, retraction: Archived, archive: Jid) -> tuple[Element, ...]:
    """Give what a room says of a retraction of its own: who has moderated, and why (XEP-0425 §4).

    What an author says there of himself is not the room's word, and goes with his message.
    """
    if retraction.peer != archive or retraction.sender not in (None, archive):
        return ()
    element = by.decode(*Retraction.TAG)
    return () if element is None else tuple(element.children)
