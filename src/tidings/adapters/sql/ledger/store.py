"""The ledger over a SQL database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection

from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.changes import ChangesReader
from tidings.adapters.sql.ledger.encoding import epoch_text, new_epoch
from tidings.adapters.sql.ledger.feed import FeedReader
from tidings.adapters.sql.ledger.followers import SqlFollowers
from tidings.adapters.sql.ledger.inbox_pages import InboxPages
from tidings.adapters.sql.ledger.indexing import index_page, is_behind
from tidings.adapters.sql.ledger.members import MemberReader
from tidings.adapters.sql.ledger.outbox import SqlOutbox
from tidings.adapters.sql.ledger.pages import Pages
from tidings.adapters.sql.ledger.properties import PropertyReader
from tidings.adapters.sql.ledger.reactions import ReactionsReader
from tidings.adapters.sql.ledger.read_share import ReadShare
from tidings.adapters.sql.ledger.reader import Addresses, Reader
from tidings.adapters.sql.ledger.readings import RoomReadings
from tidings.adapters.sql.ledger.remote import RemoteWriter
from tidings.adapters.sql.ledger.removal import Removal
from tidings.adapters.sql.ledger.renaming import rename_archive
from tidings.adapters.sql.ledger.room_changes import RoomChangesReader
from tidings.adapters.sql.ledger.runner import Runner
from tidings.adapters.sql.ledger.search import cursor as search_cursor
from tidings.adapters.sql.ledger.statements import Sql, driver_errors, statements_for
from tidings.adapters.sql.ledger.trimming import Trimming
from tidings.adapters.sql.ledger.waiting import WriterState
from tidings.adapters.sql.ledger.writer import Writer
from tidings.base.errors import TidingsError
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Committed, KeysOf, LedgerBatch
from tidings.ports.ledger.feed import Cursor, FeedPage
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

T = TypeVar("T")

_DAY = 86_400_000_000
ENDED: Final = 1 << 48
"""Added to the number of a stream that has ended: every number that still comes is one that it has passed."""

_STREAM: Final = "SELECT number FROM streams WHERE stream = ?"
_INDEXED: Final = 200
"""How many messages one step of a search takes that catches up."""


def now_in_microseconds() -> int:
    """Give the time as the ledger has it."""
    return time.time_ns() // 1000


class SqlLedger:
    """The port `Ledger` over a database; see docs/explanation/ledger.md.

    `now` gives microseconds since 1970; a time that is smaller than the last one of an archive is not used.
    A message that was sent before is found again for `window_days`. What waits to be written is given up
    after `patience` seconds, and refused at once where `queue_octets` or `queue_length` wait already.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], int] = now_in_microseconds,
        window_days: int = 90,
        patience: float = 10.0,
        queue_octets: int = 64 << 20,
        queue_length: int = 100_000,
        remote: RemoteWriter | None = None,
    ) -> None:
        self._database = database
        self._statements = statements_for(database.dialect)
        self._addresses = Addresses()
        self._share = ReadShare()
        self._now = now
        runner = Runner(database)
        self.followers = SqlFollowers(runner, now)
        self.outbox = SqlOutbox(runner, self._addresses, now)
        self._writer: Writer | RemoteWriter = remote or Writer(
            database,
            now,
            window=window_days * _DAY,
            patience=patience,
            queue_octets=queue_octets,
            queue_length=queue_length,
        )

    @property
    def state(self) -> WriterState:
        """What the writer counts and what is wrong with it."""
        return self._writer.state

    async def close(self) -> None:
        """Finish what is under way and close the database; for a ledger that has it for itself."""
        await self.close_writer()
        await self._database.close()

    async def close_writer(self) -> None:
        """End the writer's process, where it has one."""
        if isinstance(self._writer, RemoteWriter):
            await self._writer.close()

    # -- writing

    def commit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        """Write the batch; answered when every part of it is durable or refused."""
        return self._writer.submit(batch)

    async def bump_version(self, archive: Jid) -> int:
        """Note that what guard reads of this archive has changed."""

        def work(sql: Sql) -> int:
            archives = Archives(sql, Caches())
            row = archives.lock_one(archive)
            row.version += 1
            archives.save(row)
            return row.version

        return await self._write(work)

    async def renew(self) -> str:
        """Begin a new incarnation, as after a restore."""
        incarnation = new_epoch()

        def work(sql: Sql) -> None:
            sql.add("ledger", [(1, 0, incarnation, 0)])
            sql.run("UPDATE ledger SET incarnation = ? WHERE id = 1", incarnation)

        await self._write(work)
        return epoch_text(incarnation)

    async def end_stream(self, key: bytes) -> int | None:
        """Take nothing more that comes on a stream, and give its highest committed number."""

        def work(sql: Sql) -> int | None:
            row = sql.run(f"{_STREAM}{sql.locked}", key).first()
            number = 0 if row is None else int(row[0])
            if number < ENDED:
                sql.put("streams", [(key, ENDED + number, self._now())])
            return number % ENDED or None

        return await self._write(work)

    async def rename(self, archive: Jid, to: Jid, keys: KeysOf | None = None) -> tuple[Jid, ...]:
        """Give an archive the address of an empty one; tells the rooms that it is a member of."""
        return (await self.rename_beside(archive, to, lambda _: None, keys))[1]

    async def rename_beside(
        self,
        archive: Jid,
        to: Jid,
        beside: Callable[[Connection], T],
        keys: KeysOf | None,
        *,
        refused: TidingsError | None = None,
    ) -> tuple[T, tuple[Jid, ...]]:
        """Do the same in one transaction with something else; `refused` is as with `Database.write`."""

        def work(sql: Sql) -> tuple[T, tuple[Jid, ...]]:
            done = beside(sql.connection)
            return done, rename_archive(sql, archive, to, keys)

        try:
            return await self._write(work, refused=refused)
        finally:  # who reads at this moment fills the one before
            self._addresses.known = {}

    # -- reading

    async def head(self, archive: Jid) -> Head:
        """Give the state of an archive."""
        return await self._read(lambda reader: reader.head(archive)[1])

    async def page(self, archive: Jid, query: PageQuery) -> ArchivePage:
        """Give entries of an archive; raises `NoSuchEntry`."""
        if query.words:
            while await self._read(lambda reader: is_behind(reader.sql)) and await self.index_step(_INDEXED):
                pass
        return await self._read_of(archive, lambda reader: Pages(reader).page(query, *reader.head(archive)))

    async def ends(self, archive: Jid) -> tuple[Archived, Archived] | None:
        """Give the first and the last entry that queries show; None where there is none."""
        return await self._read_of(archive, lambda reader: reader.ends(archive))

    async def inbox(self, owner: Jid, query: InboxQuery) -> InboxPage:
        """Give conversations of an account."""
        return await self._read_of(owner, lambda reader: InboxPages(reader).inbox(owner, query))

    async def last_messages(self, rows: Sequence[InboxRow], octets: int) -> tuple[InboxRow, ...]:
        """Complete conversations that were read without their last messages, from the first one on."""
        return await self._read(
            lambda reader: tuple(InboxPages(reader).last_messages(rows, octets)), is_long=True
        )

    async def conversation(self, owner: Jid, peer: Jid) -> InboxRow | None:
        """Give one conversation of an account, in any box."""
        return await self._read(lambda reader: InboxPages(reader).conversation(owner, peer))

    async def markers(self, owner: Jid, peer: Jid) -> tuple[Archived, ...]:
        """Give the newest markers of each direction of a conversation."""
        return await self._read_of(owner, lambda reader: reader.markers(owner, peer))

    async def members(self, room: Jid, after: Jid | None = None, limit: int = 500) -> tuple[Member, ...]:
        """List who has an affiliation with a room."""
        return await self._read(lambda reader: MemberReader(reader).members(room, after, limit))

    async def member(self, room: Jid, jid: Jid) -> Member | None:
        """Tell how somebody belongs to a room."""
        return await self._read(lambda reader: MemberReader(reader).member(room, jid))

    async def rooms_of(self, member: Jid, after: Jid | None = None, limit: int = 500) -> tuple[Member, ...]:
        """List the rooms that somebody has an affiliation with."""
        return await self._read(lambda reader: MemberReader(reader).rooms_of(member, after, limit))

    async def seen(self, room: Jid, ids: Sequence[EntryId]) -> tuple[Seen, ...]:
        """Tell how many members have seen each of these entries of a room."""
        return await self._read(lambda reader: RoomReadings(reader).seen(room, ids))

    async def readings(
        self,
        room: Jid,
        entry: Seen | None = None,
        *,
        has_read: bool = True,
        after: Jid | None = None,
        limit: int = 500,
    ) -> tuple[Reading, ...]:
        """Tell how far members have read, in a fixed order, after that member."""
        return await self._read(
            lambda reader: RoomReadings(reader).readings(room, entry, has_read, after, limit)
        )

    async def reactions(
        self, room: Jid, ids: Sequence[EntryId], after: int = 0, octets: int = FOLDED_OCTETS
    ) -> ReactionsPage:
        """Give the newest REACTIONS entry of each sender for each of these entries of a room."""
        return await self._read_of(
            room, lambda reader: ReactionsReader(reader).reactions(room, ids, after, octets)
        )

    async def reacted_to(self, room: Jid, first: int, last: int, limit: int) -> tuple[EntryId, ...]:
        """List the entries between two positions to which somebody has reacted."""
        return await self._read_of(
            room, lambda reader: ReactionsReader(reader).reacted_to(room, first, last, limit)
        )

    async def properties(self, archive: Jid) -> dict[str, bytes]:
        """Give what is known of an archive as a whole, by name."""
        return await self._read(lambda reader: PropertyReader(reader).properties(archive))

    async def with_property(
        self, domain: str, name: str, after: Jid | None = None, limit: int = 500
    ) -> tuple[Property, ...]:
        """List the archives of a domain that have this property."""
        return await self._read(
            lambda reader: PropertyReader(reader).with_property(domain, name, after, limit)
        )

    async def devices(self, archive: Jid) -> dict[str, Device]:
        """Give every known device of an account."""
        return await self._read(lambda reader: reader.devices(archive))

    async def changes(
        self,
        owner: Jid,
        since: int,
        limit: int = 50,
        octets: int | None = None,
        *,
        upto: int | None = None,
    ) -> Changes:
        """Give what happened to an account after a feed number."""
        return await self._read_of(
            owner, lambda reader: ChangesReader(reader).changes(owner, since, limit, octets, upto)
        )

    async def room_changes(
        self, owner: Jid, base: int, top: int, after: int = 0, limit: int = 250, octets: int | None = None
    ) -> RoomChanges:
        """Give what happened in the rooms of an inbox after one feed number up to another one."""
        return await self._read_of(
            owner, lambda reader: RoomChangesReader(reader).changes(owner, base, top, after, limit, octets)
        )

    async def feed(self) -> tuple[str, int]:
        """Give the incarnation of this ledger and the number of its last transaction."""
        return await self._read(lambda reader: ChangesReader(reader).feed())

    async def feed_after(self, cursor: Cursor, limit: int = 500, marks: Sequence[bytes] = ()) -> FeedPage:
        """Give what stands in the feed from a cursor on."""
        return await self._read(lambda reader: FeedReader(reader).page(cursor, limit, marks), is_long=True)

    async def archives(self, domain: str, after: str = "", limit: int = 500) -> tuple[Jid, ...]:
        """List the archives of a domain in a fixed order."""
        return await self._read(lambda reader: reader.archives(domain, after, limit))

    async def index_step(self, limit: int = 500) -> int:
        """Bring the text search further; tells by how many messages, 0 when it has all."""
        cursor = await self._read(lambda reader: search_cursor(reader.sql))
        return await self.index(await self.feed_after(cursor, limit))

    async def index(self, page: FeedPage) -> int:
        """Put a page of the feed into the text search; tells how many messages it had."""
        return await self._write(lambda sql: index_page(sql, page, self._now()), is_of_archives=False)

    # -- forgetting

    async def hold(self, archive: Jid, positions: tuple[int, ...], *, is_held: bool = True) -> int:
        """Keep these entries against trimming and erasing, or let them go; tells how many are there."""
        return await self._write(lambda sql: Trimming(sql).hold(archive, positions, is_held=is_held))

    async def hold_archive(self, archive: Jid, *, is_held: bool = True) -> None:
        """Keep all entries of an archive, present and future, or let them go."""
        await self._write(lambda sql: Trimming(sql).hold_archive(archive, is_held=is_held))

    async def is_held(self, archive: Jid) -> bool:
        """Tell whether the archive, or an entry of it, is held."""
        return await self._read(lambda reader: reader.is_held(archive), is_long=True)

    async def erase(self, archive: Jid, positions: tuple[int, ...]) -> int:
        """Turn these entries into tombstones; tells how many were turned."""
        return await self._write(lambda sql: Trimming(sql).erase(archive, positions))

    async def erase_everywhere(self, at: EntryId, archive: Jid) -> int:
        """Erase one message from every archive that has it."""
        return await self._write(lambda sql: Trimming(sql).erase_everywhere(at, archive))

    async def erase_conversation(self, archive: Jid, peer: Jid, *, limit: int = 500) -> int:
        """Erase the oldest entries of a conversation; tells how many."""
        return await self._write(lambda sql: Trimming(sql).erase_conversation(archive, peer, limit))

    async def empty_bin(self, owner: Jid, *, before: int | None = None) -> int:
        """Take the conversations of the bin out of the inbox; tells how many."""
        return await self._write(lambda sql: Removal(sql).empty_bin(owner, before))

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
        """Forget the oldest entries; tells how many went."""
        return await self._write(
            lambda sql: Trimming(sql).trim(archive, keep, octets, before, unread_from, limit)
        )

    async def forget_account(self, archive: Jid, *, limit: int = 500, unless_owned: bool = False) -> int:
        """Forget everything of an account that is removed, a step at a time."""
        if not await self._read(lambda reader: reader.knows(archive)):
            return 0
        return await self._write(lambda sql: Removal(sql).forget_account(archive, limit, unless_owned))

    async def forget_offline_only(self, before: int, *, limit: int = 500) -> int:
        """Erase offline-only entries that every device has, or that are older than this time."""
        return await self._write(lambda sql: Removal(sql).forget_offline_only(before, limit))

    async def forget_stale(self, before: int, *, limit: int = 500) -> int:
        """Forget devices, streams and commit notes that were last used before this time."""
        return await self._write(lambda sql: Removal(sql).forget_stale(before, limit))

    # -- running

    async def _write(
        self, work: Callable[[Sql], T], *, is_of_archives: bool = True, refused: TidingsError | None = None
    ) -> T:
        """Run this in a transaction beside the group commits, which may change what those remember."""
        feed = 0

        def guarded(connection: Connection) -> T:
            nonlocal feed
            if is_of_archives:
                self._writer.forget()
            with driver_errors(connection):
                sql = Sql(connection, self._statements)
                result = work(sql)
                if is_of_archives:
                    feed = sql.run("SELECT feed FROM ledger WHERE id = 1").scalar() or 0
                return result

        result = await self._database.write(guarded, refused=refused)
        self.state.reached(feed)
        self.state.tell_feed()
        return result

    async def _read_of(self, archive: Jid, work: Callable[[Reader], T]) -> T:
        """Read what may take long, within the share of the archive."""
        async with self._share.turn(archive):
            return await self._read(work, is_long=True)

    async def _read(self, work: Callable[[Reader], T], *, is_long: bool = False) -> T:
        def guarded(connection: Connection) -> T:
            with driver_errors(connection):
                return work(Reader(Sql(connection, self._statements), self._addresses))

        return await self._database.read(guarded, is_long=is_long)
