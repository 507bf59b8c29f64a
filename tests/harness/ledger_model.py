"""The ledger as a plain program says it: lists and dictionaries, one call after another."""

from __future__ import annotations

from collections.abc import Iterator
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
    MemberChange,
    ReadMove,
    Target,
)

Place = tuple[Jid, int]

UNKNOWN = "unknown"
"""The epoch of a place that nothing has."""


CHANGING = (EntryKind.CORRECTION, EntryKind.RETRACTION)
"""What only the sender of a message may do to it."""


@dataclass
class Message:
    append: Append
    batch: int = 0
    """The number of the commit that accepted it."""
    places: list[Place] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    returned: list[Jid] = field(default_factory=list)
    also: list[Message] = field(default_factory=list)

    @property
    def sender(self) -> str:
        """The bare JID of who sent it."""
        if self.append.sender:
            return self.append.sender.partition("/")[0]
        for entry in self.append.entries:
            if entry.reader is not None:
                return entry.reader
            if entry.direction is Direction.SENT:
                return entry.archive
        return self.append.entries[0].peer.partition("/")[0]


@dataclass
class Answer:
    """What is to become of an append."""

    kind: str
    """accepted, repeated, stale, conflict or full"""
    message: Message | None = None
    full: tuple[Jid, int, int] | None = None
    """The archive that has no room, how many octets it would have, and how many it may have."""


@dataclass
class Item:
    message: Message
    entry: Entry
    target: int
    is_withdrawn: bool = False
    is_retracted: bool = False
    is_erased: bool = False
    is_held: bool = False

    @property
    def is_correction(self) -> bool:
        return self.message.append.kind is EntryKind.CORRECTION

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

    def bring_back(self) -> None:
        """Stand in the inbox again, if it was archived or taken out."""
        if self.box == "archive" or self.is_gone:
            self.box, self.is_gone = "inbox", False


@dataclass
class Model:
    archives: dict[Jid, list[Item]] = field(default_factory=dict)
    rows: dict[tuple[Jid, Jid], Row] = field(default_factory=dict)
    devices: dict[tuple[Jid, str], int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    streams: dict[bytes, int] = field(default_factory=dict)
    firsts: dict[Jid, int] = field(default_factory=dict)
    versions: dict[Jid, int] = field(default_factory=dict)
    members: dict[tuple[Jid, Jid], tuple[str, int | None]] = field(default_factory=dict)
    """Affiliation and position at joining, by room and member."""
    batch: int = 0
    """How many commits there were: the model's time."""

    # -- writing

    def commit(self, appends: tuple[Append, ...]) -> list[Answer]:
        """Append messages in one transaction: after a stale one, nothing passes on its stream."""
        self.batch += 1
        stale: set[bytes] = set()
        answers = []
        for append in appends:
            answer = Answer("stale") if append.stream in stale else self.append(append)
            if answer.kind == "stale" and append.stream is not None:
                stale.add(append.stream)
            answers.append(answer)
        return answers

    def append(self, append: Append) -> Answer:
        stands = 0 if append.stream is None else self.streams.get(append.stream, 0)
        has_passed = append.stream is not None and append.number <= stands
        if append.stream is not None and not has_passed and append.follows not in (None, stands):
            return Answer("stale")
        first, other = self.repeated(append)
        if has_passed:
            return Answer("repeated", first)
        if first is None and other is not None and append.is_strict:
            return Answer("conflict", other)
        if first is None:
            parts = (append, *append.also)
            if any(self.is_stale(entry) for part in parts for entry in part.entries):
                return Answer("stale")
            full = next(self.without_room(parts), None)
            if full is not None:
                return Answer("full", full=full)
        if append.stream is not None:
            self.streams[append.stream] = append.number
        if first is not None:
            return Answer("repeated", first)
        message, *also = [self._accept(part) for part in (append, *append.also)]
        message.also = also
        return Answer("accepted", message)

    def without_room(self, parts: tuple[Append, ...]) -> Iterator[tuple[Jid, int, int]]:
        """Give the archives that would have too many octets, one entry after another."""
        added: dict[Jid, int] = {}
        for part in parts:
            for entry in part.entries:
                added[entry.archive] = added.get(entry.archive, 0) + len(part.body)
                octets = self.octets(entry.archive) + added[entry.archive]
                if entry.most_octets and octets > entry.most_octets:
                    yield entry.archive, octets, entry.most_octets

    def is_stale(self, entry: Entry) -> bool:
        return entry.version not in (None, self.versions.get(entry.archive, 0))

    def repeated(self, append: Append) -> tuple[Message | None, Message | None]:
        """Give the first send of the same, and the last one of something else with its key."""
        if append.repeat is None:
            return None, None
        since = self.batch - append.repeat_within if append.repeat_within else 0
        young = [each for each in self.messages if each.batch >= since]
        found = [each for each in young if append.repeat in each.append.keys and self.is_there(each)]
        same = [each for each in found if is_same(each.append.content, append.content)]
        others = [each for each in found if each not in same]
        return next(iter(same), None), next(reversed(others), None)

    def _accept(self, append: Append) -> Message:
        message = Message(append, self.batch)
        self.messages.append(message)
        for entry in append.entries:
            self._enter(message, entry)
        for archive in append.raises:
            self.versions[archive] = self.versions.get(archive, 0) + 1
        for change in append.members:
            self.change_member(change)
        for read in append.reads:
            self.read(read)
        return message

    def _enter(self, message: Message, entry: Entry) -> None:
        append = message.append
        archive = self.archives.setdefault(entry.archive, [])
        target = self.position_of(entry.archive, append.refers_to, changed_by=(message, entry))
        if append.kind is EntryKind.CORRECTION and target:
            target = self.original_of(entry.archive, target)
        item = Item(message, entry, target)
        archive.append(item)
        position = len(archive)
        message.places.append((entry.archive, position))
        message.targets.append(target)
        if item.is_counted:
            row = self.rows.setdefault((entry.archive, entry.peer), Row(entry.archive))
            if row.source == entry.archive and entry.direction is Direction.SENT:
                row.pointer, row.is_marked = position, False
            if row.source != entry.archive and entry.direction is Direction.RECEIVED:
                row.is_marked = True  # for the member alone, beside what the room has
            if row.box == "archive" and not row.is_gone:
                message.returned.append(entry.archive)
            row.bring_back()
            if entry.reader is not None:
                self.move(entry.reader, entry.peer, entry.archive, position)
        if target and append.kind is EntryKind.RETRACTION:
            archive[target - 1].is_withdrawn = archive[target - 1].is_retracted = True
        if target and entry.reads and archive[target - 1].entry.peer == entry.peer:
            self.move(entry.reader or entry.archive, entry.peer, entry.archive, target)

    def may_change(self, message: Message, entry: Entry, position: int) -> bool:
        """Tell whether a message may change another one: it is of the same sender, or the room sent it."""
        there = self.archives[entry.archive][position - 1]
        is_of_room = entry.archive == entry.peer == message.sender
        return there.entry.peer == entry.peer and (is_of_room or there.message.sender == message.sender)

    # -- members

    def change_member(self, change: MemberChange) -> None:
        key = change.room, change.member
        joined = self.members.get(key, ("", None))[1]
        if change.joins is False or not change.affiliation:
            joined = None
            self.leave(change.member, change.room)
        elif change.joins:
            joined = len(self.archives.get(change.room, []))
            self.join(change.member, change.room, joined)
        self.members[key] = change.affiliation, joined
        if not change.affiliation:
            del self.members[key]

    def join(self, owner: Jid, room: Jid, position: int) -> None:
        row = self.rows.get((owner, room))
        if row is None or row.source != room:
            row = self.hold_by(owner, room, room)
        row.bring_back()
        row.pointer, row.is_marked = max(position, row.pointer), False

    def leave(self, owner: Jid, room: Jid) -> None:
        row = self.rows.get((owner, room))
        if row is not None and row.source != owner:
            row.source, row.is_marked, row.is_gone = owner, False, True
            row.pointer = self.last(owner, room)

    def hold_by(self, owner: Jid, peer: Jid, source: Jid) -> Row:
        row = self.rows.setdefault((owner, peer), Row(source))
        row.source, row.pointer = source, 0
        row.bring_back()
        return row

    def forget(self, jid: Jid) -> None:
        """Forget an account or a room, of which nothing is held."""
        for owner, room in list(self.rows):
            if self.rows[owner, room].source != owner and jid in (owner, room):
                if jid == owner and (room, owner) not in self.members:
                    self.versions[room] = self.versions.get(room, 0) + 1
                self.leave(owner, room)
        for room, member in list(self.members):
            if jid in (room, member):
                del self.members[room, member]
                if jid == member:
                    self.versions[room] = self.versions.get(room, 0) + 1
        self.firsts[jid] = len(self.archives.get(jid, [])) + 1
        self.rows = {key: row for key, row in self.rows.items() if key[0] != jid}
        self.devices = {key: position for key, position in self.devices.items() if key[0] != jid}

    # -- reading

    def read(self, read: ReadMove) -> bool:
        there = self.rows.get((read.owner, read.peer))
        source = read.source or (read.owner if there is None else there.source)
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
            row = self.hold_by(owner, peer, source)
        elif row.source != source:
            if source == owner:
                was_marked, row.is_marked = row.is_marked, row.is_marked and not position
                return was_marked and not row.is_marked
            row = self.hold_by(owner, peer, source)
        elif position <= row.pointer and not (position and row.is_marked):
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

    def position_of(
        self,
        archive: Jid,
        targets: tuple[Target, ...],
        changed_by: tuple[Message, Entry] | None = None,
    ) -> int:
        """Give the first target that is there; for what changes it, of those that its sender may change."""
        if changed_by is not None and changed_by[0].append.kind not in CHANGING:
            changed_by = None
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
                if not (is_meant and self.is_there(message) and mine and self.has(archive, mine[-1])):
                    continue
                if changed_by is None or self.may_change(*changed_by, mine[-1]):
                    return mine[-1]
        return 0

    def original_of(self, archive: Jid, position: int) -> int:
        """Give what an entry corrects, or the entry itself."""
        item = self.archives[archive][position - 1]
        return item.target if item.is_correction and self.has(archive, item.target) else position

    def is_retracted(self, archive: Jid, position: int) -> bool:
        """Tell whether an entry was taken back, or what it corrects."""
        item = self.archives[archive][position - 1]
        is_original = item.is_correction and item.target
        return item.is_retracted or bool(is_original and self.archives[archive][item.target - 1].is_retracted)

    def has(self, archive: Jid, position: int) -> bool:
        return self.first(archive) <= position <= len(self.archives.get(archive, []))

    def first(self, archive: Jid) -> int:
        return self.firsts.get(archive, 1)

    def octets(self, archive: Jid, after: int = 0) -> int:
        """Sum up the bodies behind a position that are there and were not erased."""
        items = enumerate(self.archives.get(archive, []), 1)
        here = [item for position, item in items if position > after and self.has(archive, position)]
        return sum(len(item.message.append.body) for item in here if not item.is_erased)

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

    def mentions(self, owner: Jid) -> dict[Jid, int]:
        """How many unread messages of each room mention somebody."""
        found = {}
        for (of, peer), row in self.rows.items():
            if of == owner and not row.is_gone:
                later = list(enumerate(self.archives.get(row.source, []), 1))[row.pointer :]
                found[peer] = sum(
                    (owner in item.message.append.mentions or item.message.append.mentions_all)
                    and not item.is_withdrawn
                    and self.has(row.source, position)
                    for position, item in later
                    if row.source != owner
                )
        return found

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
        positions = [position for position in positions if self.has(archive, position)]
        corrections = [
            position
            for position, item in enumerate(self.archives.get(archive, []), 1)
            if item.is_correction and item.target in positions and self.has(archive, position)
        ]
        return self.bury([self.archives[archive][position - 1] for position in {*positions, *corrections}])

    def bury(self, items: list[Item]) -> int:
        items = [item for item in items if not item.is_held and not item.is_erased]
        for item in items:
            item.is_erased = item.is_withdrawn = True
            if item.message.append.kind is not EntryKind.RETRACTION:
                item.target = 0
        return len(items)

    def erase_everywhere(self, archive: Jid, position: int) -> int:
        places: dict[Jid, list[int]] = {}
        for each, place in self.archives[archive][position - 1].message.places:
            places.setdefault(each, []).append(place)
        return sum(self.erase(each, found) for each, found in places.items())

    def forget_offline_only(self) -> None:
        """Erase what was kept for devices alone, and is too old for them."""
        for archive, items in self.archives.items():
            places = [place for place, item in enumerate(items, 1) if item.entry.offline_only]
            for place in places:
                if self.has(archive, place):
                    self.bury([items[place - 1]])

    def erase_conversation(self, archive: Jid, peer: Jid) -> None:
        self.erase(archive, self.matching(archive, peer, is_all=True))
        items = enumerate(self.archives.get(archive, []), 1)
        held = [item for place, item in items if self.has(archive, place) and item.entry.peer == peer]
        row = self.rows.get((archive, peer))
        if row is not None and not any(item.is_held for item in held):
            row.is_gone = True

    def trim(self, archive: Jid, keep: int | None = None, octets: int | None = None) -> None:
        last = self.first(archive) - 1
        if keep is not None:
            last = max(last, len(self.archives.get(archive, [])) - keep)
        while octets is not None and self.octets(archive, after=last) > octets:
            last += 1
        positions = range(self.first(archive), last + 1)
        held = [position for position in positions if self.archives[archive][position - 1].is_held]
        self.firsts[archive] = end = held[0] if held else last + 1
        for position in range(positions.start, end):  # what is gone counts as read
            row = self.rows.get((archive, self.archives[archive][position - 1].entry.peer))
            if row is not None and row.source == archive:
                row.pointer = max(row.pointer, position)
        self.erase(archive, list(positions))


def is_same(one: bytes, other: bytes) -> bool:
    """Tell whether two digests may be of the same content."""
    return not one or not other or one == other
