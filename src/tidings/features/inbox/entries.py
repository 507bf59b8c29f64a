"""Entries: how a conversation of the ledger is shown. Pure.

The last message is what somebody wrote last to be read; what was corrected later is shown beside it, what was
retracted or erased is shown without its content.
"""

from collections.abc import Iterable

from tidings.base.jid import Jid
from tidings.features.inbox.selection import page_of
from tidings.ports.ledger.reading import Archived, Inbox, InboxRow
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveResult
from tidings.wire.xmpp.payloads.arrival import kept, with_archive_id
from tidings.wire.xmpp.payloads.boxes import Standing
from tidings.wire.xmpp.payloads.conversation import Conversation, ConversationUpdate
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.inbox import InboxFin, InboxResult, InboxTotals
from tidings.wire.xmpp.payloads.inbox_state import ConversationState, Corrected
from tidings.wire.xmpp.payloads.retraction import Tombstone
from tidings.wire.xmpp.stanza import Stanza


def standing_of(row: InboxRow, now: int) -> Standing:
    """Tell how a conversation stands at a time; a mute that is over is none."""
    return Standing(row.unread == 0, row.box, row.muted_until if row.muted_until > now else 0)


def state_of(row: InboxRow) -> ConversationState:
    """Tell what Tidings adds to that."""
    return ConversationState(row.unread, row.pinned)


def result_of(row: InboxRow, owner: Jid, query_id: str | None, now: int) -> InboxResult:
    """Give the entry of a fetch (§1.5)."""
    others: tuple[Element, ...] = ()
    if row.pinned:
        others = (state_of(row).encode(),)
    if row.last is not None and row.last.pointers and row.last.retracted is None:
        others = (*others, *_corrections(row.last, row.source))
    standing = standing_of(row, now)
    return InboxResult(
        row.unread, last_message(row, owner), query_id, standing.box, standing.muted_until, others
    )


def fin_of(found: Inbox) -> InboxFin:
    """Give the end of a fetch: the counts of its page, and those of the account."""
    unread = [row.unread for row in found.rows if row.unread]
    return InboxFin(
        page_of(found.rows),
        len(unread),
        len(found.rows),
        sum(unread),
        InboxTotals(found.unread, found.unread_conversations),
    )


def update_of(row: InboxRow, query_id: str | None, now: int) -> Element:
    """Give `<x/>`, which tells devices how the conversation stands now (§1.7)."""
    element = ConversationUpdate(row.peer, standing_of(row, now), query_id).encode()
    element.append(state_of(row).encode())
    return element


def properties_of(row: InboxRow, owner: Jid, now: int, *, is_complete: bool) -> Element:
    """Give the answer to a question about one conversation (§1.6)."""
    forwarded = last_message(row, owner) if is_complete else None
    raw = Conversation(row.peer, standing_of(row, now), forwarded).to_bytes()
    element = decode(raw, ns.CLIENT)
    element.append(state_of(row).encode())
    return element


def last_message(row: InboxRow, owner: Jid) -> Forwarded:
    """Give the last message of a conversation with its id in the archive that holds it."""
    delay = Delay(row.time)
    last = row.last
    if last is None or last.body is None:  # erased: there was something, and nobody is to know what
        return Forwarded(Stanza.build("message", to=owner, sender=row.peer).to_bytes(), delay)
    body = last.body if last.retracted is None else _without_content(last.body, last.retracted)
    return Forwarded(with_archive_id(body, row.source, str(last.id)), delay)


def archive_result_of(row: InboxRow, owner: Jid, query_id: str | None) -> ArchiveResult | None:
    """Give the last message as the archive gives it (XEP-0430 §3.1); None where there is none any more."""
    if row.last is None:
        return None
    return ArchiveResult(str(row.last.id), last_message(row, owner), query_id)


def _corrections(last: Archived, source: Jid) -> Iterable[Element]:
    for correction in last.pointers[-1:]:
        if correction.body is not None:
            body = with_archive_id(correction.body, source, str(correction.id))
            raw = Corrected(Forwarded(body, Delay(correction.time))).to_bytes()
            yield decode(raw, ns.CLIENT)


def _without_content(body: bytes, retracted: int) -> bytes:
    """Leave of a retracted message who wrote it to whom, and that it was retracted (XEP-0424 §4)."""
    message = kept(body).replace(drop=lambda _namespace, _name: True)
    return message.replace(append=(Tombstone(retracted).encode(),)).to_bytes()
