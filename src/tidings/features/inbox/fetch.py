"""Inbox: an account's conversations are listed, page by page, and its bin is emptied.

Implements `erlang-solutions.com:xmpp:inbox:0` of MongooseIM 6.8, and what docs/specs/inbox.md adds to it; the
marks § point at that page. The ledger writes the inbox in the commit of each message: this is its reading
side. Left out: `groupchat`, `aff_changes` and `remove_on_kicked`, which are for rooms.
"""

import asyncio
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.clock import microseconds
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.inbox.entries import fin_of
from tidings.features.inbox.options import InboxOptions
from tidings.features.inbox.pulling import note_pull
from tidings.features.inbox.results import ResultWriter
from tidings.features.inbox.selection import selection
from tidings.kernel.clock import Clock
from tidings.kernel.feature import Feature, Spec, handles, loads
from tidings.kernel.iq import Iq
from tidings.kernel.session import Session
from tidings.messages.entries import READING
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Inbox as Found
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.inbox import EmptyBin, InboxForm, InboxFormRequest, InboxQuery
from tidings.wire.xmpp.payloads.references import ReferenceKind

STRETCH: Final = 200
"""After so many entries a long answer lets others run."""

_READING: Final = {
    "received": ReferenceKind.RECEIVED,
    "displayed": ReferenceKind.DISPLAYED,
    "acknowledged": ReferenceKind.ACKNOWLEDGED,
}


class Fetch(msgspec.Struct, frozen=True):
    """A fetch, not decoded yet: only its host knows which boxes there are."""

    TAG: ClassVar[tuple[str, str]] = InboxQuery.TAG

    element: Element

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Take the request as it is."""
        return cls(element)


class Inbox(Feature):
    """Lists the conversations of an account."""

    spec = (
        Spec(ns.INBOX, version="MongooseIM 6.8", advertises=(ns.INBOX,), note="docs/specs/inbox.md"),
        Spec(ns.TIDINGS_INBOX, advertises=(ns.TIDINGS_INBOX,), note="docs/specs/inbox.md"),
    )
    Options = InboxOptions
    option_name = "inbox"
    serves_archives = True

    def __init__(self, ledger: Ledger, clock: Clock, options: InboxOptions) -> None:
        self._ledger = ledger
        self._clock = clock
        self._options = options
        self._reading = frozenset(_READING[marker] for marker in options.reset_markers)

    @loads(READING)
    async def load_reading(self, account: Jid) -> frozenset[ReferenceKind]:  # noqa: ARG002  # the same for all
        """Say which markers of an account's owner move its read pointers."""
        return self._reading

    @handles(InboxFormRequest, kind="get")  # §1.2
    def show_form(self, request: Iq[InboxFormRequest]) -> Element:  # noqa: ARG002  # the same for all
        """Answer with the form of a fetch."""
        return InboxForm.offered(self._options.boxes).encode()

    @handles(Fetch, kind="set")  # §1.3
    async def fetch(self, request: Iq[Fetch]) -> Element:
        """Send the entries, and answer with the end of the page."""
        query = InboxQuery.decode(request.payload.element, self._options.boxes)
        wanted = selection(query, self._options.max_result_limit or None)
        session = request.own_session
        await note_pull(session)
        found = await self._ledger.inbox(session.account.jid, wanted)
        await self._send(session, found, query.query_id or request.stanza.id)
        return fin_of(found).encode()

    @handles(EmptyBin, kind="set")  # §1.8
    async def empty_bin(self, request: Iq[EmptyBin]) -> Element:
        """Take what is in the bin out of the inbox; the messages stay in the archive."""
        owner, emptied = request.own_account.jid, 0
        while step := await self._ledger.empty_bin(owner):
            emptied += step
        return EmptyBin(emptied).encode()

    async def _send(self, session: Session, found: Found, query_id: str | None) -> None:
        writer = ResultWriter(
            query_id,
            owner=session.account.jid,
            to=session.jid,
            now=microseconds(self._clock.now()),
            mark=f"{token(6)}-",
        )
        for number, row in enumerate(found.rows, 1):
            writer.send(row, session)
            if number % STRETCH == 0:
                await asyncio.sleep(0)
