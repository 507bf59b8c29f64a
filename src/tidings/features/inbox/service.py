"""Inbox: an account's conversations are listed, page by page, and its bin is emptied.

`Inbox` implements `erlang-solutions.com:xmpp:inbox:0` of MongooseIM 6.8, and what docs/specs/inbox.md adds to
it; there the marks § point at that page. `StandardInbox` lists the same conversations, without what lies in
the bin, as XEP-0430 0.2.0 has it. The ledger writes the inbox in the commit of each message: this is its
reading side. Rooms are in the inbox of every member who has entered them, under the address by which he knows
them. Left out are the options `groupchat`, `aff_changes` and `remove_on_kicked`: rooms are always there, from
joining to leaving.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.clock import SECOND, microseconds
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.inbox.results import ResultWriter, archive_result_of, fin_of
from tidings.features.inbox.selection import page_of, selection, standard_selection
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.feature import Feature, Spec, handles, loads
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import Pacing
from tidings.kernel.pulling import pulled
from tidings.kernel.slots import Slot
from tidings.kernel.turns import Turns
from tidings.messages.entries import READING
from tidings.messages.known_as import KnownAs
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import InboxPage, InboxQuery, InboxRow
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.boxes import BIN
from tidings.wire.xmpp.payloads.inbox import EmptyBin, FetchInbox, InboxForm, InboxFormRequest
from tidings.wire.xmpp.payloads.references import ReferenceKind
from tidings.wire.xmpp.payloads.standard_inbox import (
    StandardInboxEntry,
    StandardInboxFin,
    StandardInboxQuery,
)

STEP_OCTETS: Final = 1_048_576
"""So large are the last messages that are read together: a long answer is never in memory as a whole."""

STEP_ROWS: Final = 1_000
"""So many conversations are read together."""

HAS_ASKED: Final[Slot[bool]] = Slot("inbox.has_asked", default=False)
"""Whether a session has asked for anything of the inbox, so that it hears of every change."""

_READING: Final = {
    "received": ReferenceKind.RECEIVED,
    "displayed": ReferenceKind.DISPLAYED,
    "acknowledged": ReferenceKind.ACKNOWLEDGED,
}
_DAY: Final = 86_400 * SECOND

BoxName = Annotated[str, Meta(pattern=r"^(?!(?:all|inbox|archive|bin)$)\S{1,16}$")]
"""A box that the server adds to those that every account has."""

ReadingMarker = Literal["received", "displayed", "acknowledged"]


class InboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes, limits and the bin."""

    boxes: Annotated[
        tuple[BoxName, ...],
        Meta(
            description="Boxes besides `inbox`, `archive` and `bin`: names of up to 16 characters without "
            "spaces."
        ),
    ] = ()
    reset_markers: Annotated[
        tuple[ReadingMarker, ...],
        Meta(description="Which markers of XEP-0333 that a user sends say that the conversation is read."),
    ] = ("displayed", "acknowledged")
    max_result_limit: Annotated[
        int, Meta(description="Conversations in one answer at most; 0 is no limit.", ge=0)
    ] = 0
    bin_ttl_days: Annotated[
        int, Meta(description="Days after which a conversation in the bin leaves the inbox.", ge=0)
    ] = 30
    bin_clean_hours: Annotated[
        int, Meta(description="Hours between two rounds that empty the bins.", ge=1)
    ] = 1


class Inbox(Feature):
    """Lists the conversations of an account."""

    spec = (
        Spec(ns.INBOX, version="MongooseIM 6.8", advertises=(ns.INBOX,), note="docs/specs/inbox.md"),
        Spec(ns.TIDINGS_INBOX, advertises=(ns.TIDINGS_INBOX,), note="docs/specs/inbox.md"),
    )
    Options = InboxOptions
    fixed_options = ("reset_markers",)  # accounts in memory have it
    option_name = "inbox"
    serves_archives = True

    def __init__(
        self, ledger: Ledger, router: Router, clock: Clock, pacing: Pacing, options: Current[InboxOptions]
    ) -> None:
        self._ledger = ledger
        self._known = KnownAs(router.hosts)
        self._pacing = pacing
        self._clock = clock
        self._options = options
        self._reading = frozenset(_READING[marker] for marker in options.now.reset_markers)

    @loads(READING)
    async def load_reading(self, account: Jid) -> frozenset[ReferenceKind]:  # noqa: ARG002  # the same for all
        """Say which markers of an account's owner move its read pointers."""
        return self._reading

    @handles(InboxFormRequest, kind="get")  # §1.2
    def show_form(self, request: Iq[InboxFormRequest]) -> Element:  # noqa: ARG002  # the same for all
        """Answer with the form of a fetch."""
        return InboxForm.offered(self._options.now.boxes).encode()

    @handles(FetchInbox, kind="set")  # §1.3
    async def fetch(self, request: Iq[FetchInbox]) -> Element:
        """Send the entries, and answer with the end of the page."""
        query, session = request.payload, request.own_session
        query.check_box(self._options.now.boxes)
        wanted = selection(query, self._options.now.max_result_limit or None)
        session[HAS_ASKED] = True
        await pulled(session)
        owner = session.account.jid
        found = await self._ledger.inbox(owner, _bounded(wanted))
        writer = ResultWriter(
            query.query_id or request.stanza.id,
            owner=owner,
            to=session.jid,
            now=microseconds(self._clock.now()),
            mark=f"{token(6)}-",
        )
        async for rows in _with_last(self._ledger, found):
            shown = self._known.rows(rows)
            await self._pacing.send(session, (Outgoing.of_written(*writer.message(row)) for row in shown))
        return fin_of(found).encode()

    @handles(EmptyBin, kind="set")  # §1.8
    async def empty_bin(self, request: Iq[EmptyBin]) -> Element:
        """Take what is in the bin out of the inbox; the messages stay in the archive."""
        return EmptyBin(await empty(self._ledger, request.own_account.jid)).encode()


class StandardInbox(Feature):
    """Lists the conversations of an account, the last activity first, as XEP-0430 has it.

    The marks § point at its sections. What is unread is counted by the ledger (§4): the markers displayed and
    acknowledged move the read pointer of the one who sends them.
    """

    spec = Spec.xep(430, version="0.2.0", advertises=(ns.INBOX1,))  # §2.1
    Options = InboxOptions
    option_name = "inbox"
    serves_archives = True

    def __init__(
        self, ledger: Ledger, router: Router, pacing: Pacing, options: Current[InboxOptions]
    ) -> None:
        self._ledger = ledger
        self._known = KnownAs(router.hosts)
        self._pacing = pacing
        self._options = options

    @handles(StandardInboxQuery, kind="get")  # §3.1
    async def fetch(self, request: Iq[StandardInboxQuery]) -> Element:
        """Send the entries, and answer with the end of the page and the counts of the whole inbox."""
        query, session = request.payload, request.own_session
        wanted = standard_selection(query, self._options.now.max_result_limit or None)
        session[HAS_ASKED] = True
        await pulled(session)
        owner, mark, numbers = session.account.jid, f"{token(6)}-", itertools.count(1)
        found = await self._ledger.inbox(owner, _bounded(wanted))

        def shown(row: InboxRow) -> Outgoing:
            entry = StandardInboxEntry(
                row.shown_peer, row.unread, None if row.last is None else str(row.last.id)
            )
            result = archive_result_of(row, owner, request.stanza.id) if query.with_messages else None
            id_ = f"{mark}{next(numbers)}"
            return Outgoing(entry.message(to=session.jid, account=owner, result=result, id=id_))

        async for rows in _with_last(self._ledger, found):
            await self._pacing.send(session, map(shown, self._known.rows(rows)))
        count = found.unread_conversations if query.unread_only else found.conversations
        page = page_of(found.rows, count)
        return StandardInboxFin(found.conversations, found.unread_conversations, found.unread, page).encode()


class BinCleaning(Feature):
    """Empties the bins of a domain's accounts now and then, one account after another.

    A conversation leaves the inbox when it has been in the bin for long enough; the time counts from the move
    into the bin (§1.9), and the messages stay in the archive.
    """

    Options = InboxOptions
    option_name = "inbox"
    serves_archives = True

    def __init__(
        self, host: Host, ledger: Ledger, clock: Clock, turns: Turns, options: Current[InboxOptions]
    ) -> None:
        self._host = host
        self._ledger = ledger
        self._clock = clock
        self._options = options
        self._rounds = turns.join("bin cleaning", self._clean)

    async def start(self) -> None:
        """Begin; the first round is one interval from now."""
        self._rounds.begin(self._options.now.bin_clean_hours * 3_600)

    async def stop(self) -> None:
        """Begin no further round."""
        self._rounds.stop()

    async def _clean(self) -> float:
        """Go once through all archives of the domain, and tell when to do so again."""
        before = microseconds(self._clock.now()) - self._options.now.bin_ttl_days * _DAY
        after = ""
        while owners := await self._ledger.archives(self._host.domain, after):
            for owner in owners:
                # Looking costs less than a transaction: most bins are empty.
                found = await self._ledger.inbox(owner, InboxQuery(boxes=(BIN,), limit=1, octets=0))
                if found.rows and await self._host.kind.exists(owner):  # whose bin else?
                    await empty(self._ledger, owner, before)
            after = owners[-1]
        return self._options.now.bin_clean_hours * 3_600


async def empty(ledger: Ledger, owner: Jid, before: int | None = None) -> int:
    """Take what is in a bin out of the inbox, or what came there before a time; tell how much that was."""
    emptied = 0
    while step := await ledger.empty_bin(owner, before=before):
        emptied += step
    return emptied


def _bounded(wanted: InboxQuery) -> InboxQuery:
    return msgspec.structs.replace(wanted, octets=STEP_OCTETS)


async def _with_last(ledger: Ledger, found: InboxPage) -> AsyncIterator[Sequence[InboxRow]]:
    """Give the rows with their last messages, as many at a time as may be in memory together."""
    given = found.with_last
    yield found.rows[:given]
    while rest := found.rows[given : given + STEP_ROWS]:
        rows = await ledger.last_messages(rest, STEP_OCTETS)
        given += len(rows)
        yield rows
