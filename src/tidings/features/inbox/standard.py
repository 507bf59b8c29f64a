"""Standard inbox: an account's conversations are listed as the XSF's own document has it.

Implements XEP-0430 0.2.0; the marks § point at its sections. What is unread is counted by the ledger (§4):
the markers displayed and acknowledged move the read pointer of the one who sends them. It is the same inbox
as MongooseIM's, without what lies in the bin.
"""

import asyncio
from typing import Final

from tidings.base.ids import token
from tidings.features.inbox.entries import archive_result_of
from tidings.features.inbox.options import InboxOptions
from tidings.features.inbox.pulling import note_pull
from tidings.features.inbox.selection import page_of, standard_selection
from tidings.kernel.feature import Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.kernel.session import Session
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Inbox as Found
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.standard_inbox import (
    StandardInboxEntry,
    StandardInboxFin,
    StandardInboxQuery,
)

STRETCH: Final = 200
"""After so many entries a long answer lets others run."""


class StandardInbox(Feature):
    """Lists the conversations of an account, the last activity first."""

    spec = Spec.xep(430, version="0.2.0", advertises=(ns.INBOX1,))  # §2.1
    Options = InboxOptions
    option_name = "inbox"
    serves_archives = True

    def __init__(self, ledger: Ledger, options: InboxOptions) -> None:
        self._ledger = ledger
        self._limit = options.max_result_limit or None

    @handles(StandardInboxQuery, kind="get")  # §3.1
    async def fetch(self, request: Iq[StandardInboxQuery]) -> Element:
        """Send the entries, and answer with the end of the page and the counts of the whole inbox."""
        query, session = request.payload, request.own_session
        wanted = standard_selection(query, self._limit)
        await note_pull(session)
        found = await self._ledger.inbox(session.account.jid, wanted)
        await self._send(session, found, query, request.stanza.id)
        count = found.unread_conversations if query.unread_only else found.conversations
        page = page_of(found.rows, count)
        return StandardInboxFin(found.conversations, found.unread_conversations, found.unread, page).encode()

    async def _send(
        self, session: Session, found: Found, query: StandardInboxQuery, request_id: str | None
    ) -> None:
        owner, prefix = session.account.jid, token(6)
        for number, row in enumerate(found.rows, 1):
            entry = StandardInboxEntry(row.peer, row.unread, None if row.last is None else str(row.last.id))
            result = archive_result_of(row, owner, request_id) if query.with_messages else None
            message = entry.message(to=session.jid, account=owner, result=result, id=f"{prefix}-{number}")
            session.send(message)
            if number % STRETCH == 0:
                await asyncio.sleep(0)
