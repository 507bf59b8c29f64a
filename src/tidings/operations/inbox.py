"""Operations on inboxes: an account's conversations, reading one for its owner, and emptying the bin."""

from __future__ import annotations

import contextlib
import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.clock import SECOND, microseconds
from tidings.base.jid import Jid, JidError
from tidings.features.inbox import Conversations, empty
from tidings.kernel.account import account_of
from tidings.messages.known_as import KnownAs
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.stored_archive import archive_of
from tidings.operations.values import AccountAddress, Address, Moment, Page, exact_moment_of
from tidings.ports.ledger.batch import InboxChange, LedgerBatch
from tidings.ports.ledger.reading import InboxQuery, InboxRow
from tidings.wire.xmpp.payloads.boxes import BIN

MOST: Final = 1_000
"""The most conversations that one page lists."""

_TIME: Final = re.compile("[0-9]{1,18}")
"""Microseconds as databases can hold them."""
_DAY: Final = 86_400 * SECOND

User = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]
Which = Literal["kept", "bin", "all"]


class ListConversations(msgspec.Struct, frozen=True, kw_only=True):
    """Whose conversations, and which."""

    user: User
    which: Annotated[Which, Meta(description="All but those in the bin, those in the bin alone, or all.")] = (
        "kept"
    )
    unread: Annotated[bool, Meta(description="Conversations with unread messages alone.")] = False
    after: Annotated[
        str | None, Meta(description="Begin behind this conversation: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="The most conversations to list.")] = 100


class ListedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation stands; `time` is that of its last message. Nothing of its content is told.

    `mentions` are the unread messages of a room that mention the owner, or everybody.
    """

    peer: Address
    unread: int
    mentions: int
    time: Moment
    box: str
    pinned: int
    muted_until: Moment | None


class OneConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of an account."""

    user: User
    peer: Annotated[Address, Meta(description="Other party of the conversation; may be of any server.")]


class ConversationRead(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation that is read now, and how many of its messages were unread."""

    user: AccountAddress
    peer: Address
    were_unread: int


class EmptyBinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bin, and what of it."""

    user: User
    days: Annotated[
        int,
        Meta(ge=0, le=36_500, description="Only conversations that have been in the bin for so many days."),
    ] = 0


class Emptied(msgspec.Struct, frozen=True, kw_only=True):
    """How many conversations have left the bin."""

    user: AccountAddress
    emptied: int


@operation("inbox", "list", roles=EVERYBODY, subjects=("user",), changes=False)
async def list_conversations(context: Context, request: ListConversations) -> Page[ListedConversation]:
    """List the conversations of an account, the newest first, a page at a time."""
    ledger = await archive_of(context, request.user)
    query = InboxQuery(
        boxes=(BIN,) if request.which == "bin" else None,
        all_boxes=request.which == "all",
        unread_only=request.unread,
        after=None if request.after is None else _read_place(request.after),
        limit=request.limit,
        octets=0,
    )
    found = await ledger.inbox(request.user, query)
    next_ = None if found.is_complete else _place_of(found.rows[-1])
    return Page(items=tuple(map(_listed, found.rows)), next=next_)


@operation("inbox", "read", roles=EVERYBODY, subjects=("user",), changes=True)
async def read(context: Context, request: OneConversation) -> ConversationRead:
    """Read a conversation to its end in the place of the account's owner; his devices are told.

    The other party is told nothing: no marker is sent.
    """
    ledger = await archive_of(context, request.user)
    peer = KnownAs({} if context.live is None else context.live.hosts).canonical(request.peer)
    before = await ledger.conversation(request.user, peer)
    if before is None:
        told = f"{request.user} has no conversation with {request.peer}"
        raise OperationError("not-found", told)
    host = context.host(request.user.domain)
    conversations = None if host is None else host.feature(Conversations)
    if host is None or conversations is None:
        change = InboxChange(owner=request.user, peer=peer, unread=False)
        await ledger.commit(LedgerBatch(changes=(change,)))
    else:
        account = account_of(await host.directory.load(request.user))
        await conversations.read(account, peer)
    return ConversationRead(user=request.user, peer=request.peer, were_unread=before.unread)


@operation("inbox", "empty-bin", roles=EVERYBODY, subjects=("user",), changes=True, irreversible=True)
async def empty_bin(context: Context, request: EmptyBinRequest) -> Emptied:
    """Take the conversations in the bin of an account out of its inbox; their messages stay in the archive.

    The server does so by itself for what has been there for `bin_ttl_days`. This cannot be undone.
    """
    ledger = await archive_of(context, request.user)
    before = None if not request.days else microseconds(context.clock.now()) - request.days * _DAY
    return Emptied(user=request.user, emptied=await empty(ledger, request.user, before))


def _listed(row: InboxRow) -> ListedConversation:
    return ListedConversation(
        peer=row.shown_peer,
        unread=row.unread,
        mentions=row.mentions,
        time=exact_moment_of(row.time),
        box=row.box,
        pinned=row.pinned,
        muted_until=exact_moment_of(row.muted_until) if row.muted_until > 0 else None,
    )


def _place_of(row: InboxRow) -> str:
    return f"{row.time}/{row.peer.text}"


def _read_place(text: str) -> tuple[int, Jid]:
    time, _, peer = text.partition("/")
    if _TIME.fullmatch(time):
        with contextlib.suppress(JidError):
            return int(time), Jid(peer)
    raise OperationError("invalid", "`after` is wrong: give the `next` of the page before")


OPERATIONS = (list_conversations, read, empty_bin)
