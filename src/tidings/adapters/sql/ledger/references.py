"""Finding the messages that others refer to, by key or by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.conversations import find, stretches
from tidings.adapters.sql.ledger.encoding import (
    PER_FEED,
    Places,
    decode_places,
    epoch_number,
    epoch_text,
)
from tidings.adapters.sql.ledger.statements import COLUMNS, Asked, Sql
from tidings.adapters.sql.ledger.wanted import Wanted
from tidings.ports.ledger.batch import Accepted, EntryRef, Place, Target

_KEYS: Final = (
    "SELECT n.name, n.message, m.time, m.places FROM message_keys n JOIN messages m ON m.id = n.message "
    "WHERE n.name IN LIST ORDER BY n.message"
)
_AT: Final = (
    "SELECT e.archive, e.position, m.places FROM entries e JOIN messages m ON m.id = e.message "
    "WHERE (e.archive, e.position) IN PAIRS"
)
_ROWS: Final = (
    "SELECT e.archive, e.position, e.peer, e.count, e.flags, e.kind, e.target, m.sender FROM entries e "
    "LEFT JOIN messages m ON m.id = e.message WHERE (e.archive, e.position) IN PAIRS"
)

_WIDTH: Final = len(COLUMNS["entries"])


class Named(msgspec.Struct, frozen=True, gc=False):
    """A message that has a key."""

    message: int
    time: int
    places: Places
    content: bytes


class Referred(msgspec.Struct, frozen=True, gc=False):
    """An entry that others refer to."""

    peer: int
    count: int
    flags: int
    kind: int
    target: int
    sender: int | None
    """As `messages.sender` has it."""


class References:
    """What the items of a transaction refer to: messages by their keys and places, and their entries."""

    def __init__(self, sql: Sql, archives: Archives) -> None:
        self._sql = sql
        self._archives = archives
        self._at: dict[tuple[int, int], Places] = {}
        self._rows: dict[tuple[int, int], Referred] = {}
        self._indexed = 0
        self._names: dict[int, str] = {}
        self.by_key: dict[bytes, list[Named]] = {}
        """Every message with the key, oldest first."""
        self.senders: dict[int, int] = {}
        """Of messages that the transaction inserts, where `messages.sender` is not 0."""
        self.entries: list[Any] = []
        """The rows of `entries` that the transaction inserts, one value after another."""

    def ask(self, wanted: Wanted) -> Asked:
        """Begin to look up the keys; `take` ends it."""
        return self._sql.ask(_KEYS, wanted.keys())

    def take(self, asked: Asked) -> None:
        """Wait for what has the keys."""
        for key, message, time, places in self._sql.answer(asked):
            found = self.by_key.setdefault(bytes(key), [])
            stored = decode_places(places)
            found.append(Named(message, time, stored.places, stored.content))

    def load_places(self, places: list[EntryRef]) -> None:
        """Load what stands at these places."""
        if not places:
            return
        self._archives.look_up({each.archive for each in places})
        ids = self._archives.ids
        pairs = sorted({(ids[each.archive], each.position) for each in places if each.archive in ids})
        for archive, position, found in self._sql.find(_AT, pairs):
            self._at[archive, position] = decode_places(found).places

    def load_rows(self, pairs: set[tuple[int, int]]) -> None:
        """Load what moving a pointer or withdrawing a message needs to know of entries."""
        for archive, position, *row in self._sql.find(_ROWS, sorted(pairs)):
            self._rows[archive, position] = Referred(*row)

    def row(self, archive: int, position: int) -> Referred | None:
        """Give what is known of an entry; None where there is none."""
        row = self._rows.get((archive, position))
        if row is None:
            fresh = self.entries
            for start in range(self._indexed, len(fresh), _WIDTH):
                place = fresh[start], fresh[start + 1]
                sender = self.senders.get(fresh[start + 2], 0)
                peer, kind, flags, count, target = fresh[start + 4 : start + 9]
                self._rows[place] = Referred(peer, count, flags, kind, target, sender)
            self._indexed = len(fresh)
            row = self._rows.get((archive, position))
        if row is None:
            self.load_rows({(archive, position)})
            row = self._rows.get((archive, position))
        return row

    def last_before(self, archive: int, peer: int, position: int) -> tuple[int, int]:
        """Give position and count of the last entry of a conversation before a position; zeros for none."""
        fresh = self.entries
        for start in range(len(fresh) - _WIDTH, -1, -_WIDTH):
            if fresh[start] == archive and fresh[start + 4] == peer and fresh[start + 1] < position:
                return fresh[start + 1], fresh[start + 7]
        parts = stretches(self._sql, archive, peer, 1, position - 1)
        before = find(self._sql, parts, "e.position, e.count", newest=True, limit=1)
        return (before[0][0], before[0][1]) if before else (0, 0)

    def position_of(
        self,
        targets: tuple[Target, ...],
        archive: int,
        first: int,
        is_meant: Callable[[Target, int], bool] | None = None,
    ) -> int:
        """Give the position in an archive of the first target that is there and meant, 0 for none."""
        for target, position in self.positions_of(targets, archive, first):
            if is_meant is None or is_meant(target, position):
                return position
        return 0

    def positions_of(
        self, targets: tuple[Target, ...], archive: int, first: int
    ) -> Iterator[tuple[Target, int]]:
        """Give every position in an archive that the targets may mean, the first one first."""
        for target in targets:
            for places in self._places_of(target):
                position = max((place[2] for place in places if place[0] == archive), default=0)
                if position >= first:
                    yield target, position

    def _places_of(self, target: Target) -> list[Places]:
        """Give the places of every message that the target may mean, the newest first."""
        if not isinstance(target, EntryRef):
            return [found.places for found in reversed(self.by_key.get(target, ()))]
        archive = self._archives.ids.get(target.archive, 0)
        place = (archive, epoch_number(target.epoch), target.position)
        places = self._at.get((archive, target.position))
        if places is None:  # perhaps of this transaction
            fresh = (found.places for each in self.by_key.values() for found in each)
            places = next((found for found in fresh if place in found), [])
        return [places] if place in places else []

    def first_result(self, found: Named) -> Accepted:
        """Tell again what became of a message."""
        names = self._names
        for jid, number in self._archives.ids.items():
            names[number] = jid
        names.update(self._archives.names_of({place[0] for place in found.places} - names.keys()))
        return Accepted(
            places=tuple(
                Place(names[archive], epoch_text(epoch), position)
                for archive, epoch, position in found.places
            ),
            time=found.time,
            feed=found.message // PER_FEED,
            repeated=True,
        )
