"""The ledger as a plain program says it: lists and dictionaries, one call after another."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Append,
    CursorMove,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    InboxChange,
    ReadMove,
    Target,
)

Place = tuple[Jid, int]

UNKNOWN = "unknown"
"""The epoch of a place that nothing has."""


@dataclass
class Message:
    append: Append
    places: list[Place] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    returned: list[Jid] = field(default_factory=list)


@dataclass
class Item:
    message: Message
    entry: Entry
    target: int
    is_withdrawn: bool = False
    is_erased: bool = False
    is_held: bool = False

    @property
    def is_counted(self) -> bool:
        return self.entry.countable and not self.entry.offline_only


@dataclass
class Row:
    """A conversation in an inbox."""

    source: Jid
    pointer: int = 0
    is_marked: bool = False
    box: str = "inbox"
    pinned: int = 0
    is_gone: bool = False


@dataclass
class Model:
    archives: dict[Jid, list[Item]] = field(default_factory=dict)
    rows: dict[tuple[Jid, Jid], Row] = field(default_factory=dict)
    devices: dict[tuple[Jid, str], int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    streams: dict[bytes, int] = field(default_factory=dict)
    firsts: dict[Jid, int] = field(default_factory=dict)

    # -- writing

    def append(self, append: Append) -> Message | None:
        """Give the message, the first one where it is a repeat; None where only its stream tells that."""
        has_passed = append.stream is not None and append.number <= self.streams.get(append.stream, 0)
        first = self.repeated(append)
        if append.stream is not None and not has_passed:
            self.streams[append.stream] = append.number
        if first is not None or has_passed:
            return first
        message = Message(append)
        self.messages.append(message)
        for entry in append.entries:
            self._enter(message, entry)
        return message

    def repeated(self, append: Append) -> Message | None:
        found = (message for message in self.messages if append.repeat in message.append.keys)
        return next(filter(self.is_there, found), None)

    def _enter(self, message: Message, entry: Entry) -> None:
        append = message.append
        archive = self.archives.setdefault(entry.archive, [])
        target = self.position_of(entry.archive, self.own(append))
        item = Item(message, entry, target)
        archive.append(item)
        position = len(archive)
        message.places.append((entry.archive, position))
        message.targets.append(target)
        if item.is_counted:
            row = self.rows.setdefault((entry.archive, entry.peer), Row(entry.archive))
            if entry.direction is Direction.SENT:
                row.pointer, row.is_marked = position, False
            if row.box == "archive" and not row.is_gone:
                message.returned.append(entry.archive)
            if row.box == "archive" or row.is_gone:
                row.box, row.is_gone = "inbox", False
            if entry.reader is not None:
                self.move(entry.reader, entry.peer, entry.archive, position)
        if target and append.kind is EntryKind.RETRACTION:
            archive[target - 1].is_withdrawn = True
        if target and entry.reads and archive[target - 1].entry.peer == entry.peer:
            self.move(entry.reader or entry.archive, entry.peer, entry.archive, target)

    def own(self, append: Append) -> tuple[Target, ...]:
        """Give the targets that the message may refer to: it changes what its sender sent to whom it goes."""
        if append.kind not in (EntryKind.CORRECTION, EntryKind.RETRACTION):
            return append.refers_to
        return tuple(
            each for each in append.refers_to if not isinstance(each, EntryRef) or self.is_own(each, append)
        )

    def is_own(self, target: EntryRef, append: Append) -> bool:
        entry = next((entry for entry in append.entries if entry.archive == target.archive), None)
        items = self.archives.get(target.archive, [])
        if entry is None or not 1 <= target.position <= len(items):
            return False
        there = items[target.position - 1].entry
        is_sent = there.direction is Direction.SENT or entry.peer == entry.archive
        return there.peer == entry.peer and is_sent

    def read(self, read: ReadMove) -> bool:
        source = read.source or read.owner
        positions = [
            place
            for place, item in enumerate(self.archives.get(source, []), 1)
            if item.entry.peer == read.peer
        ]
        if read.upto == 0:
            return self.move(read.owner, read.peer, source, self.last(source, read.peer))
        positions = [place for place in positions if self.has(source, place)]
        upto = self.position_of(source, read.upto) if isinstance(read.upto, tuple) else read.upto
        if not self.has(source, upto):
            upto = 0
        upto = max((place for place in positions if place <= upto), default=0)
        return self.move(read.owner, read.peer, source, upto)

    def last(self, source: Jid, peer: Jid) -> int:
        """Give the position of the last message of a conversation that is to be read, trimmed or not."""
        places = enumerate(self.archives.get(source, []), 1)
        return max(
            (place for place, item in places if item.entry.peer == peer and item.is_counted), default=0
        )

    def move(self, owner: Jid, peer: Jid, source: Jid, position: int) -> bool:
        row = self.rows.get((owner, peer))
        if row is None:
            if source == owner:
                return False
            self.rows[owner, peer] = Row(source, position)
            return True
        if position <= row.pointer and not (position and row.is_marked):
            return False
        row.pointer, row.is_marked = max(position, row.pointer), False
        return True

    def change(self, change: InboxChange) -> bool:
        row = self.rows.get((change.owner, change.peer))
        if row is None or row.is_gone:
            return False
        row.box = row.box if change.box is None else change.box
        row.pinned = row.pinned if change.pinned is None else change.pinned
        if change.unread is True:
            row.is_marked = True
        elif change.unread is False:
            row.is_marked = False
            row.pointer = max(row.pointer, self.last(row.source, change.peer))
        return True

    def seen(self, move: CursorMove) -> None:
        key = (move.archive, move.device)
        position = min(move.position, len(self.archives.get(move.archive, [])))
        self.devices[key] = max(position, self.devices.get(key, 0))

    # -- looking

    def position_of(self, archive: Jid, targets: tuple[Target, ...]) -> int:
        for target in targets:
            for message in reversed(self.messages):
                is_meant = (
                    target.epoch != UNKNOWN
                    and (target.archive, target.position) in message.places
                    and self.has(target.archive, target.position)
                    if isinstance(target, EntryRef)
                    else target in message.append.keys
                )
                mine = [position for jid, position in message.places if jid == archive]
                if is_meant and self.is_there(message) and mine and self.has(archive, mine[-1]):
                    return mine[-1]
        return 0

    def has(self, archive: Jid, position: int) -> bool:
        return self.first(archive) <= position <= len(self.archives.get(archive, []))

    def first(self, archive: Jid) -> int:
        return self.firsts.get(archive, 1)

    def is_there(self, message: Message) -> bool:
        """Tell whether any archive still has an entry of it."""
        return any(self.has(*place) for place in message.places)

    def unread(self, owner: Jid) -> dict[Jid, int]:
        """What every conversation of an inbox has unread."""
        unread = {}
        for (of, peer), row in self.rows.items():
            if of == owner and not row.is_gone:
                later = enumerate(self.archives.get(row.source, []), 1)
                count = sum(
                    position > row.pointer
                    and item.entry.peer == peer
                    and item.is_counted
                    and item.entry.direction is Direction.RECEIVED
                    and not item.is_withdrawn
                    and self.has(row.source, position)
                    for position, item in later
                )
                unread[peer] = max(count, int(row.is_marked))
        return unread

    def matching(self, archive: Jid, peer: Jid | None, *, is_all: bool = False) -> list[int]:
        items = enumerate(self.archives.get(archive, []), 1)
        return [
            position
            for position, item in items
            if (peer is None or item.entry.peer == peer)
            and self.has(archive, position)
            and not item.is_erased
            and (is_all or not item.entry.offline_only)
        ]

    # -- forgetting

    def hold(self, archive: Jid, position: int, is_held: bool) -> None:
        if self.has(archive, position):
            self.archives[archive][position - 1].is_held = is_held

    def erase(self, archive: Jid, positions: list[int]) -> int:
        items = [
            self.archives[archive][position - 1] for position in positions if self.has(archive, position)
        ]
        items = [item for item in items if not item.is_held and not item.is_erased]
        for item in items:
            item.is_erased = item.is_withdrawn = True
            item.target = 0
        return len(items)

    def erase_conversation(self, archive: Jid, peer: Jid) -> None:
        self.erase(archive, self.matching(archive, peer, is_all=True))
        items = enumerate(self.archives.get(archive, []), 1)
        held = [item for place, item in items if self.has(archive, place) and item.entry.peer == peer]
        row = self.rows.get((archive, peer))
        if row is not None and not any(item.is_held for item in held):
            row.is_gone = True

    def trim(self, archive: Jid, keep: int) -> None:
        last = max(self.first(archive) - 1, len(self.archives.get(archive, [])) - keep)
        positions = range(self.first(archive), last + 1)
        held = [position for position in positions if self.archives[archive][position - 1].is_held]
        self.firsts[archive] = end = held[0] if held else last + 1
        for position in range(positions.start, end):  # what is gone counts as read
            row = self.rows.get((archive, self.archives[archive][position - 1].entry.peer))
            if row is not None:
                row.pointer = max(row.pointer, position)
        self.erase(archive, list(positions))
