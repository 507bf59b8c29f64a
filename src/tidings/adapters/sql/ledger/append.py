"""Accepting messages: drop what is a repeat, send back what is stale, number the rest, and count it.

All that this needs was loaded before, under locks; what it makes is written when every message has its turn.
"""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.encoding import (
    COUNTABLE,
    ERASED,
    GONE,
    GROUPCHAT,
    OFFLINE_ONLY,
    PER_FEED,
    SENT,
    UNREAD,
    encode_places,
    epoch_text,
)
from tidings.adapters.sql.ledger.feed_rows import FeedRows
from tidings.adapters.sql.ledger.inboxes import Inboxes
from tidings.adapters.sql.ledger.references import References
from tidings.adapters.sql.ledger.rows import ArchiveRow, ConversationRow
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.ledger.streams import Streams
from tidings.ports.ledger.batch import (
    BODY_OCTETS,
    Accepted,
    Append,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    Event,
    Outcome,
    Place,
    Refused,
    Stale,
    Target,
)

_PASSED: Final = Accepted(places=(), time=0, feed=0, repeated=True)

_SHOWN: Final = (EntryKind.CORRECTION, EntryKind.RETRACTION)
"""What changes how a conversation looks in the inbox without being counted."""

_BOX_LEFT: Final = b"archive"

# Octets go as bytearrays: how to adapt bytes, and None, sqlite3 asks each time, and that costs as much as
# five other values.
_NO_RESOURCE: Final = bytearray()


class Appends:
    """The messages of a transaction, one after another."""

    def __init__(
        self, sql: Sql, archives: Archives, references: References, inboxes: Inboxes, streams: Streams
    ) -> None:
        self._sql = sql
        self._archives = archives
        self._references = references
        self._inboxes = inboxes
        self._streams = streams
        self._ids = archives.ids
        self._rows = archives.rows
        self._conversations = inboxes.rows
        self._entries = references.entries
        self._by_key = references.by_key
        self._number = 0
        self._messages: list[Any] = []
        self._keys: list[Any] = []
        self._links: list[Any] = []
        self._offline_only: list[Any] = []
        self._uncounted: set[tuple[int, int, int]] = set()
        self._returned: list[str] = []
        self._time = 0
        self._repeats_since = 0
        self._is_referred_to = False
        self.beside = FeedRows()

    def begin(self, time: int, window: int, *, is_referred_to: bool) -> None:
        """Set the time, how old a first send may be, and whether keys of these messages may be asked for."""
        self._time = time
        self._repeats_since = time - window
        self._is_referred_to = is_referred_to

    def append(self, append: Append) -> Outcome:
        """Accept a message, or tell why not."""
        if len(append.body) > BODY_OCTETS:
            return Refused(f"the message has {len(append.body)} octets, more than {BODY_OCTETS}")
        if not append.entries and not append.outbox:
            return Refused("the message belongs to no archive")
        again = self._repeat_of(append)
        if again is not None:
            return again
        time = self._time
        rows = []
        for entry in append.entries:
            row = self._rows[self._ids[entry.archive]]
            if entry.version is not None and entry.version != row.version:
                return self._refuse_stale(append, entry.archive)
            if row.time > time:
                time = row.time
            rows.append(row)
        return self._accept(append, rows, time)

    def _repeat_of(self, append: Append) -> Outcome | None:
        """Tell what became of the message when it came before; notes that its stream has come so far."""
        stream, number = append.stream, append.number
        if stream is not None and stream in self._streams.stale:
            return self._streams.stale[stream]
        first = None
        if append.repeat is not None:
            for found in self._by_key.get(append.repeat, ()):
                if found[1] >= self._repeats_since:
                    first = self._references.first_result(found)
                    break
        if stream is not None and number <= self._streams.numbers[stream]:
            return first or _PASSED
        if first is not None:
            self._streams.move(append)
        return first

    def _refuse_stale(self, append: Append, archive: str) -> Stale:
        """Ask the caller again; what follows on the same stream must not overtake the message."""
        stale = Stale(archive)
        if append.stream is not None:
            self._streams.stale[append.stream] = stale
        return stale

    def _accept(self, append: Append, rows: list[ArchiveRow], time: int) -> Accepted:
        message = self._archives.feed * PER_FEED + self._number
        self._number += 1
        self._streams.move(append)
        places, kept, targets = [], [], []
        incarnation, refers_to = self._archives.incarnation, append.refers_to
        if refers_to and append.kind in _SHOWN:
            refers_to = tuple([each for each in refers_to if self._is_own(each, append)])
        for entry, row in zip(append.entries, rows, strict=True):
            if row.incarnation != incarnation:
                self._archives.open_epoch(row)
            target = 0
            if refers_to:
                target = self._references.position_of(refers_to, row.archive, row.first)
                targets.append(target)
            position = self._enter(append, entry, row, message, time, target)
            places.append(Place(entry.archive, epoch_text(row.epoch), position))
            kept.append((row.archive, row.epoch, position))
        keys = append.keys
        self._messages += (message, time, bytearray(encode_places((kept, keys))), bytearray(append.body), 0)
        for key in keys if len(keys) < 2 else set(keys):
            self._keys += (bytearray(key), message)
            if self._is_referred_to:
                self._by_key.setdefault(key, []).append((message, time, kept))
        if append.outbox:
            self.beside.add_outbox(append, message, time, self._ids)
        for event in append.events:
            self.add_event(event)
        returned: tuple[str, ...] = ()
        if self._returned:
            returned = tuple(self._returned)
            self._returned = []
        return Accepted(
            places=tuple(places),
            time=time,
            feed=self._archives.feed,
            returned=returned,
            targets=tuple(targets) if any(targets) else (),
        )

    def add_event(self, event: Event) -> None:
        """Give an event its place in the feed, among the messages."""
        self.beside.add_event(self._archives.feed * PER_FEED + self._number, self._time, event)
        self._number += 1

    def _is_own(self, target: Target, append: Append) -> bool:
        """Tell whether a message may be changed: by who sent it, in the conversation in which it was sent.

        A key says that by what it was made of; a place does not.
        """
        if not isinstance(target, EntryRef):
            return True
        entry = next((entry for entry in append.entries if entry.archive == target.archive), None)
        if entry is None:
            return False
        row = self._references.row(self._ids[entry.archive], target.position)
        if row is None or row[0] != self._ids[entry.peer]:
            return False
        return bool(row[2] & SENT) or entry.peer == entry.archive

    # -- entries

    def _enter(
        self, append: Append, entry: Entry, row: ArchiveRow, message: int, time: int, target: int
    ) -> int:
        """Give the entry its position."""
        archive, peer = row.archive, self._ids[entry.peer]
        row.position = position = row.position + 1
        row.time = time
        row.is_changed = True
        flags = SENT if entry.direction is Direction.SENT else 0
        if entry.groupchat:
            flags |= GROUPCHAT
        conversation = self._conversations[archive, peer]
        if entry.offline_only:
            flags |= OFFLINE_ONLY
            self._offline_only += (archive, position, time)
        elif entry.countable:
            flags |= COUNTABLE
            conversation = self._count(conversation, entry.archive, archive, peer, position, time, flags)
        count = 0
        if conversation is not None:
            count = conversation.count
            if append.kind in _SHOWN:
                conversation.is_changed = True
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
            self._inboxes.move(self._ids[entry.reader], peer, archive, position, count)
        if target:
            self._links += (archive, target, position)
            self._follow(append, entry, archive, peer, target)
        return position

    def _count(
        self,
        conversation: ConversationRow | None,
        name: str,
        archive: int,
        peer: int,
        position: int,
        time: int,
        flags: int,
    ) -> ConversationRow:
        """Let a conversation have another message."""
        if conversation is None:
            conversation = self._conversations[archive, peer] = ConversationRow(archive)
        conversation.position = position
        conversation.time = time
        conversation.is_changed = True
        if flags & SENT:
            conversation.read_position, conversation.read_count = position, conversation.count
            conversation.flags &= ~UNREAD
        else:
            conversation.count += 1
        if conversation.box == _BOX_LEFT or conversation.flags & GONE:
            if not conversation.flags & GONE:
                self._returned.append(name)
            conversation.box = conversation.boxed_count = conversation.boxed_time = None
            conversation.flags &= ~GONE
            conversation.is_rearranged = True
        return conversation

    def _follow(self, append: Append, entry: Entry, archive: int, peer: int, target: int) -> None:
        """Do what an entry does to the one that it refers to."""
        if append.kind is EntryKind.RETRACTION:
            row = self._references.row(archive, target)
            if row is not None and row[2] & (COUNTABLE | SENT | ERASED) == COUNTABLE:
                self._uncounted.add((archive, row[0], target))
                conversation = self._inboxes.row(archive, row[0])
                if conversation is not None:
                    conversation.is_changed = True
        if entry.reads:
            row = self._references.row(archive, target)
            if row is not None and row[0] == peer:  # the count of another conversation says nothing here
                owner = archive if entry.reader is None else self._ids[entry.reader]
                self._inboxes.move(owner, peer, archive, target, row[1])

    # -- writing

    def write(self) -> None:
        """Write the messages with all that says where they are."""
        insert = self._sql.insert_flat
        insert("messages", self._messages)
        insert("message_keys", self._keys)
        insert("entries", self._entries)
        insert("message_links", self._links)
        insert("offline_only", self._offline_only)
        self._sql.add("uncounted", sorted(self._uncounted))
        self.beside.write(self._sql)
