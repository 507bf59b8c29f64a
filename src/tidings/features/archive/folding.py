"""Folding: what has become of a message, from the entries that point at it (docs/specs/archive.md).

Pure: who may correct and retract was decided when the entries were stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.archive.stored import author_of
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived
from tidings.wire.xmpp.payloads.archive_fold import (
    Folded,
    FoldedMessage,
    FoldedProgress,
    FoldedReactions,
    FoldedRetraction,
    ProgressKind,
)
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.fastening import Fastening
from tidings.wire.xmpp.payloads.reactions import Reactions

_PROGRESS: Final = {
    EntryKind.RECEIPT: ProgressKind.RECEIVED,
    EntryKind.RECEIVED: ProgressKind.RECEIVED,
    EntryKind.DISPLAYED: ProgressKind.DISPLAYED,
    EntryKind.ACKNOWLEDGED: ProgressKind.ACKNOWLEDGED,
}


def fold(
    entry: Archived, archive: Jid, *, markers: Iterable[Archived] = (), retraction: Archived | None = None
) -> Folded:
    """Give what has become of an entry, which was read with its pointers.

    `markers` are the newest of its conversation: who has read a later message has read this one, too
    (XEP-0333 §4.2). Of a message that was taken back nothing but this is told, with the id of `retraction`.
    """
    if entry.retracted is not None:
        id_ = None if retraction is None else str(retraction.id)
        return Folded(retraction=FoldedRetraction(entry.retracted, id_))
    pointers = [each for each in entry.pointers if each.body is not None]
    corrections = [each for each in pointers if each.kind is EntryKind.CORRECTION]
    later = [each for each in markers if _covers(each, entry)]
    return Folded(
        correction=_message(corrections[-1], archive) if corrections else None,
        reactions=_reactions([each for each in pointers if each.kind is EntryKind.REACTIONS], archive),
        progress=_progress([*pointers, *sorted(later, key=lambda each: each.id.position)], archive),
        fastenings=_fastenings([each for each in pointers if each.kind is EntryKind.FASTENING], archive),
    )


def _message(pointer: Archived, archive: Jid) -> FoldedMessage:
    assert pointer.body is not None
    return FoldedMessage(str(pointer.id), pointer.time, author_of(pointer, archive), pointer.body)


def _reactions(pointers: Iterable[Archived], archive: Jid) -> tuple[FoldedReactions, ...]:
    """Give each person's newest reactions; the newest without any takes them back (XEP-0444 §3.2)."""
    newest: dict[Jid, FoldedReactions] = {}
    for pointer in pointers:
        assert pointer.body is not None
        element = kept(pointer.body).decode(*Reactions.TAG)
        try:
            reactions = Reactions.decode(element) if element is not None else None
        except StanzaError:
            continue
        if reactions is not None:
            by = author_of(pointer, archive)
            newest.pop(by, None)
            newest[by] = FoldedReactions(pointer.time, by, reactions.reactions)
    return tuple(each for each in newest.values() if each.reactions)


def _progress(pointers: Iterable[Archived], archive: Jid) -> tuple[FoldedProgress, ...]:
    """Give how far the message has come with each person, since when it is known."""
    first: dict[tuple[ProgressKind, Jid], FoldedProgress] = {}
    for pointer in pointers:
        kind = _PROGRESS.get(pointer.kind)
        if kind is not None:
            by = author_of(pointer, archive)
            first.setdefault((kind, by), FoldedProgress(kind, pointer.time, by))
    return tuple(first.values())


def _covers(marker: Archived, entry: Archived) -> bool:
    """Tell whether a marker says of this message, too, that it has come so far."""
    return (
        entry.kind is EntryKind.MESSAGE
        and marker.kind is not EntryKind.RECEIPT
        and marker.peer == entry.peer
        and marker.direction is not entry.direction
        and marker.target >= entry.id.position
    )


def _fastenings(pointers: Iterable[Archived], archive: Jid) -> tuple[FoldedMessage, ...]:
    """Give what is fastened: of one kind by one person the newest, unless it clears them (XEP-0422 §3).

    What is encrypted does not tell its kind, so each stands for itself.
    """
    newest: dict[tuple[Jid, object], FoldedMessage] = {}
    for pointer in pointers:
        assert pointer.body is not None
        element = kept(pointer.body).decode(*Fastening.TAG)
        try:
            fastening = Fastening.decode(element) if element is not None else None
        except StanzaError:
            continue
        if fastening is None:
            continue
        first = fastening.payloads[0] if fastening.payloads else None
        kind: object = pointer.id if first is None else (first.namespace, first.name)
        by = author_of(pointer, archive)
        newest.pop((by, kind), None)
        if not fastening.is_cleared:
            newest[by, kind] = _message(pointer, archive)
    return tuple(newest.values())


def conversations(entries: Iterable[Archived]) -> tuple[Jid, ...]:
    """Give the conversations whose markers a fold of these entries needs."""
    wanted = (entry.peer for entry in entries if entry.kind is EntryKind.MESSAGE)
    return tuple(dict.fromkeys(wanted))
