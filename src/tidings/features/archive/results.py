"""Results: archived messages as they are sent, written from their bytes without parsing them (XEP-0313 §4.2).

What was retracted is shown as a tombstone (XEP-0424 §4, and the forms of its older versions); so is a
correction of what was retracted, which would else still tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tidings.base.jid import Jid
from tidings.features.archive.stored import written_sender
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived, ArchivePage, EntryId
from tidings.wire.xmpp.payloads.archive import ArchiveQuery
from tidings.wire.xmpp.payloads.arrival import forwarded, kept
from tidings.wire.xmpp.payloads.forwarding import ResultMessages, query_attribute
from tidings.wire.xmpp.payloads.references import IdKind, ReferenceKind, reference_of
from tidings.wire.xmpp.payloads.retraction import RetractionForm, Tombstone
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId, origin_id_of
from tidings.wire.xmpp.stanza import Stanza

_FORMS: Final = {
    IdKind.MESSAGE: RetractionForm.BY_MESSAGE_ID,
    IdKind.ORIGIN: RetractionForm.BY_ORIGIN_ID,
    IdKind.ARCHIVE: RetractionForm.BY_STANZA_ID,
}


class Withdrawal(msgspec.Struct, frozen=True):
    """A message was taken back at `stamp` by the entry `by`; None where that is not known any more."""

    stamp: int
    by: Archived | None = None


class ArchiveResultWriter:
    """Writes the results of one query to one asker."""

    def __init__(self, query: ArchiveQuery, *, archive: Jid, to: Jid, mark: str) -> None:
        """Prepare what all results share; `mark` begins the ids of their messages."""
        namespace = query.namespace
        self._opening = b'<result xmlns="%b"%b id="' % (namespace.encode(), query_attribute(query.query_id))
        self._archive = archive
        self._messages = ResultMessages((namespace, "result"), to=to, sender=archive, mark=mark)

    def message(
        self, entry: Archived, body: bytes, folded: bytes = b""
    ) -> tuple[bytes, Callable[[], Stanza]]:
        """Give the message that brings one entry: written, and how it is made where somebody looks at it.

        `body` is the stanza that it shows.
        """
        id_ = str(entry.id)
        raw = b'%b%b">%b%b</result>' % (
            self._opening,
            id_.encode(),
            forwarded(body, self._archive, id_, entry.time, sender=written_sender(body)),
            folded,
        )
        return self._messages.around(raw)


def withdrawn_of(page: ArchivePage) -> tuple[EntryId, ...]:
    """Give the messages whose retraction has to be known before the page can be shown.

    These are the retracted ones on the page, and what the corrections on the page correct.
    """
    found: dict[EntryId, None] = {}
    for entry in page.entries:
        if entry.retracted is not None:
            found[entry.id] = None
        if entry.kind is EntryKind.CORRECTION and page.head.first <= entry.target <= page.head.position:
            found[EntryId(page.head.epoch_at(entry.target), entry.target)] = None
    return tuple(found)


def withdrawal_of(entry: Archived) -> Withdrawal | None:
    """Tell who took a message back, from an entry that was read with its pointers."""
    if entry.retracted is None:
        return None
    by = next((each for each in reversed(entry.pointers) if each.kind is EntryKind.RETRACTION), None)
    return Withdrawal(entry.retracted, by)


def shown_body(entry: Archived, withdrawals: Mapping[int, Withdrawal], archive: Jid) -> bytes:
    """Give what is shown of an entry: its stanza, or what stands in its place (XEP-0424 §4).

    `withdrawals` are those of the page by position.
    """
    assert entry.body is not None  # erased entries are on no page
    withdrawal = withdrawal_for(entry, withdrawals)
    return entry.body if withdrawal is None else tombstone(entry.body, entry.id, withdrawal, archive)


def withdrawal_for(entry: Archived, withdrawals: Mapping[int, Withdrawal]) -> Withdrawal | None:
    """Give what took an entry back, or took back what the entry corrects; None where nothing did."""
    withdrawal = withdrawals.get(entry.id.position)
    if withdrawal is None and entry.kind is EntryKind.CORRECTION:
        return withdrawals.get(entry.target)
    return withdrawal


def tombstone(body: bytes, entry: EntryId, withdrawal: Withdrawal, archive: Jid) -> bytes:
    """Give the stanza that stands in place of one that was taken back: its root around `<retracted/>`."""
    message = kept(body)
    retraction = None if withdrawal.by is None or withdrawal.by.body is None else kept(withdrawal.by.body)
    reference = None if retraction is None else reference_of(retraction)
    form = RetractionForm.BY_MESSAGE_ID
    if reference is not None and reference.kind is ReferenceKind.RETRACTION and message.kind != "groupchat":
        form = _FORMS[reference.names]
    is_by_message_id = form is RetractionForm.BY_MESSAGE_ID
    stone = Tombstone(
        stamp=withdrawal.stamp,
        form=form,
        id=retraction.id if is_by_message_id and retraction is not None else None,
        origin_id=None if is_by_message_id else origin_id_of(message),
        stanza_id=StanzaId(str(entry), archive) if form is RetractionForm.BY_STANZA_ID else None,
    )
    return Stanza.build(
        "message",
        kind=message.kind,
        to=message.to,
        sender=message.sender,
        id=message.id,
        content=(stone.encode(),),
    ).to_bytes()
