"""Results: how the conversations of the ledger are shown, and written as they are sent. Pure.

The last message is what somebody wrote last to be read; what was corrected later is shown beside it, what was
retracted or erased is shown without its content. Entries of a fetch are written from their bytes without
parsing them. The marks § point at docs/specs/inbox.md.
"""

from collections.abc import Callable
from typing import Final

from tidings.base.jid import Jid
from tidings.features.inbox.selection import page_of
from tidings.messages.shown import shown_body
from tidings.ports.ledger.reading import InboxPage, InboxRow
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveResult
from tidings.wire.xmpp.payloads.arrival import forwarded, with_archive_id
from tidings.wire.xmpp.payloads.boxes import Standing
from tidings.wire.xmpp.payloads.conversation import Conversation, ConversationUpdate
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded, ResultMessages, query_attribute
from tidings.wire.xmpp.payloads.inbox import InboxFin, InboxResult, InboxTotals
from tidings.wire.xmpp.payloads.inbox_state import ConversationState, Corrected
from tidings.wire.xmpp.stanza import Stanza

_OPENING: Final = f'<result xmlns="{ns.INBOX}" unread="'.encode()


class ResultWriter:
    """Writes the entries of one fetch to one device, one after another (§1.5)."""

    def __init__(self, query_id: str | None, *, owner: Jid, to: Jid, now: int, mark: str) -> None:
        """Prepare what all entries share; `mark` begins the ids of their messages."""
        self._query = query_attribute(query_id)
        self._owner = owner
        self._now = now
        self._messages = ResultMessages(InboxResult.TAG, to=to, sender=owner, mark=mark)

    def message(self, row: InboxRow) -> tuple[bytes, Callable[[], Stanza]]:
        """Give the message that brings one entry: written, and how it is made where somebody looks at it."""
        return self._messages.around(self.result(row))

    def result(self, row: InboxRow) -> bytes:
        """Write `<result/>`, for any default namespace."""
        pinned = state_of(row).encode().to_bytes(ns.INBOX) if row.pinned or row.mentions else b""  # §3
        return b'%b%d"%b>%b%b%b%b</result>' % (
            _OPENING,
            row.unread,
            self._query,
            shown_message(row, self._owner),
            standing_of(row, self._now).to_bytes(ns.INBOX),
            pinned,
            correction_of(row),
        )


def standing_of(row: InboxRow, now: int) -> Standing:
    """Tell how a conversation stands at a time; a mute that is over is none."""
    return Standing(row.unread == 0, row.box, row.muted_until if row.muted_until > now else 0)


def state_of(row: InboxRow) -> ConversationState:
    """Tell what Tidings adds to that."""
    return ConversationState(row.unread, row.pinned, row.mentions)


def fin_of(found: InboxPage) -> InboxFin:
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
    element = ConversationUpdate(row.shown_peer, standing_of(row, now), query_id).encode()
    element.append(state_of(row).encode())
    return element


def properties_of(row: InboxRow, owner: Jid, now: int, *, is_complete: bool) -> Element:
    """Give the answer to a question about one conversation (§1.6)."""
    forwarded = last_message(row, owner) if is_complete else None
    raw = Conversation(row.shown_peer, standing_of(row, now), forwarded).to_bytes()
    element = decode(raw, ns.CLIENT)
    element.append(state_of(row).encode())
    return element


def last_message(row: InboxRow, owner: Jid) -> Forwarded:
    """Give the last message of a conversation with its id in the archive that holds it."""
    delay, last, body = Delay(row.time), row.last, _last_body(row)
    if last is None or body is None:
        return Forwarded(_erased(row, owner), delay)
    return Forwarded(with_archive_id(body, row.shown_source, str(last.id)), delay)


def shown_message(row: InboxRow, owner: Jid) -> bytes:
    """Write that as `<forwarded/>`, for any default namespace."""
    last, body = row.last, _last_body(row)
    if last is None or body is None:
        return Forwarded(_erased(row, owner), Delay(row.time)).to_bytes()
    return forwarded(body, row.shown_source, str(last.id), row.time)


def correction_of(row: InboxRow) -> bytes:
    """Write the newest correction of the last message (§5), if there is one to show."""
    last = row.last
    if last is None or last.retracted is not None:
        return b""
    correction = last.pointers[-1] if last.pointers else None
    if correction is None or correction.body is None:
        return b""
    return Corrected.around(forwarded(correction.body, row.shown_source, str(correction.id), correction.time))


def archive_result_of(row: InboxRow, owner: Jid, query_id: str | None) -> ArchiveResult | None:
    """Give the last message as the archive gives it (XEP-0430 §3.1); None where there is none any more."""
    if row.last is None:
        return None
    return ArchiveResult(str(row.last.id), last_message(row, owner), query_id)


def _erased(row: InboxRow, owner: Jid) -> bytes:
    """Give what stands in place of a message that was erased: there was something, nobody is to know what."""
    return Stanza.build("message", to=owner, sender=row.shown_peer).to_bytes()


def _last_body(row: InboxRow) -> bytes | None:
    return None if row.last is None else shown_body(row.last, row.source)
