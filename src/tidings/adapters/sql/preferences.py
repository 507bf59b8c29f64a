"""Archive preferences in SQL: one row an account; its lists are read and written whole, as JSON."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import archive_preferences, key_of
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.preferences import StoredPreferences
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault

_columns = archive_preferences.c


class SqlPreferences:
    """The preferences port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: Jid) -> StoredPreferences | None:
        """Give what the account has decided, or None."""
        statement = select(_columns.standard, _columns.always, _columns.never).where(
            _columns.account == key_of(account)
        )

        def work(connection: Connection) -> StoredPreferences | None:
            row = connection.execute(statement).first()
            if row is None:
                return None
            return StoredPreferences(ArchiveDefault(row.standard), _jids(row.always), _jids(row.never))

        return await self._database.read(work)

    async def put(self, account: Jid, preferences: StoredPreferences) -> None:
        """Keep these in place of the ones before."""
        row = {
            "account": key_of(account),
            "standard": preferences.default.value,
            "always": _list(preferences.always),
            "never": _list(preferences.never),
        }
        await self._database.write(
            lambda connection: put(connection, archive_preferences, row), refused=NoSuchAccount(account)
        )


def _list(jids: tuple[Jid, ...]) -> bytes:
    return msgspec.json.encode([str(jid) for jid in jids])


def _jids(raw: bytes) -> tuple[Jid, ...]:
    return tuple(map(Jid, msgspec.json.decode(raw, type=list[str])))
