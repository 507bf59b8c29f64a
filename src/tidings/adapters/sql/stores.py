"""All SQL stores behind one value."""

from __future__ import annotations

from collections.abc import Callable

from tidings.adapters.file_lock import PATIENCE
from tidings.adapters.sql.accounts import SqlAccounts
from tidings.adapters.sql.blocking import SqlBlocking
from tidings.adapters.sql.displayed import SqlDisplayed
from tidings.adapters.sql.documents import SqlDocuments
from tidings.adapters.sql.domains import SqlDomains
from tidings.adapters.sql.engine import Database, open_database
from tidings.adapters.sql.files import SqlFiles
from tidings.adapters.sql.groups import SqlGroups
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.ledger.frames import WriterSetup
from tidings.adapters.sql.ledger.process_lock import WriterLock
from tidings.adapters.sql.ledger.remote import RemoteWriter
from tidings.adapters.sql.migrate import OnUpgrade
from tidings.adapters.sql.nodes import SqlNodes
from tidings.adapters.sql.preferences import SqlPreferences
from tidings.adapters.sql.private import SqlPrivate
from tidings.adapters.sql.removals import SqlRemovals
from tidings.adapters.sql.renaming import SqlRenaming
from tidings.adapters.sql.roster import SqlRoster
from tidings.adapters.sql.urls import database_file, describe, parse_url
from tidings.adapters.sql.vcard import SqlVCards
from tidings.ports.ledger import Ledger


class SqlStores:
    """Every port over one database; made by `open_stores`."""

    def __init__(self, database: Database, ledger: SqlLedger) -> None:
        self.database = database
        self.accounts = SqlAccounts(database)
        self.removals = SqlRemovals(database)
        self.domains = SqlDomains(database)
        self.roster = SqlRoster(database)
        self.groups = SqlGroups(database)
        self.private = SqlPrivate(database)
        self.displayed = SqlDisplayed(database)
        self.vcards = SqlVCards(database)
        self.blocking = SqlBlocking(database)
        self.preferences = SqlPreferences(database)
        self.documents = SqlDocuments(database)
        self.nodes = SqlNodes(database)
        self.files = SqlFiles(database)
        self.renaming = SqlRenaming(ledger)
        self._ledger = ledger
        self.ledger: Ledger | None = ledger

    async def ping(self) -> None:
        """Return when the database answers; raises `BackendError` otherwise."""
        await self.database.ping()

    async def close(self) -> None:
        """Finish what was begun and close every connection, thread and process."""
        await self._ledger.close_writer()
        await self.database.close()


async def open_stores(
    url: str,
    *,
    readers: int = 4,
    lock_seconds: float = 2.0,
    repeat_days: int = 90,
    wait_seconds: float = 10.0,
    waiting_octets: int = 64 << 20,
    in_process: bool = False,
    writes_as: str = "",
    patience: float = PATIENCE,
    on_wait: Callable[[str], None] = lambda _: None,
    on_upgrade: OnUpgrade | None = None,
) -> SqlStores:
    """Open the stores of a database and bring its schema up to date; see `open_database` and `SqlLedger`.

    Where another process uses an SQLite database, `on_wait` is told, and `InUseError` is raised after
    `patience` seconds.
    """
    remote = None
    if in_process:
        setup = WriterSetup(url, lock_seconds, repeat_days, wait_seconds, waiting_octets, writes_as)
        path = database_file(parse_url(url))
        lock = None
        if path is not None and path.parent.is_dir():
            lock = WriterLock(path)
            await lock.acquire(patience, on_wait)
        remote = RemoteWriter(setup, describe(parse_url(url)), lock=lock)
        await remote.start()  # it opens the database beside this
        writes_as = ""
    try:
        database = await open_database(
            url,
            readers=readers,
            lock_seconds=lock_seconds,
            writes_as=writes_as,
            copies_log=remote is None,
            on_upgrade=on_upgrade,
        )
        if remote is not None and database.dialect != "sqlite":
            # There a killed process may have left a transaction that is committed yet; see `writes_as`.
            await remote.ready()
    except BaseException:
        if remote is not None:
            await remote.close()
        raise
    ledger = SqlLedger(
        database,
        window_days=repeat_days,
        patience=wait_seconds,
        queue_octets=waiting_octets,
        remote=remote,
    )
    return SqlStores(database, ledger)
