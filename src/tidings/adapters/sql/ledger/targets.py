"""Finding the messages that others refer to, by name or by place."""

from __future__ import annotations

from typing import Any

from tidings.adapters.sql.ledger.locks import (
    PER_FEED,
    LedgerTransaction,
    decode_places,
    epoch_number,
    epoch_text,
)
from tidings.adapters.sql.ledger.statements import COLUMNS, Asked
from tidings.adapters.sql.ledger.wanted import Wanted
from tidings.adapters.sql.tables import key_of
from tidings.ports.ledger.batch import Accepted, At, Place, Target

Places = list[tuple[int, int, int]]
"""(archive, epoch, position) of every entry of a message."""

_NAMES = (
    "SELECT n.name, n.message, m.time, m.places FROM names n JOIN messages m ON m.id = n.message "
    "WHERE n.name IN LIST ORDER BY n.message"
)
_AT = (
    "SELECT e.archive, e.position, m.places FROM entries e JOIN messages m ON m.id = e.message "
    "WHERE (e.archive, e.position) IN PAIRS"
)
_ROWS = "SELECT archive, position, peer, count, flags FROM entries WHERE (archive, position) IN PAIRS"

WIDTH = len(COLUMNS["entries"])


class Referring(LedgerTransaction):
    """A transaction that knows what its items refer to."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401  # as its parent
        super().__init__(*arguments)
        self._named: dict[bytes, list[tuple[int, int, Places]]] = {}
        """(message, time, places) of every message with the name, oldest first."""
        self._at: dict[tuple[int, int], Places] = {}
        self._rows: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._entries: list[Any] = []
        """The rows that are to be inserted, one value after another."""
        self._indexed = 0
        self._archives: dict[int, str] = {}

    def _ask_names(self, wanted: Wanted) -> Asked:
        return self._statements.ask(self._connection, _NAMES, wanted.keys())

    def _take_names(self, asked: Asked) -> None:
        for name, message, time, places in self._statements.answer(asked):
            found = self._named.setdefault(bytes(name), [])
            found.append((message, time, decode_places(places)[0]))

    def _load_places(self, wanted: Wanted) -> None:
        places = wanted.places()
        if places:
            self._look_up({at.archive for at in places})
            pairs = sorted({(self._ids[at.archive], at.position) for at in places if at.archive in self._ids})
            for archive, position, found in self._statements.find(self._connection, _AT, pairs):
                self._at[archive, position] = decode_places(found)[0]

    def _look_up(self, jids: set[Any]) -> None:
        """Find the numbers of addresses, of those that have one."""
        missing = {key_of(jid): jid for jid in jids if jid not in self._ids}
        if missing:
            self._find_ids(sorted(missing), missing)

    def _load_rows(self, pairs: set[tuple[int, int]]) -> None:
        """Load what moving a pointer or withdrawing a message needs to know of entries."""
        for archive, position, *row in self._statements.find(self._connection, _ROWS, sorted(pairs)):
            self._rows[archive, position] = tuple(row)

    def _row(self, archive: int, position: int) -> tuple[int, int, int] | None:
        """Give peer, count and flags of an entry."""
        row = self._rows.get((archive, position))
        if row is None:
            fresh = self._entries
            for start in range(self._indexed, len(fresh), WIDTH):
                place = fresh[start], fresh[start + 1]
                self._rows[place] = fresh[start + 4], fresh[start + 7], fresh[start + 6]
            self._indexed = len(fresh)
            row = self._rows.get((archive, position))
        if row is None:
            self._load_rows({(archive, position)})
            row = self._rows.get((archive, position))
        return row

    def _target(self, targets: tuple[Target, ...], archive: int, first: int) -> int:
        """Give the position in an archive of the first target that is there, 0 for none."""
        for target in targets:
            for places in self._places_of(target):
                position = max((place[2] for place in places if place[0] == archive), default=0)
                if position >= first:
                    return position
        return 0

    def _places_of(self, target: Target) -> list[Places]:
        """Give the places of every message that the target may mean, the newest first."""
        if not isinstance(target, At):
            return [found[2] for found in reversed(self._named.get(target, ()))]
        archive = self._ids.get(target.archive, 0)
        place = (archive, epoch_number(target.epoch), target.position)
        places = self._at.get((archive, target.position))
        if places is None:  # perhaps of this transaction
            fresh = (found[2] for each in self._named.values() for found in each)
            places = next((found for found in fresh if place in found), [])
        return [places] if place in places else []

    def _first_result(self, found: tuple[int, int, Places]) -> Accepted:
        """Tell again what became of a message."""
        message, time, places = found
        names = self._archives
        for jid, number in self._ids.items():
            names[number] = jid
        names.update(self._names_of({place[0] for place in places} - names.keys()))
        return Accepted(
            places=tuple(
                Place(names[archive], epoch_text(epoch), position) for archive, epoch, position in places
            ),
            time=time,
            feed=message // PER_FEED,
            repeated=True,
        )
