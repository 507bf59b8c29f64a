"""The reading and the forgetting side of the ledger's port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.ledger.changes import ChangesReader
from tidings.adapters.sql.ledger.indexing import index_step, is_behind
from tidings.adapters.sql.ledger.pages import Pages
from tidings.adapters.sql.ledger.reader import Names, Reader
from tidings.adapters.sql.ledger.removal import Forgetting
from tidings.adapters.sql.ledger.statements import driver_errors, statements_for
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import (
    Archived,
    Changes,
    Device,
    EntryId,
    FeedPage,
    Head,
    Inbox,
    InboxQuery,
    InboxRow,
    Page,
    PageQuery,
)

T = TypeVar("T")
R = TypeVar("R", bound=Reader)

_INDEXED: int = 200
"""How many messages one step of a search takes that catches up."""


class Reading:
    """What the ledger reads and forgets; a class beside it writes."""

    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database = database
        self._statements = statements_for(database.dialect)
        self._now = now
        self._names = Names()

    # -- reading

    async def head(self, archive: Jid) -> Head:
        """Give the state of an archive."""
        return await self._read(Reader, lambda reader: reader.head(archive)[1])

    async def page(self, archive: Jid, query: PageQuery) -> Page:
        """Give entries of an archive; raises `NoSuchEntry`."""
        if query.words:
            while await self._is_behind() and await self.index_step(_INDEXED):
                pass
        return await self._read(Pages, lambda pages: pages.page(query, *pages.head(archive)))

    async def ends(self, archive: Jid) -> tuple[Archived, Archived] | None:
        """Give the first and the last entry that queries show; None where there is none."""
        return await self._read(Reader, lambda reader: reader.ends(archive))

    async def inbox(self, owner: Jid, query: InboxQuery) -> Inbox:
        """Give conversations of an account."""
        return await self._read(ChangesReader, lambda reader: reader.inbox(owner, query))

    async def conversation(self, owner: Jid, peer: Jid) -> InboxRow | None:
        """Give one conversation of an account, in any box."""
        return await self._read(ChangesReader, lambda reader: reader.conversation(owner, peer))

    async def markers(self, owner: Jid, peer: Jid) -> tuple[Archived, ...]:
        """Give the newest markers of each direction of a conversation."""
        return await self._read(Reader, lambda reader: reader.markers(owner, peer))

    async def devices(self, archive: Jid) -> dict[str, Device]:
        """Give every known device of an account."""
        return await self._read(Reader, lambda reader: reader.devices(archive))

    async def changes(self, owner: Jid, since: int, limit: int = 50) -> Changes:
        """Give what happened to an account after a feed number."""
        return await self._read(ChangesReader, lambda reader: reader.changes(owner, since, limit))

    async def feed(self) -> tuple[str, int]:
        """Give the incarnation of this ledger and the number of its last transaction."""
        return await self._read(ChangesReader, lambda reader: reader.feed())

    async def feed_after(self, since: int, limit: int = 500) -> FeedPage:
        """Give all messages of the transactions after this one."""
        return await self._read(ChangesReader, lambda reader: reader.feed_after(since, limit))

    async def archives(self, domain: str, after: str = "", limit: int = 500) -> tuple[Jid, ...]:
        """List the archives of a domain in a fixed order."""
        return await self._read(Reader, lambda reader: reader.archives(domain, after, limit))

    async def index_step(self, limit: int = 500) -> int:
        """Bring the text search further; tells by how many messages, 0 when it has all."""
        return await self._write(
            lambda connection: index_step(self._statements, connection, limit), is_of_archives=False
        )

    # -- forgetting

    async def hold(self, archive: Jid, positions: tuple[int, ...], *, is_held: bool = True) -> int:
        """Keep these entries against trimming and erasing, or let them go; tells how many are there."""
        return await self._forget(lambda step: step.hold(archive, positions, is_held=is_held))

    async def hold_archive(self, archive: Jid, *, is_held: bool = True) -> None:
        """Keep all entries of an archive, present and future, or let them go."""
        await self._forget(lambda step: step.hold_archive(archive, is_held=is_held))

    async def erase(self, archive: Jid, positions: tuple[int, ...]) -> int:
        """Turn these entries into tombstones; tells how many were turned."""
        return await self._forget(lambda step: step.erase(archive, positions))

    async def erase_everywhere(self, at: EntryId, archive: Jid) -> int:
        """Erase one message from every archive that has it."""
        return await self._forget(lambda step: step.erase_everywhere(at, archive))

    async def erase_conversation(self, archive: Jid, peer: Jid, *, limit: int = 500) -> int:
        """Erase the oldest entries of a conversation; tells how many."""
        return await self._forget(lambda step: step.erase_conversation(archive, peer, limit))

    async def empty_bin(self, owner: Jid, *, before: int | None = None) -> int:
        """Take the conversations of the bin out of the inbox; tells how many."""
        return await self._forget(lambda step: step.empty_bin(owner, before))

    async def trim(
        self, archive: Jid, *, keep: int | None = None, before: int | None = None, limit: int = 500
    ) -> int:
        """Forget the oldest entries; tells how many went."""
        return await self._forget(lambda step: step.trim(archive, keep, before, limit))

    async def forget_account(self, archive: Jid, *, limit: int = 500) -> int:
        """Forget everything of an account that is removed, a step at a time."""
        return await self._forget(lambda step: step.forget_account(archive, limit))

    async def forget_passing(self, before: int, *, limit: int = 500) -> int:
        """Erase passing entries that every device has, or that are older than this time."""
        return await self._forget(lambda step: step.forget_passing(before, limit))

    async def forget_stale(self, before: int, *, limit: int = 500) -> int:
        """Forget devices, streams and commit notes that were last used before this time."""
        return await self._forget(lambda step: step.forget_stale(before, limit))

    # -- running

    def _write(self, work: Callable[[Connection], T], *, is_of_archives: bool = True) -> Awaitable[T]:
        """Run this in a transaction beside the group commits, which may change what those remember."""
        raise NotImplementedError

    async def _forget(self, step: Callable[[Forgetting], T]) -> T:
        return await self._write(
            lambda connection: step(Forgetting(connection, self._statements, {}, self._now))
        )

    async def _is_behind(self) -> bool:
        return await self._read_over(lambda connection: is_behind(self._statements, connection))

    async def _read(self, kind: type[R], work: Callable[[R], T]) -> T:
        return await self._read_over(lambda connection: work(kind(connection, self._statements, self._names)))

    async def _read_over(self, work: Callable[[Connection], T]) -> T:
        def guarded(connection: Connection) -> T:
            with driver_errors(connection):
                return work(connection)

        return await self._database.read(guarded)
