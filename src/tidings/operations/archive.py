"""Operations that read archives: what has happened to an account since a cursor, and how large one is."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.sync import DEFAULT_PAGE, LARGEST_PAGE, PageLimits, SyncPage, read_page
from tidings.messages.known_as import KnownAs
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.stored_archive import archive_of
from tidings.operations.values import AccountAddress, Address, Moment, exact_moment_of
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.sync import (
    CURSOR_OCTETS,
    SyncConversation,
    SyncEntry,
    SyncErased,
    SyncGap,
)

Cursor = Annotated[str, Meta(max_length=CURSOR_OCTETS)]
"""A place in what has happened to an account; only the server can read it."""


User = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]


class Synchronise(msgspec.Struct, frozen=True, kw_only=True):
    """Whose archive, since when, and how much of it."""

    user: User
    since: Annotated[
        Cursor | None,
        Meta(description="The `cursor` of the page before; without it, the list of conversations is given."),
    ] = None
    limit: Annotated[
        int, Meta(ge=1, le=LARGEST_PAGE, description="The most entries or conversations to give.")
    ] = DEFAULT_PAGE


class ChangedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the archive; `message` is its XML, null where there is no content to show.

    `target` is the id of the earlier entry that it corrects, retracts, reacts to or marks. `archive` is the
    room whose entry it is, else the account.
    """

    id: str
    archive: Address
    conversation: Address
    sent: bool
    kind: str
    target: str | None
    time: Moment | None
    message: str | None


class MissingEntries(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of a room that are not told, since there are too many: between two ids, neither included.

    `after` is null where they begin with the first one.
    """

    archive: Address
    after: str | None
    before: str


class ErasedEntries(msgspec.Struct, frozen=True, kw_only=True):
    """Earlier entries that have lost their content: from one id to another, both included."""

    archive: Address
    first: str
    last: str


class ChangedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversation stands; ids are those of `archive`, null where there is none.

    `message` is the XML of its last message, where the page does not have that already. Of one that is `gone`
    from the inbox nothing else is told.
    """

    conversation: Address
    gone: bool
    archive: Address
    unread: int
    mentions: int
    last: str | None
    read: str | None
    time: Moment | None
    box: str
    pinned: int
    muted_until: Moment | None
    message: str | None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what has happened.

    `cursor` is what to ask with next, at once unless the page is `complete`. `reset` says that the cursor of
    the request is worth nothing any more: the page is a first one. `first` is the oldest entry that is kept.
    """

    entries: tuple[ChangedEntry, ...]
    missing: tuple[MissingEntries, ...]
    erased: tuple[ErasedEntries, ...]
    conversations: tuple[ChangedConversation, ...]
    cursor: str
    complete: bool
    reset: bool
    first: str | None


class OneArchive(msgspec.Struct, frozen=True, kw_only=True):
    """Whose archive."""

    user: User


class ArchiveSize(msgspec.Struct, frozen=True, kw_only=True):
    """How much an archive has: entries, with the tombstones among them, and the octets of their messages.

    A message that several archives have counts in each of them.
    """

    user: AccountAddress
    entries: int
    octets: int


@operation("archive", "size", roles=EVERYBODY, subjects=("user",), changes=False)
async def size(context: Context, request: OneArchive) -> ArchiveSize:
    """Tell how much the archive of an account has, as `max_octets` and `keep_octets` count it."""
    head = await (await archive_of(context, request.user)).head(request.user)
    return ArchiveSize(user=request.user, entries=head.position - head.first + 1, octets=head.octets)


@operation("archive", "sync", roles=EVERYBODY, subjects=("user",), changes=False)
async def sync(context: Context, request: Synchronise) -> Changes:
    """Tell what has happened to an account since a cursor, a page at a time.

    New entries of all its conversations, erased ones, and conversations that changed. Without a cursor, the
    list of conversations comes first. It is what docs/specs/sync.md gives to clients.
    """
    jid, ledger = request.user, await archive_of(context, request.user)
    known = KnownAs({} if context.live is None else context.live.hosts)
    return _changes(await read_page(ledger, jid, request.since, PageLimits(request.limit), known), jid)


def _changes(page: SyncPage, owner: Jid) -> Changes:
    return Changes(
        entries=tuple(_entry(item, owner) for item in page.items if isinstance(item, SyncEntry)),
        missing=tuple(
            MissingEntries(archive=item.archive, after=item.after, before=item.before)
            for item in page.items
            if isinstance(item, SyncGap)
        ),
        erased=tuple(
            ErasedEntries(archive=item.archive or owner, first=item.first, last=item.last)
            for item in page.items
            if isinstance(item, SyncErased)
        ),
        conversations=tuple(
            _conversation(item, owner) for item in page.items if isinstance(item, SyncConversation)
        ),
        cursor=page.fin.cursor,
        complete=page.fin.is_complete,
        reset=page.fin.is_reset,
        first=page.fin.first,
    )


def _entry(item: SyncEntry, owner: Jid) -> ChangedEntry:
    forwarded = item.forwarded
    delay = None if forwarded is None else forwarded.delay
    return ChangedEntry(
        id=item.id,
        archive=item.archive or owner,
        conversation=item.peer,
        sent=item.is_sent,
        kind=item.kind,
        target=item.target,
        time=None if delay is None else exact_moment_of(delay.stamp),
        message=_text(forwarded),
    )


def _conversation(item: SyncConversation, owner: Jid) -> ChangedConversation:
    return ChangedConversation(
        conversation=item.peer,
        gone=item.is_gone,
        archive=owner if item.archive is None else item.archive,
        unread=item.unread,
        mentions=item.mentions,
        last=item.last,
        read=item.read,
        time=exact_moment_of(item.time) if item.time else None,
        box=item.box,
        pinned=item.pinned,
        muted_until=exact_moment_of(item.muted_until) if item.muted_until else None,
        message=_text(item.forwarded),
    )


def _text(forwarded: Forwarded | None) -> str | None:
    return None if forwarded is None else forwarded.raw.decode()


OPERATIONS = (size, sync)
