"""What a group of items needs to know and to lock, found in one pass over them."""

from __future__ import annotations

from collections.abc import Sequence

from tidings.ports.ledger.batch import Append, CursorMove, EntryRef, Event, InboxChange, ReadMove, Target

Item = Append | ReadMove | InboxChange | CursorMove | Event
"""What is committed whole."""


class Wanted:
    """The archives to lock, the conversations, streams and keys to load."""

    __slots__ = ("archives", "others", "pairs", "repeats", "streams", "targets")

    def __init__(self, items: Sequence[Item]) -> None:
        self.archives: set[str] = set()
        self.others: set[str] = set()
        """Addresses whose archives are not locked: what is read, and where messages are sent."""
        self.pairs: set[tuple[str, str]] = set()
        self.repeats: set[bytes] = set()
        self.streams: set[bytes] = set()
        self.targets: set[Target] = set()
        for item in items:
            if type(item) is Append:
                self._append(item)
            elif type(item) is ReadMove:
                self._read(item)
            elif type(item) is InboxChange:
                self.archives.add(item.owner)
                self.pairs.add((item.owner, item.peer))
            elif type(item) is CursorMove:
                self.archives.add(item.archive)

    def _append(self, append: Append) -> None:
        self._part(append)
        if append.stream is not None:
            self.streams.add(append.stream)
        for part in append.also:
            self._part(part)

    def _part(self, append: Append) -> None:
        archives, pairs = self.archives, self.pairs
        for entry in append.entries:
            archives.add(entry.archive)
            pairs.add((entry.archive, entry.peer))
            if entry.reader is not None:
                archives.add(entry.reader)
                pairs.add((entry.reader, entry.peer))
        if append.repeat is not None:
            self.repeats.add(append.repeat)
        if append.refers_to:
            self.targets.update(append.refers_to)
        if append.outbox:
            self.others.update(target.domain for target in append.outbox)
        if append.sender:
            self.others.add(append.sender.partition("/")[0])
        if append.mentions:
            self.others.update(append.mentions)
        if append.raises:
            archives.update(append.raises)
        if append.versions or append.properties or append.members:
            self._of_rooms(append)
        for read in append.reads:
            self._read(read)

    def _of_rooms(self, append: Append) -> None:
        archives, pairs = self.archives, self.pairs
        archives.update(archive for archive, _ in append.versions)
        archives.update(kept.archive for kept in append.properties)
        for change in append.members:
            archives.update((change.room, change.member))
            pairs.update(((change.member, change.room), (change.room, change.room)))

    def _read(self, read: ReadMove) -> None:
        self.archives.add(read.owner)
        self.pairs.add((read.owner, read.peer))
        if read.source is not None:
            self.others.add(read.source)
            self.pairs.add((read.source, read.peer))
        if isinstance(read.upto, tuple):
            self.targets.update(read.upto)

    def jids(self) -> set[str]:
        """Give every address that needs a number."""
        return self.archives | self.others | {peer for _, peer in self.pairs}

    def places(self) -> list[EntryRef]:
        """Give the targets that are places."""
        return [target for target in self.targets if isinstance(target, EntryRef)]

    def keys(self) -> list[bytes]:
        """Give the keys that may be known, in a fixed order."""
        return sorted(
            self.repeats.union(target for target in self.targets if not isinstance(target, EntryRef))
        )
