"""Accepting messages: drop what is a repeat, send back what is stale, number the rest, and count it.

All that this needs was loaded before, under locks; what it makes is written when every message has its turn.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import msgspec

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.encoding import (
    CONTENT_OCTETS,
    COUNTABLE,
    ERASED,
    GONE,
    GROUPCHAT,
    OFFLINE_ONLY,
    PER_FEED,
    SENT,
    UNREAD,
    Places,
    encode_places,
    epoch_text,
)
from tidings.adapters.sql.ledger.feed_rows import FeedRows
from tidings.adapters.sql.ledger.inboxes import ARCHIVE_BOX, Inboxes
from tidings.adapters.sql.ledger.lengths import refusal_of
from tidings.adapters.sql.ledger.members import Members
from tidings.adapters.sql.ledger.properties import Properties
from tidings.adapters.sql.ledger.references import Named, References
from tidings.adapters.sql.ledger.repeats import Repeats
from tidings.adapters.sql.ledger.rows import ArchiveRow, ConversationRow
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.ledger.streams import Streams
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    Event,
    Full,
    Outcome,
    Place,
    Stale,
    Target,
)

_SENT: Final = Direction.SENT

SHOWN: Final = (EntryKind.CORRECTION, EntryKind.RETRACTION)
"""What changes how a conversation looks in the inbox without being counted."""

EVERYBODY: Final = 0
"""Stands for all members in `mentions`."""

# Octets go as bytearrays: how to adapt bytes, and None, sqlite3 asks each time, and that costs as much as
# five other values.
_NO_RESOURCE: Final = bytearray()


class Appends:
    """The messages of a transaction, one after another."""

    def __init__(
        self,
        sql: Sql,
        archives: Archives,
        references: References,
        streams: Streams,
        inboxes: Inboxes,
        members: Members,
        properties: Properties,
    ) -> None:
        self._sql = sql
        self._archives = archives
        self._references = references
        self._inboxes = inboxes
        self._streams = streams
        self._members = members
        self._properties = properties
        self._repeats = Repeats(references, streams)
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
        self._mentions: list[Any] = []
        self._uncounted: set[tuple[int, int, int]] = set()
        self._returned: list[str] = []
        self._time = 0
        self._is_referred_to = False
        self.beside = FeedRows()

    def begin(self, time: int, window: int, *, is_referred_to: bool) -> None:
        """Set the time, how old a first send may be, and whether keys of these messages may be asked for."""
        self._time = time
        self._repeats.begin(time, window)
        self._is_referred_to = is_referred_to

    def append(self, append: Append) -> Outcome:
        """Accept a message with all that belongs to it, or tell why not."""
        refused = refusal_of(append)
        if refused is not None:
            return refused
        again = self._repeats.outcome_of(append)
        if again is not None:
            return again
        entries, time, rows, has_conditions = append.entries, self._time, [], append.versions != ()
        if append.time:
            time = min(append.time, time)
        for part in append.also:
            entries += part.entries
        for entry in entries:
            row = self._rows[self._ids[entry.archive]]
            if entry.version is not None and entry.version != row.version:
                return self._streams.refuse(append, Stale(entry.archive))
            if entry.most_octets:
                has_conditions = True
            if row.time > time:
                time = row.time
            rows.append(row)
        if has_conditions and (refusal := self._unmet(append)) is not None:
            return refusal
        if append.stream is not None:
            self._streams.move(append)
        if not append.also:
            return self._accept(append, rows, time)
        remaining = iter(rows)
        accepted, *also = [
            self._accept(part, list(islice(remaining, len(part.entries))), time)
            for part in (append, *append.also)
        ]
        return msgspec.structs.replace(accepted, also=tuple(also))

    def _unmet(self, append: Append) -> Outcome | None:
        for archive, version in append.versions:
            if self._rows[self._ids[archive]].version != version:
                return self._streams.refuse(append, Stale(archive))
        return self._full(append)

    def _full(self, append: Append) -> Full | None:
        """Give the first archive that would have more octets than it may have."""
        sums: dict[str, int] = {}
        for part in (append, *append.also):
            for entry in part.entries:
                name, allowed = entry.archive, entry.most_octets
                before = sums.get(name)
                octets = self._rows[self._ids[name]].octets if before is None else before
                sums[name] = octets = octets + len(part.body)
                if octets > allowed > 0:
                    return Full(name, octets, allowed)
        return None

    # -- messages

    def _accept(self, append: Append, rows: list[ArchiveRow], time: int) -> Accepted:
        if not append.entries and not append.outbox:  # it moves pointers, and nobody keeps it
            self._apply(append)
            return Accepted(places=(), time=time, feed=self._archives.feed)
        message = self._archives.feed * PER_FEED + self._number
        self._number += 1
        sender = self._stored_sender(append)
        if sender:
            self._references.senders[message] = sender
        places: list[Place] = []
        kept: Places = []
        targets: list[int] = []
        for entry, row in zip(append.entries, rows, strict=True):
            if row.incarnation != self._archives.incarnation:
                self._archives.open_epoch(row)
            target = 0
            if append.refers_to:
                target = self._target_of(append, entry, row)
                targets.append(target)
            position = self._enter(append, entry, row, message, time, target)
            places.append(Place(entry.archive, epoch_text(row.epoch), position))
            kept.append((row.archive, row.epoch, position))
        self._keep(append, message, time, sender, kept)
        if append.raises or append.members or append.reads or append.properties:
            self._apply(append)
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

    def _keep(self, append: Append, message: int, time: int, sender: int, kept: Places) -> None:
        """Note the rows of the message and of its keys."""
        keys, content = append.keys, append.content[:CONTENT_OCTETS]
        places = encode_places((kept, keys, content) if content else (kept, keys))
        self._messages += (message, time, bytearray(places), bytearray(append.body), sender)
        for key in keys if len(keys) < 2 else set(keys):
            self._keys += (bytearray(key), message)
            if self._is_referred_to:
                self._by_key.setdefault(key, []).append(Named(message, time, kept, content))

    def _apply(self, append: Append) -> None:
        """Do what belongs to the message beside its entries."""
        for archive in append.raises:
            row = self._rows[self._ids[archive]]
            row.version += 1
            row.is_changed = True
        for change in append.members:
            self._members.change(change)
        for read in append.reads:
            self._inboxes.read(read)
        for kept in append.properties:
            self._properties.change(kept)

    # -- senders

    def _stored_sender(self, append: Append) -> int:
        """Give the number of the sender, 0 where direction and peer of every entry tell it."""
        sender = append.sender.partition("/")[0]
        if not sender:
            for entry in append.entries:
                if entry.reader is not None:  # the member who sent a message of a room
                    sender = entry.reader
                    break
            else:
                return 0
        for entry in append.entries:
            if entry.direction is _SENT:
                if sender != entry.archive:
                    return self._ids[sender]
            elif sender != entry.peer and sender != entry.peer.partition("/")[0]:
                return self._ids[sender]
        return 0

    def _target_of(self, append: Append, entry: Entry, row: ArchiveRow) -> int:
        """Give the position of what an entry refers to; of what it changes, only what its sender sent."""
        position_of = self._references.position_of
        if append.kind not in SHOWN:
            return position_of(append.refers_to, row.archive, row.first)
        archive, peer = row.archive, self._ids[entry.peer]
        sender = append.sender.partition("/")[0] if append.sender else _told_sender(append)
        asker = self._ids.get(sender, 0)

        def is_own(target: Target, position: int) -> bool:
            found = self._references.row(archive, position)
            if found is None or found.peer != peer:
                return False
            if archive == peer == asker:  # a room may change what is said in it
                return True
            known = found.sender or (archive if found.flags & SENT else found.peer)
            if known == archive == peer:  # not known: a key was made of the sender, a place was not
                return not isinstance(target, EntryRef)
            return known == asker

        position = position_of(append.refers_to, archive, row.first, is_own)
        if append.kind is EntryKind.CORRECTION and position:
            found = self._references.row(archive, position)
            if found is not None and found.kind == EntryKind.CORRECTION and found.target >= row.first:
                return found.target  # who corrects a correction corrects what that corrects
        return position

    # -- entries

    def _enter(
        self, append: Append, entry: Entry, row: ArchiveRow, message: int, time: int, target: int
    ) -> int:
        """Give the entry its position."""
        archive, peer = row.archive, self._ids[entry.peer]
        row.position = position = row.position + 1
        row.time = time
        row.octets += len(append.body)
        row.is_changed = True
        flags = SENT if entry.direction is _SENT else 0
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
            if append.kind in SHOWN:
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
        if archive == peer and (append.mentions or append.mentions_all):
            mentioned = {self._ids[each] for each in append.mentions}
            mentioned.update((EVERYBODY,) if append.mentions_all else ())
            for member in sorted(mentioned):
                self._mentions += (archive, member, position)
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
        if not flags & SENT:
            conversation.count += 1
            if conversation.source != archive:  # a room's archive counts: this one is for the owner alone
                conversation.flags |= UNREAD
        elif conversation.source == archive:
            conversation.read_position, conversation.read_count = position, conversation.count
            conversation.flags &= ~UNREAD
        if conversation.box == ARCHIVE_BOX or conversation.flags & GONE:
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
            if row is not None and row.flags & (COUNTABLE | SENT | ERASED) == COUNTABLE:
                self._uncounted.add((archive, row.peer, target))
                conversation = self._inboxes.row(archive, row.peer)
                if conversation is not None:
                    conversation.is_changed = True
        if entry.reads:
            row = self._references.row(archive, target)
            if row is not None and row.peer == peer:  # the count of another conversation says nothing here
                owner = archive if entry.reader is None else self._ids[entry.reader]
                self._inboxes.move(owner, peer, archive, target, row.count)

    # -- writing

    def write(self) -> None:
        """Write the messages with all that says where they are."""
        insert = self._sql.insert_flat
        insert("messages", self._messages)
        insert("message_keys", self._keys)
        insert("entries", self._entries)
        insert("message_links", self._links)
        insert("offline_only", self._offline_only)
        insert("mentions", self._mentions)
        self._sql.add("uncounted", sorted(self._uncounted))
        self.beside.write(self._sql)


def _told_sender(append: Append) -> str:
    """Give the bare JID of the sender as the entries of a message tell it; empty where they do not."""
    for entry in append.entries:
        if entry.reader is not None:
            return entry.reader
        if entry.direction is _SENT:
            return entry.archive
    first = next(iter(append.entries), None)
    return "" if first is None or first.peer == first.archive else first.peer.partition("/")[0]
