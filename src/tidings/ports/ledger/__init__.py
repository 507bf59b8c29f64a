"""The ledger port: where accepted messages become durable, and what is read of them.

**Accepted means durable.** When a commit is answered, every message of the batch survives a kill of the
process and a loss of power; only then is the sender told "accepted".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from tidings.base.histogram import Histogram
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Committed, KeysOf, LedgerBatch
from tidings.ports.ledger.feed import Cursor, FeedPage
from tidings.ports.ledger.followers import FollowerStore
from tidings.ports.ledger.outbox import OutboxStore
from tidings.ports.ledger.reading import (
    FOLDED_OCTETS,
    Archived,
    ArchivePage,
    Changes,
    Device,
    EntryId,
    Head,
    InboxPage,
    InboxQuery,
    InboxRow,
    Member,
    PageQuery,
    Property,
    ReactionsPage,
    Reading,
    RoomChanges,
    Seen,
)


class LedgerState(Protocol):
    """What a ledger's writer counts; read at any time, from any thread."""

    batches: int
    """Callers' batches that were answered."""
    transactions: int
    items: int
    """Messages, moves and changes that were written or refused."""
    last_seconds: float
    """How long the last transaction took."""
    longest_seconds: float
    commits: Histogram
    """How long transactions took."""
    process: int
    """The number of the process that writes, 0 where it is the server's own."""
    queue_length: int
    """Batches that wait for the next transaction."""
    failures: int
    """How often the database could not take a transaction."""
    given_up: int
    """Batches whose callers were told that the database does not answer."""
    feed: int
    """The number of the last transaction that this process knows of; 0 before the first."""
    sent: int
    """How many rows of the outbox the writer has written since it began."""
    on_feed: Callable[[int], None]
    """Called, on any thread, with the number of the last transaction when there are new ones: what wakes
    followers. Transactions of other processes are not told."""
    trouble: str
    """What is wrong with the database now; empty while it answers."""
    on_trouble: Callable[[str], None]
    """Called, on any thread, with what is wrong, once for each outage."""
    on_recovery: Callable[[float], None]
    """Called, on any thread, with the seconds that an outage took."""


class Ledger(Protocol):
    """Archives, inboxes and cursors. Everything raises `BackendError` when the store cannot answer now."""

    @property
    def state(self) -> LedgerState:
        """What the writer counts and what is wrong with it."""
        ...

    @property
    def followers(self) -> FollowerStore:
        """Who follows the feed, and how far each is."""
        ...

    @property
    def outbox(self) -> OutboxStore:
        """What waits for other servers."""
        ...

    # -- writing

    def commit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        """Write the batch; answered when every part of it is durable or refused.

        Batches of one caller keep their order, and the futures of this process are answered in the order of
        the positions that they got: who acts in a future's callback acts in the order of every archive. A
        batch may be spread over several transactions; an append or a move never is. A `BackendError` means
        that nobody knows: what is sent again with the same repeat key is stored once. It comes after 10
        seconds at most when the store does not answer.
        """
        ...

    async def end_stream(self, key: bytes) -> int | None:
        """End an XEP-0198 stream: what still comes on it, from whoever did not hear of it, is not stored.

        Gives the highest number that was committed; None where none was. The same again gives the same.
        """
        ...

    async def bump_version(self, archive: Jid) -> int:
        """Note that what guard reads of this archive has changed."""
        ...

    async def rename(self, archive: Jid, to: Jid, keys: KeysOf | None = None) -> tuple[Jid, ...]:
        """Give an archive another address, durable on return, with all positions and ids as they are.

        What names it follows: the conversations that others have with it, what it has said in rooms, and its
        memberships; gives the rooms of these, whose versions are raised. A message with the former address
        that is committed afterwards is `Stale` where it names a version, and never stands in this archive.
        Its newest messages have those keys, too, that `keys` gives of them with the new address.

        What others have of the address `to`, of an earlier owner perhaps, has the former address from now on.
        Raises `ArchiveInUse` where the archive of that address has entries; then nothing has changed.
        """
        ...

    async def renew(self) -> str:
        """Begin a new incarnation, as after a restore: each archive opens a new epoch at its next append."""
        ...

    # -- reading

    async def head(self, archive: Jid) -> Head:
        """Give the state of an archive."""
        ...

    async def page(self, archive: Jid, query: PageQuery) -> ArchivePage:
        """Give entries of an archive; raises `NoSuchEntry`."""
        ...

    async def ends(self, archive: Jid) -> tuple[Archived, Archived] | None:
        """Give the first and the last entry that queries show; None where there is none."""
        ...

    async def inbox(self, owner: Jid, query: InboxQuery) -> InboxPage:
        """Give conversations of an account."""
        ...

    async def last_messages(self, rows: Sequence[InboxRow], octets: int) -> tuple[InboxRow, ...]:
        """Complete conversations that were read without their last messages, from the first one on.

        Gives as many as have bodies of so many octets together, at least one, which may be larger alone.
        """
        ...

    async def conversation(self, owner: Jid, peer: Jid) -> InboxRow | None:
        """Give one conversation of an account, in any box."""
        ...

    async def markers(self, owner: Jid, peer: Jid) -> tuple[Archived, ...]:
        """Give the newest DISPLAYED, RECEIVED and ACKNOWLEDGED entry of each direction of a conversation.

        Oldest first; only the last `MARKED` entries of the conversation are looked at.
        """
        ...

    async def members(self, room: Jid, after: Jid | None = None, limit: int = 500) -> tuple[Member, ...]:
        """List who has an affiliation with a room, in a fixed order, after that member."""
        ...

    async def member(self, room: Jid, jid: Jid) -> Member | None:
        """Tell how somebody belongs to a room; None for who has no affiliation with it."""
        ...

    async def rooms_of(self, member: Jid, after: Jid | None = None, limit: int = 500) -> tuple[Member, ...]:
        """List the rooms that somebody has an affiliation with, in a fixed order, after that room."""
        ...

    async def seen(self, room: Jid, ids: Sequence[EntryId]) -> tuple[Seen, ...]:
        """Tell how many members have seen each of these entries of a room, in their order.

        They are those who had joined before it and are in the room still. Raises `NoSuchEntry`, of what tells
        of members and of the configuration, too.
        """
        ...

    async def readings(
        self,
        room: Jid,
        entry: Seen | None = None,
        *,
        has_read: bool = True,
        after: Jid | None = None,
        limit: int = 500,
    ) -> tuple[Reading, ...]:
        """Tell how far members have read, in a fixed order, after that member.

        With an entry only those whom `seen` counts for it, who have read it, or who have not.
        """
        ...

    async def reactions(
        self, room: Jid, ids: Sequence[EntryId], after: int = 0, octets: int = FOLDED_OCTETS
    ) -> ReactionsPage:
        """Give the newest REACTIONS entry of each sender for each of these entries of a room.

        They come in their order behind that position, with so many octets of bodies, one at least. What was
        erased or retracted is passed over, and what refers to such an entry. Raises `NoSuchEntry`.
        """
        ...

    async def reacted_to(self, room: Jid, first: int, last: int, limit: int) -> tuple[EntryId, ...]:
        """List the entries between two positions, both inclusive, to which somebody has reacted."""
        ...

    async def properties(self, archive: Jid) -> dict[str, bytes]:
        """Give what is known of an archive as a whole, by name."""
        ...

    async def with_property(
        self, domain: str, name: str, after: Jid | None = None, limit: int = 500
    ) -> tuple[Property, ...]:
        """List the archives of a domain that have this property, in a fixed order, after that archive."""
        ...

    async def devices(self, archive: Jid) -> dict[str, Device]:
        """Give every known device of an account."""
        ...

    async def changes(
        self,
        owner: Jid,
        since: int,
        limit: int = 50,
        octets: int | None = None,
        *,
        upto: int | None = None,
    ) -> Changes:
        """Give what happened to an account after a feed number: at most so many entries, and octets of them.

        A transaction is never cut; one that has more is a page of its own. What happened after `upto` is left
        out, and what happened in rooms.
        """
        ...

    async def room_changes(
        self, owner: Jid, base: int, top: int, after: int = 0, limit: int = 250, octets: int | None = None
    ) -> RoomChanges:
        """Give what happened in the rooms of an inbox after one feed number up to another one.

        A page has at most `ROOMS_OF_PAGE` rooms, so many entries, and octets of them; of one room it has the
        newest `NEWEST_OF_ROOM` entries at most, and none from before the account joined. `after` is the
        `place` of the page before: with the same numbers, page after page tells of each room once.
        """
        ...

    async def feed(self) -> tuple[str, int]:
        """Give the incarnation of this ledger and the number of its last transaction."""
        ...

    async def feed_after(self, cursor: Cursor, limit: int = 500, marks: Sequence[bytes] = ()) -> FeedPage:
        """Give what stands in the feed from a cursor on: at most so many messages, and as many events.

        With `marks`, messages that contain none of these octets are passed over; so many are looked at. What
        was forgotten before somebody came to read it is told as a gap. A cursor without an incarnation begins
        with the oldest there is.
        """
        ...

    async def index_step(self, limit: int = 500) -> int:
        """Bring the text search further by at most so many messages; tells how many, 0 when it has all.

        A search does it by itself; where it was done beside the traffic, the search need not wait.
        """
        ...

    async def index(self, page: FeedPage) -> int:
        """Put a page of the feed into the text search, and move the cursor of its follower with it.

        Tells how many messages it had; 0 where the search has come further meanwhile.
        """
        ...

    # -- forgetting: every call is one small step beside the traffic, repeated until it says 0

    async def hold(self, archive: Jid, positions: tuple[int, ...], *, is_held: bool = True) -> int:
        """Keep these entries against trimming and erasing, or let them go; tells how many are there."""
        ...

    async def hold_archive(self, archive: Jid, *, is_held: bool = True) -> None:
        """Keep all entries of an archive, present and future, from being forgotten, or let them go."""
        ...

    async def is_held(self, archive: Jid) -> bool:
        """Tell whether the archive, or an entry of it, is kept from being forgotten."""
        ...

    async def erase(self, archive: Jid, positions: tuple[int, ...]) -> int:
        """Turn these entries, and what corrects them, into tombstones; tells how many were turned.

        A tombstone keeps its position and its time, not its content, and is not unread. The message itself
        goes when no other archive has it. Held entries stay.
        """
        ...

    async def erase_everywhere(self, at: EntryId, archive: Jid) -> int:
        """Erase one message, and what corrects it, from every archive that has it."""
        ...

    async def erase_conversation(self, archive: Jid, peer: Jid, *, limit: int = 500) -> int:
        """Erase the oldest entries of a conversation; tells how many.

        With the last of them it leaves the inbox, until it has another message.
        """
        ...

    async def empty_bin(self, owner: Jid, *, before: int | None = None) -> int:
        """Take the conversations of the bin (moved there before this time) out of the inbox; tells how many.

        Their messages stay in the archive, and the next one brings a conversation back.
        """
        ...

    async def trim(
        self,
        archive: Jid,
        *,
        keep: int | None = None,
        octets: int | None = None,
        before: int | None = None,
        unread_from: int | None = None,
        limit: int = 500,
    ) -> int:
        """Forget the oldest entries: all but the last `keep`, and those of times before `before`.

        With `octets`, as many of the oldest that those behind them have no more octets of bodies than that.
        Those of the transaction `unread_from` and later ones stay: a follower has not read them yet.
        `Head.first` moves over them, up to the first entry that is held; what should go behind that becomes
        tombstones. What is trimmed is not unread. Tells how many entries went.
        """
        ...

    async def forget_account(self, archive: Jid, *, limit: int = 500, unless_owned: bool = False) -> int:
        """Forget everything of an account or a room that is removed, a step at a time.

        A room leaves the inboxes of its members first, and has no members then; an account is a member of no
        room any more, whose versions are raised. Entries, inbox and devices follow. Positions go on in a new
        epoch, should the address be used again. Held entries stay.

        `unless_owned`: nothing of it, where there is an account of this address at that moment, in a database
        that keeps accounts, too. So nobody who has looked before destroys what was renamed to it since.
        """
        ...

    async def forget_offline_only(self, before: int, *, limit: int = 500) -> int:
        """Erase offline-only entries that every device has, or that are older than this time."""
        ...

    async def forget_stale(self, before: int, *, limit: int = 500) -> int:
        """Forget devices, streams and commit notes that were last used before this time."""
        ...

    async def archives(self, domain: str, after: str = "", limit: int = 500) -> tuple[Jid, ...]:
        """List the archives of a domain in a fixed order, for jobs that go through all of them."""
        ...
