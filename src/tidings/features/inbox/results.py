"""Results: the entries of a fetch as they are sent, written from their bytes without parsing them (§1.5).

The marks § point at docs/specs/inbox.md.
"""

from typing import Final

from tidings.base.jid import Jid
from tidings.features.inbox.entries import correction_of, shown_message, standing_of, state_of
from tidings.kernel.session import Session
from tidings.ports.ledger.reading import InboxRow
from tidings.wire.xml.writer import check_characters, escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.forwarding import carry
from tidings.wire.xmpp.payloads.inbox import InboxResult

_OPENING: Final = f'<result xmlns="{ns.INBOX}" unread="'.encode()


class ResultWriter:
    """Writes the entries of one fetch to one device, one after another."""

    def __init__(self, query_id: str | None, *, owner: Jid, to: Jid, now: int, mark: str) -> None:
        """Prepare what all entries share; `mark` begins the ids of their messages."""
        query = "" if query_id is None else f' queryid="{escape_attribute(query_id)}"'
        self._query = check_characters(query).encode()
        self._owner = owner
        self._to = to
        self._now = now
        self._mark = mark
        self._number = 0
        self._root = f'<message from="{owner.xml}" to="{to.xml}" id="{mark}'.encode()

    def send(self, row: InboxRow, session: Session) -> None:
        """Send one entry; a message for it is made only where the session wants to look at it."""
        self._number += 1
        id_ = f"{self._mark}{self._number}"
        result = self.result(row)
        session.send_written(
            b'%b%d">%b</message>' % (self._root, self._number, result),
            lambda: carry(InboxResult.TAG, result, to=self._to, sender=self._owner, id=id_),
        )

    def result(self, row: InboxRow) -> bytes:
        """Write `<result/>`, for any default namespace."""
        return b'%b%d"%b>%b%b%b</result>' % (
            _OPENING,
            row.unread,
            self._query,
            shown_message(row, self._owner),
            standing_of(row, self._now).to_bytes(ns.INBOX),
            _additions(row),
        )


def _additions(row: InboxRow) -> bytes:
    """Write what Tidings adds: the place of a pinned conversation (§3), the newest correction (§5)."""
    pinned = state_of(row).encode().to_bytes(ns.INBOX) if row.pinned else b""
    return pinned + correction_of(row)
