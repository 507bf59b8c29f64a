"""How far the XEP-0198 streams have come on which messages arrive."""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.statements import Asked, Sql
from tidings.ports.ledger.batch import Append, Stale

_SELECT: Final = "SELECT stream, number FROM streams WHERE stream IN LIST ORDER BY stream"


class Streams:
    """The streams of a transaction, locked."""

    def __init__(self, sql: Sql, caches: Caches) -> None:
        self._sql = sql
        self._caches = caches
        self._moved: set[bytes] = set()
        self.numbers: dict[bytes, int] = {}
        """The highest number of each that is committed, or will be with this transaction."""
        self.stale: dict[bytes, Stale] = {}
        """Those on which a message goes back to guard: what follows on them does not overtake it."""

    def ask(self, streams: set[bytes]) -> Asked:
        """Begin to lock streams; `take` ends it."""
        remembered = self._caches.streams
        self.numbers = {stream: remembered.get(stream, 0) for stream in streams}
        missing = sorted(stream for stream in streams if stream not in remembered)
        return self._sql.ask(_SELECT + self._sql.locked, missing)

    def take(self, asked: Asked) -> None:
        """Wait for the locks."""
        for stream, number in self._sql.answer(asked):
            self.numbers[bytes(stream)] = number

    def move(self, append: Append) -> None:
        """Note how far the stream of a message has come, where it has one."""
        if append.stream is not None:
            self.numbers[append.stream] = append.number
            self._moved.add(append.stream)

    def refuse(self, append: Append, stale: Stale) -> Stale:
        """Send a message back to its caller; what follows on its stream must not overtake it."""
        if append.stream is not None:
            self.stale[append.stream] = stale
        return stale

    def write(self, time: int) -> None:
        """Write how far they have come."""
        values: list[Any] = []
        for stream in self._moved:
            values += (stream, self.numbers[stream], time)
        self._sql.put_flat("streams", values)

    def keep(self) -> None:
        """Remember what is surely committed now."""
        if self._sql.is_sqlite:
            self._caches.streams.update(self.numbers)
