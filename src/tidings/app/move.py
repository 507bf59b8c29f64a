"""`tidings migrate`: everything that a server keeps moves to another database, whichever kind that is.

Nobody may write meanwhile, so no server runs. What arrives is compared with what was there, table by table;
the former database is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from tidings.adapters.sql.dump import TABLES, Row, Snapshot, snapshot
from tidings.adapters.sql.load import load
from tidings.adapters.sql.urls import parse_url
from tidings.app import data_directory
from tidings.app.backup_file import RowDigest
from tidings.app.options import Config
from tidings.app.row_progress import OnProgress, RowProgress
from tidings.base.errors import BackupError

_MADE_ANEW: Final = frozenset({"followers"})
"""The index of the text search is not moved, and so its place in the feed is another one."""


async def move(config: Config, url: str, on_progress: OnProgress) -> dict[str, int]:
    """Copy the database that is configured into an empty one; gives the number of rows of each table.

    Raises `BackupError` where that cannot be, and `BackendError` where a database does not answer.
    """
    if config.is_in_memory:
        raise BackupError("there is nothing to move: this server keeps everything in memory")
    if parse_url(url) == parse_url(config.database_url):
        raise BackupError("that is the database which the server uses already")
    async with data_directory.without_server(config.data_dir):
        with snapshot(config.database_url) as found:
            counts = {table.name: found.count(table) for table in TABLES}
            progress = RowProgress(2 * sum(counts.values()), on_progress)
            source = _Source(found)
            await load(url, source, lambda: progress.step("writing"), goes_on=True)
        await asyncio.to_thread(_compare, url, source, lambda: progress.step("comparing"))
    return {name: digest.rows for name, digest in source.digests.items()}


class _Source:
    """A database as a dump, which notes what it gave."""

    def __init__(self, found: Snapshot) -> None:
        self._found = found
        self._by_name = {str(table.name): table for table in TABLES}
        self.revision = found.revision
        self.digests: dict[str, RowDigest] = {}

    @property
    def tables(self) -> list[str]:
        return list(self._by_name)

    def columns(self, name: str) -> list[str]:
        return [str(column.name) for column in self._by_name[name].columns]

    def rows(self, name: str) -> Iterator[Row]:
        digest = self.digests[name] = RowDigest()
        for row in self._found.rows(self._by_name[name]):
            digest.add(row)
            yield row


def _compare(url: str, source: _Source, on_row: Callable[[], object]) -> None:
    """Read everything back; raises `BackupError` where it is not what was given."""
    with snapshot(url) as found:
        for table in TABLES:
            name, digest = str(table.name), RowDigest()
            for row in found.rows(table):
                digest.add(row)
                on_row()
            given = source.digests[name]
            if name not in _MADE_ANEW and (digest.rows, digest.hexadecimal) != (
                given.rows,
                given.hexadecimal,
            ):
                raise BackupError(
                    f"the table {name} is not the same in both databases: it has {digest.rows} rows, and "
                    f"{given.rows} before. Use the former database, and tell the developers"
                )
