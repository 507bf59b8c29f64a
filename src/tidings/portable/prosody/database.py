"""The SQL database: rows of keys and values, and of what archives have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy
from sqlalchemy import Column, MetaData, RowMapping, String, select

from tidings.portable.errors import PortableError
from tidings.portable.prosody.entry import Entry
from tidings.portable.prosody.stanza import element_of
from tidings.portable.prosody.table import Table, Value, read_json
from tidings.portable.rows import Rows
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns

_METADATA: Final = MetaData()
_KEPT: Final = sqlalchemy.Table(
    "prosody",
    _METADATA,
    *(Column(name, String) for name in ("host", "user", "store", "key", "type", "value")),
)
_ARCHIVES: Final = sqlalchemy.Table(
    "prosodyarchive",
    _METADATA,
    *(
        Column(name, String)
        for name in ("sort_id", "host", "user", "store", "key", "when", "with", "type", "value")
    ),
)


class ProsodyDatabase:
    """What Prosody's `sql` storage has written."""

    def __init__(self, url: str) -> None:
        """Begin; `url` is as that of [database]."""
        self._rows = Rows(url)

    def domains(self) -> Iterator[str]:
        """Give the domains that have accounts."""
        kept = _KEPT.c
        for row in self._rows.select(select(kept.host).where(kept.store == "accounts").distinct()):
            yield row["host"]

    def users(self, domain: str) -> Iterator[str]:
        """Give the names of the accounts of a domain."""
        kept = _KEPT.c
        wanted = select(kept.user).where(kept.host == domain, kept.store == "accounts").distinct()
        for row in self._rows.select(wanted.order_by(kept.user)):
            yield row["user"]

    def stores(self, domain: str, user: str) -> Iterator[str]:
        """Give the stores that have something of a user."""
        for columns in (_KEPT.c, _ARCHIVES.c):
            wanted = select(columns.store).where(columns.host == domain, columns.user == user).distinct()
            for row in self._rows.select(wanted):
                yield row["store"]

    def get(self, domain: str, store: str, user: str) -> Table | None:
        """Give what a store has of a user; None where that is nothing."""
        kept = _KEPT.c
        wanted = select(kept.key, kept.type, kept.value).where(
            kept.host == domain, kept.user == user, kept.store == store
        )
        table = None
        for row in self._rows.select(wanted):
            table = table or Table()
            read, key = self._value(row, f"{store} of {user}@{domain}"), row["key"]
            if isinstance(read, Element):
                continue  # no store of keys and values has any
            if key:
                table.fields[key] = read
            elif isinstance(read, Table):  # what has no text for a key
                table.fields.update(read.fields)
                table.items += read.items
                table.whole = read.whole
        return table

    def entries(self, domain: str, store: str, user: str) -> Iterator[Entry]:
        """Give what an archive has of a user, oldest first."""
        kept = _ARCHIVES.c
        wanted = select(kept.key, kept.when, kept["with"], kept.type, kept.value).where(
            kept.host == domain, kept.user == user, kept.store == store
        )
        for row in self._rows.select(wanted.order_by(kept.sort_id)):
            read = self._value(row, f"{store} of {user}@{domain}")
            if isinstance(read, Table):
                read = element_of(read, ns.CLIENT)
            if isinstance(read, Element):
                yield Entry(row["key"] or "", float(row["when"]), row["with"] or "", read)

    def _value(self, row: RowMapping, where: str) -> Value | Element:
        value: str = row["value"]
        try:
            match row["type"]:
                case "json":
                    return read_json(value)
                case "xml":
                    return decode(value.encode(), ns.CLIENT)
                case "number":
                    return float(value)
                case "boolean":
                    return value == "true"
                case _:
                    return value
        except ValueError as error:
            raise PortableError(f"{self._rows.place}, {where}: {error}") from None
