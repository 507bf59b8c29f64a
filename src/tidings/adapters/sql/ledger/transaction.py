"""One transaction of the group commit: load and lock, append, write, then do what owners and devices ask.

It reads what it needs under the locks, works it out in memory, and writes each table with a few statements.
Each part keeps one kind of row: `archives`, `references`, `streams`, `inboxes`, `members`, `properties`,
`devices`. The rules for messages are in `append` and `repeats`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidings.adapters.sql.ledger.append import SHOWN, Appends
from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.devices import DeviceCursors
from tidings.adapters.sql.ledger.inboxes import Inboxes
from tidings.adapters.sql.ledger.members import Members
from tidings.adapters.sql.ledger.properties import Properties
from tidings.adapters.sql.ledger.references import References
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.ledger.streams import Streams
from tidings.adapters.sql.ledger.wanted import Item, Wanted
from tidings.ports.ledger.batch import Append, CursorMove, Event, InboxChange, Outcome, ReadMove


class Transaction:
    """What callers wrote, committed together; used once for each attempt."""

    def __init__(self, sql: Sql, caches: Caches, now: Callable[[], int], window: int) -> None:
        self._sql = sql
        self._caches = caches
        self._now = now
        self._window = window
        self._archives = archives = Archives(sql, caches)
        self._references = references = References(sql, archives)
        self._streams = streams = Streams(sql, caches)
        self._inboxes = inboxes = Inboxes(sql, archives, references)
        self._members = members = Members(sql, archives, inboxes)
        self._properties = properties = Properties(sql, archives)
        self._devices = DeviceCursors(sql, archives)
        self._appends = Appends(sql, archives, references, streams, inboxes, members, properties)

    @property
    def feed(self) -> int:
        """The number of the transaction."""
        return self._archives.feed

    @property
    def sent(self) -> int:
        """How many rows of the outbox it has written."""
        return self._appends.beside.sent

    def run(self, items: Sequence[Item], batch: bytes) -> list[Outcome | bool]:
        """Write the items; give what became of each."""
        wanted = Wanted(items)
        self._load(wanted, items, batch)
        time = self._inboxes.time = self._now()
        self._appends.begin(time, self._window, is_referred_to=bool(wanted.targets or wanted.repeats))
        append = self._appends.append
        outcomes: list[Outcome | bool] = [
            append(item) if type(item) is Append else self._tell(item) for item in items
        ]
        self._appends.write()
        self._archives.write()
        self._streams.write(time)
        for index, item in enumerate(items):
            if type(item) is ReadMove:
                outcomes[index] = self._inboxes.read(item)
            elif type(item) is InboxChange:
                outcomes[index] = self._inboxes.change(item, time)
        self._inboxes.write()
        self._members.write()
        self._properties.write()
        cursors = [item for item in items if type(item) is CursorMove]
        if cursors:
            self._devices.move(cursors, time)
        return outcomes

    def _tell(self, item: Item) -> bool:
        """Let an event have its turn among the messages; everything else comes after them."""
        if type(item) is Event:
            self._appends.add_event(item)
        return False

    def keep(self) -> None:
        """Remember what is surely committed now."""
        caches = self._caches
        self._archives.keep()
        self._streams.keep()
        if self._sql.is_sqlite:
            caches.inbox.update(self._inboxes.rows)
        caches.bound()

    def _load(self, wanted: Wanted, items: Sequence[Item], batch: bytes) -> None:
        """Lock the archives and streams, take the feed number, and load what the items need to know."""
        caches, archives = self._caches, self._archives
        if self._sql.is_sqlite:
            caches.check(self._sql.run("PRAGMA data_version").scalar())
        archives.check_numbers()
        archives.intern(wanted.jids())
        ids = archives.ids
        # Asked together, and in the order of locks: the row of the ledger is the last.
        locks = archives.ask({ids[jid] for jid in wanted.archives})
        streams = self._streams.ask(wanted.streams)
        keys = self._references.ask(wanted)
        inbox = self._inboxes.ask({(ids[owner], ids[peer]) for owner, peer in wanted.pairs}, caches)
        archives.take_feed(batch)
        archives.take(locks)
        self._streams.take(streams)
        self._references.take(keys)
        self._inboxes.take(inbox)
        if wanted.targets:
            self._references.load_places(wanted.places())
            self._references.load_rows(self._pointed_at(items))

    def _pointed_at(self, items: Sequence[Item]) -> set[tuple[int, int]]:
        """Give the entries of which more must be known: those that are read, corrected or retracted."""
        pairs: set[tuple[int, int]] = set()
        for item in items:
            if type(item) is not Append:
                continue
            for part in (item, *item.also):
                for entry in part.entries if part.refers_to else ():
                    if entry.reads or part.kind in SHOWN:
                        archive = self._archives.ids[entry.archive]
                        first = self._archives.rows[archive].first
                        found = self._references.positions_of(part.refers_to, archive, first)
                        pairs.update([(archive, position) for _, position in found])
        return pairs
