"""Finding the messages that others refer to, by key or by place."""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.archives import Archives
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
_ROWS: Final = "SELECT archive, position, peer, count, flags FROM entries WHERE (archive, position) IN PAIRS"

_WIDTH: Final = len(COLUMNS["entries"])


class References:
    """What the items of a transaction refer to: messages by their keys and places, and their entries."""

    def __init__(self, sql: Sql, archives: Archives) -> None:
        self._sql = sql
        self._archives = archives
        self._at: dict[tuple[int, int], Places] = {}
        self._rows: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._indexed = 0
        self._names: dict[int, str] = {}
        self.by_key: dict[bytes, list[tuple[int, int, Places]]] = {}
        """(message, time, places) of every message with the key, oldest first."""
        self.entries: list[Any] = []
        """The rows of `entries` that the transaction inserts, one value after another."""

    def ask(self, wanted: Wanted) -> Asked:
        """Begin to look up the keys; `take` ends it."""
        return self._sql.ask(_KEYS, wanted.keys())

    def take(self, asked: Asked) -> None:
        """Wait for what has the keys."""
        for key, message, time, places in self._sql.answer(asked):
            found = self.by_key.setdefault(bytes(key), [])
            found.append((message, time, decode_places(places)[0]))

    def load_places(self, places: list[EntryRef]) -> None:
        """Load what stands at these places."""
        if not places:
            return
        self._archives.look_up({each.archive for each in places})
        ids = self._archives.ids
        pairs = sorted({(ids[each.archive], each.position) for each in places if each.archive in ids})
        for archive, position, found in self._sql.find(_AT, pairs):
            self._at[archive, position] = decode_places(found)[0]

    def load_rows(self, pairs: set[tuple[int, int]]) -> None:
        """Load what moving a pointer or withdrawing a message needs to know of entries."""
        for archive, position, *row in self._sql.find(_ROWS, sorted(pairs)):
            self._rows[archive, position] = tuple(row)

    def row(self, archive: int, position: int) -> tuple[int, int, int] | None:
        """Give peer, count and flags of an entry."""
        row = self._rows.get((archive, position))
        if row is None:
            fresh = self.entries
            for start in range(self._indexed, len(fresh), _WIDTH):
                place = fresh[start], fresh[start + 1]
                self._rows[place] = fresh[start + 4], fresh[start + 7], fresh[start + 6]
            self._indexed = len(fresh)
            row = self._rows.get((archive, position))
        if row is None:
            self.load_rows({(archive, position)})
            row = self._rows.get((archive, position))
        return row

    def position_of(self, targets: tuple[Target, ...], archive: int, first: int) -> int:
        """Give the position in an archive of the first target that is there, 0 for none."""
        for target in targets:
            for places in self._places_of(target):
                position = max((place[2] for place in places if place[0] == archive), default=0)
                if position >= first:
                    return position
        return 0

    def _places_of(self, target: Target) -> list[Places]:
        """Give the places of every message that the target may mean, the newest first."""
        if not isinstance(target, EntryRef):
            return [found[2] for found in reversed(self.by_key.get(target, ()))]
        archive = self._archives.ids.get(target.archive, 0)
        place = (archive, epoch_number(target.epoch), target.position)
        places = self._at.get((archive, target.position))
        if places is None:  # perhaps of this transaction
            fresh = (found[2] for each in self.by_key.values() for found in each)
            places = next((found for found in fresh if place in found), [])
        return [places] if place in places else []

    def first_result(self, found: tuple[int, int, Places]) -> Accepted:
        """Tell again what became of a message."""
        message, time, places = found
        names = self._names
        for jid, number in self._archives.ids.items():
            names[number] = jid
        names.update(self._archives.names_of({place[0] for place in places} - names.keys()))
        return Accepted(
            places=tuple(
                Place(names[archive], epoch_text(epoch), position) for archive, epoch, position in places
            ),
            time=time,
            feed=message // PER_FEED,
            repeated=True,
        )
