"""All SQL stores behind one value."""

from __future__ import annotations

from tidings.adapters.memory.ledger import NullLedger
from tidings.adapters.sql.accounts import SqlAccounts
from tidings.adapters.sql.blocking import SqlBlocking
from tidings.adapters.sql.engine import Database, open_database
from tidings.adapters.sql.private import SqlPrivate
from tidings.adapters.sql.roster import SqlRoster
from tidings.adapters.sql.vcard import SqlVCards


class SqlStores:
    """Every port over one database; made by `open_stores`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.accounts = SqlAccounts(database)
        self.roster = SqlRoster(database)
        self.private = SqlPrivate(database)
        self.vcards = SqlVCards(database)
        self.blocking = SqlBlocking(database)
        self.ledger = NullLedger()

    async def ping(self) -> None:
        """Return when the database answers; raises `BackendError` otherwise."""
        await self.database.ping()

    async def close(self) -> None:
        """Finish what was begun and close every connection and thread."""
        await self.database.close()


async def open_stores(url: str, *, readers: int = 3, lock_seconds: float = 2.0) -> SqlStores:
    """Open the stores of a database and bring its schema up to date; see `open_database`."""
    return SqlStores(await open_database(url, readers=readers, lock_seconds=lock_seconds))
