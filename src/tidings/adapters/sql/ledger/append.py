"""One transaction of the ledger: locks, drops repeats, numbers, inserts, updates the summaries.

Reads what it needs under the locks, works it out in memory, and writes each table with a few statements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from tidings.adapters.sql.ledger.caches import Caches, Summary
from tidings.adapters.sql.ledger.conversations import list_entries
from tidings.adapters.sql.ledger.locks import (
    COUNTABLE,
    ERASED,
    GONE,
    GROUPCHAT,
    PASSING,
    PER_FEED,
    SENT,
    UNREAD,
    Head,
    encode_places,
    epoch_text,
    new_epoch,
)
from tidings.adapters.sql.ledger.moves import Inboxes
from tidings.adapters.sql.ledger.statements import Asked, Statements
from tidings.adapters.sql.ledger.wanted import Item, Wanted
from tidings.ports.ledger.batch import (
    BODY_OCTETS,
    Accepted,
    Append,
    At,
    CursorMove,
    Direction,
    Entry,
    InboxChange,
    Kind,
    Outcome,
    Place,
    ReadMove,
    Refused,
    Stale,
    Target,
)

_STREAMS: Final = "SELECT stream, number FROM streams WHERE stream IN LIST ORDER BY stream"

_PASSED: Final = Accepted(places=(), time=0, feed=0, repeated=True)

_SHOWN: Final = (Kind.CORRECTION, Kind.RETRACTION)
"""What changes how a conversation looks in the inbox without being counted."""

_BOX_LEFT: Final = b"archive"

# Octets go as bytearrays: how to adapt bytes, and None, sqlite3 asks each time, and that costs as much as
# five other values.
_NO_RESOURCE: Final = bytearray()


class Transaction(Inboxes):
    """What callers wrote, committed together."""

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        caches: Caches,
        now: Callable[[], int],
        window: int,
    ) -> None:
        super().__init__(connection, statements, caches.jids, now)
        self._caches = caches
        self._window = window
        self._repeats_since = 0
        self._streams: dict[bytes, int] = {}
        self._stale: dict[bytes, Stale] = {}
        self._passed: set[bytes] = set()
        self._returned: list[str] = []
        self._messages: list[Any] = []
        self._number = 0
        self._names: list[Any] = []
        self._is_referred_to = False
        self._pointers: list[Any] = []
        self._passing: list[Any] = []
        self._withdrawn: set[tuple[int, int, int]] = set()
        self._epochs: list[Any] = []

    def run(self, items: Sequence[Item], batch: bytes) -> list[Outcome | bool]:
        """Write the items; give what became of each."""
        wanted = Wanted(items)
        self._is_referred_to = bool(wanted.targets or wanted.repeats)
        self._load(wanted, items, batch)
        self.time = self._now()
        self._repeats_since = self.time - self._window
        append = self._append
        outcomes: list[Outcome | bool] = [append(item) if type(item) is Append else False for item in items]
        self._write()
        for index, item in enumerate(items):
            if type(item) is ReadMove:
                outcomes[index] = self._read(item)
            elif type(item) is InboxChange:
                outcomes[index] = self._change(item)
        self._write_inbox()
        cursors = [item for item in items if type(item) is CursorMove]
        if cursors:
            self._move_cursors(cursors)
        return outcomes

    def keep(self) -> None:
        """Remember what is surely committed now."""
        caches = self._caches
        caches.jids.update(self.found)
        caches.archives.update(self._heads)
        if self._statements.is_sqlite:
            caches.heads.update(self._heads)
            caches.inbox.update(self._inbox)
            caches.streams.update(self._streams)
            caches.ledger = self.feed, self._incarnation
        caches.bound()

    # -- loading and locking

    def _load(self, wanted: Wanted, items: Sequence[Item], batch: bytes) -> None:
        caches, ids = self._caches, self._ids
        if self._statements.is_sqlite:
            caches.check(self._statements.run(self._connection, "PRAGMA data_version").scalar())
        self._intern(wanted.jids())
        archives = {ids[jid] for jid in wanted.archives}
        missing = sorted(archives - caches.archives)
        if missing:
            self._make_heads(missing)
        remembered = caches.heads
        for archive in [archive for archive in archives if archive in remembered]:
            self._heads[archive] = remembered[archive]
        pairs = {(ids[owner], ids[peer]) for owner, peer in wanted.pairs}
        # Asked together, and in the order of locks: the row of the ledger is the last.
        heads = self._ask_heads(sorted(archives - self._heads.keys()))
        streams = self._ask_streams(wanted.streams)
        names = self._ask_names(wanted)
        inbox = self._ask_inbox(pairs, caches)
        self._take_feed(batch)
        self._take_heads(heads)
        for stream, number in self._statements.answer(streams):
            self._streams[bytes(stream)] = number
        self._take_names(names)
        self._take_inbox(inbox)
        if wanted.targets:
            self._load_places(wanted)
            self._load_rows(self._pointed_at(items))

    def _ask_streams(self, streams: set[bytes]) -> Asked:
        remembered = self._caches.streams
        self._streams = {stream: remembered.get(stream, 0) for stream in streams}
        missing = sorted(stream for stream in streams if stream not in remembered)
        return self._statements.ask(self._connection, _STREAMS + self._statements.locked, missing)

    def _pointed_at(self, items: Sequence[Item]) -> set[tuple[int, int]]:
        """Give the entries whose counts are needed: those that are read or retracted."""
        pairs = set()
        for item in items:
            if type(item) is not Append or not item.refers_to:
                continue
            for entry in item.entries:
                if entry.reads or item.kind is Kind.RETRACTION:
                    archive = self._ids[entry.archive]
                    target = self._target(item.refers_to, archive, self._heads[archive].first)
                    if target:
                        pairs.add((archive, target))
        return pairs

    def _take_feed(self, batch: bytes) -> None:
        ledger = self._caches.ledger
        if ledger is None:
            super()._take_feed(batch)
            return
        feed, incarnation = ledger[0] + 1, ledger[1]
        self._statements.run(self._connection, "UPDATE ledger SET feed = ? WHERE id = 1", feed)
        self._note_feed(feed, incarnation, batch)

    # -- appending

    def _append(self, append: Append) -> Outcome:
        if len(append.body) > BODY_OCTETS:
            return Refused(f"the message has {len(append.body)} octets, more than {BODY_OCTETS}")
        if not append.entries:
            return Refused("the message belongs to no archive")
        again = self._repeat_of(append)
        if again is not None:
            return again
        time = self.time
        heads = []
        for entry in append.entries:
            head = self._heads[self._ids[entry.archive]]
            if entry.version is not None and entry.version != head.version:
                return self._refuse_stale(append, entry.archive)
            if head.time > time:
                time = head.time
            heads.append(head)
        return self._accept(append, heads, time)

    def _accept(self, append: Append, heads: list[Head], time: int) -> Accepted:
        message = self.feed * PER_FEED + self._number
        self._number += 1
        self._pass(append)
        places, kept, targets = [], [], []
        incarnation, refers_to = self._incarnation, append.refers_to
        if refers_to and append.kind in _SHOWN:
            refers_to = tuple([each for each in refers_to if self._is_own(each, append)])
        for entry, head in zip(append.entries, heads, strict=True):
            if head.incarnation != incarnation:
                self._open_epoch(head)
            target = 0
            if refers_to:
                target = self._target(refers_to, head.archive, head.first)
                targets.append(target)
            position = self._enter(append, entry, head, message, time, target)
            places.append(Place(entry.archive, epoch_text(head.epoch), position))
            kept.append((head.archive, head.epoch, position))
        keys = append.keys
        self._messages += (message, time, bytearray(encode_places((kept, keys))), bytearray(append.body))
        for key in keys if len(keys) < 2 else set(keys):
            self._names += (bytearray(key), message)
            if self._is_referred_to:
                self._named.setdefault(key, []).append((message, time, kept))
        returned: tuple[str, ...] = ()
        if self._returned:
            returned = tuple(self._returned)
            self._returned = []
        return Accepted(
            places=tuple(places),
            time=time,
            feed=self.feed,
            returned=returned,
            targets=tuple(targets) if any(targets) else (),
        )

    def _is_own(self, target: Target, append: Append) -> bool:
        """Tell whether a message may be changed: by who sent it, in the conversation in which it was sent.

        A key says that by what it was made of; a place does not.
        """
        if not isinstance(target, At):
            return True
        entry = next((entry for entry in append.entries if entry.archive == target.archive), None)
        if entry is None:
            return False
        row = self._row(self._ids[entry.archive], target.position)
        if row is None or row[0] != self._ids[entry.peer]:
            return False
        return bool(row[2] & SENT) or entry.peer == entry.archive

    def _repeat_of(self, append: Append) -> Outcome | None:
        """Tell what became of the message when it came before; notes that its stream has come so far."""
        stream, number = append.stream, append.number
        if stream is not None and stream in self._stale:
            return self._stale[stream]
        first = None
        if append.repeat is not None:
            for found in self._named.get(append.repeat, ()):
                if found[1] >= self._repeats_since:
                    first = self._first_result(found)
                    break
        if stream is not None and number <= self._streams[stream]:
            return first or _PASSED
        if first is not None:
            self._pass(append)
        return first

    def _pass(self, append: Append) -> None:
        """Note how far its stream has come."""
        if append.stream is not None:
            self._streams[append.stream] = append.number
            self._passed.add(append.stream)

    def _refuse_stale(self, append: Append, archive: str) -> Stale:
        """Ask the caller again; what follows on the same stream must not overtake the message."""
        stale = Stale(archive)
        if append.stream is not None:
            self._stale[append.stream] = stale
        return stale

    def _open_epoch(self, head: Head) -> None:
        head.incarnation, head.epoch = self._incarnation, new_epoch()
        self._epochs += (head.archive, head.position + 1, head.epoch)

    def _enter(self, append: Append, entry: Entry, head: Head, message: int, time: int, target: int) -> int:
        """Give the entry its position."""
        archive, peer = head.archive, self._ids[entry.peer]
        head.position = position = head.position + 1
        head.time = time
        head.is_changed = True
        flags = SENT if entry.direction is Direction.SENT else 0
        if entry.groupchat:
            flags |= GROUPCHAT
        summary = self._inbox[archive, peer]
        if entry.passing:
            flags |= PASSING
            self._passing += (archive, position, time)
        elif entry.countable:
            flags |= COUNTABLE
            summary = self._count(summary, entry.archive, archive, peer, position, time, flags)
        count = 0
        if summary is not None:
            count = summary.count
            if append.kind in _SHOWN:
                summary.is_changed = True
        self._entries += (
            archive,
            position,
            message,
            time,
            peer,
            +append.kind,  # the plain number
            flags,
            count,
            target,
            bytearray(entry.resource, "utf-8") if entry.resource else _NO_RESOURCE,
        )
        if entry.reader is not None and flags & COUNTABLE:
            self._move(self._ids[entry.reader], peer, archive, position, count)
        if target:
            self._pointers += (archive, target, position)
            self._follow(append, entry, archive, peer, target)
        return position

    def _count(
        self,
        summary: Summary | None,
        name: str,
        archive: int,
        peer: int,
        position: int,
        time: int,
        flags: int,
    ) -> Summary:
        """Let a conversation have another message."""
        if summary is None:
            summary = self._inbox[archive, peer] = Summary(archive)
        summary.position = position
        summary.time = time
        summary.is_changed = True
        if flags & SENT:
            summary.read_position, summary.read_count = position, summary.count
            summary.flags &= ~UNREAD
        else:
            summary.count += 1
        if summary.box == _BOX_LEFT or summary.flags & GONE:
            if not summary.flags & GONE:
                self._returned.append(name)
            summary.box = summary.boxed_count = summary.boxed_time = None
            summary.flags &= ~GONE
            summary.is_rearranged = True
        return summary

    def _follow(self, append: Append, entry: Entry, archive: int, peer: int, target: int) -> None:
        """Do what an entry does to the one that it refers to."""
        if append.kind is Kind.RETRACTION:
            row = self._row(archive, target)
            if row is not None and row[2] & (COUNTABLE | SENT | ERASED) == COUNTABLE:
                self._withdrawn.add((archive, row[0], target))
                summary = self._summary(archive, row[0])
                if summary is not None:
                    summary.is_changed = True
        if entry.reads:
            row = self._row(archive, target)
            if row is not None and row[0] == peer:  # the count of another conversation says nothing here
                owner = archive if entry.reader is None else self._ids[entry.reader]
                self._move(owner, peer, archive, target, row[1])

    # -- writing

    def _write(self) -> None:
        connection, statements = self._connection, self._statements
        insert = statements.insert_flat
        insert(connection, "messages", self._messages)
        insert(connection, "names", self._names)
        insert(connection, "entries", self._entries)
        insert(connection, "epochs", self._epochs)
        insert(connection, "pointers", self._pointers)
        insert(connection, "passing", self._passing)
        statements.add(connection, "withdrawn", sorted(self._withdrawn))
        rows: list[Any] = []
        for head in self._heads.values():
            if head.is_changed:
                list_entries(statements, connection, head)
                head.is_changed = False
                rows += head.row()
        statements.put_flat(connection, "heads", rows)
        rows = []
        for stream in self._passed:
            rows += (stream, self._streams[stream], self.time)
        statements.put_flat(connection, "streams", rows)
