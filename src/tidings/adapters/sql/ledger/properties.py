"""What is known of archives as a whole: the changes that come with messages, and what is read of them."""

from __future__ import annotations

from typing import Final

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.reader import Reader
from tidings.adapters.sql.ledger.statements import Sql
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import PropertyChange
from tidings.ports.ledger.reading import Property

_FORGET: Final = "DELETE FROM properties WHERE archive = ? AND name = ?"
_OF_DOMAIN: Final = (
    "SELECT p.archive, j.jid, p.value FROM properties p JOIN jids j ON j.id = p.archive "
    "WHERE p.name = ? AND p.archive > ? ORDER BY p.archive LIMIT 500"
)


class Properties:
    """The properties that a transaction changes, under the locks of their archives."""

    def __init__(self, sql: Sql, archives: Archives) -> None:
        self._sql = sql
        self._archives = archives
        self._changed: dict[tuple[int, str], bytes] = {}

    def change(self, change: PropertyChange) -> None:
        """Let a property have another value."""
        self._changed[self._archives.ids[change.archive], change.name] = change.value

    def write(self) -> None:
        """Write what was changed."""
        feed, put = self._archives.feed, []
        for (archive, name), value in sorted(self._changed.items()):
            if value:
                put.append((archive, bytearray(name, "utf-8"), bytearray(value), feed))
            else:
                self._sql.run(_FORGET, archive, name.encode())
        self._sql.put("properties", put)


class PropertyReader:
    """Answers what is known of archives as a whole."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def properties(self, archive: Jid) -> dict[str, bytes]:
        """Give what is known of one archive."""
        statement = "SELECT name, value FROM properties WHERE archive = ?"
        rows = self._reader.run(statement, self._reader.number_of(archive))
        return {bytes(name).decode(): bytes(value) for name, value in rows}

    def with_property(self, domain: str, name: str, after: Jid | None, limit: int) -> tuple[Property, ...]:
        """List the archives of a domain that have a property, in the order of their numbers."""
        start = 0 if after is None else self._reader.number_of(after)
        found: list[Property] = []
        while len(found) < limit and (rows := self._reader.run(_OF_DOMAIN, name.encode(), start)):
            for _, text, value in rows:
                archive = Jid(bytes(text).decode())
                if archive.domain == domain:
                    found.append(Property(archive, name, bytes(value)))
            start = rows[-1][0]
        return tuple(found[:limit])
