"""`tidings migrate`: everything that a server keeps moves to another database, whichever kind that is.

Nobody may write meanwhile, so no server runs. A move that was interrupted goes on where it was: what is there
already has to be the beginning of what moves. Before the new database may be used, all that arrived is
compared with what was there, table by table; the former database is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Table

from tidings.adapters.sql.dump import TABLES, Row, Snapshot, snapshot
from tidings.adapters.sql.ledger.search import FOLLOWER
from tidings.adapters.sql.ledger.tables import followers
from tidings.adapters.sql.move_target import MoveTarget, move_target
from tidings.adapters.sql.urls import describe, parse_url
from tidings.app import data_directory
from tidings.app.backup_file import RowDigest
from tidings.app.options import Config
from tidings.app.row_progress import OnProgress, RowProgress
from tidings.base.errors import BackupError

_ROWS_AT_ONCE: Final = 10_000
_OCTETS_AT_ONCE: Final = 16 << 20
"""Of a transaction."""


async def move(config: Config, url: str, on_progress: OnProgress) -> dict[str, int]:
    """Copy the database that is configured into an empty one; gives the number of rows of each table.

    Where it was interrupted, the same again goes on. Raises `BackupError` where that cannot be, and
    `BackendError` where a database does not answer.
    """
    if config.is_in_memory:
        raise BackupError("there is nothing to move: this server keeps everything in memory")
    if parse_url(url) == parse_url(config.database_url):
        raise BackupError("that is the database which the server uses already")
    async with data_directory.without_server(config.data_dir):
        with snapshot(config.database_url) as found:
            state = _state(found)
            async with move_target(url, found.revision) as target:
                mover = _Mover(found, target, url, on_progress)
                await mover.copy()
                await asyncio.to_thread(mover.compare)
                await asyncio.to_thread(_refuse_what_was_changed, config.database_url, state)
                await target.end()
    return {name: digest.rows for name, digest in mover.given.items()}


class _Mover:
    """Copies one table after the other, notes what it gave, and compares."""

    def __init__(self, found: Snapshot, target: MoveTarget, url: str, on_progress: OnProgress) -> None:
        self._found = found
        self._target = target
        self._url = url
        self._place = describe(parse_url(url))
        self._progress = RowProgress(2 * sum(found.count(table) for table in TABLES), on_progress)
        self._written: set[str] = set()
        self.given: dict[str, RowDigest] = {}

    async def copy(self) -> None:
        """Write what is not there yet."""
        for table in TABLES:
            rows = self._rows(table)
            await asyncio.to_thread(self._go_past, table, rows)
            # While a batch is written, the next one is read.
            writing: asyncio.Task[None] | None = None
            try:
                while batch := await asyncio.to_thread(_next_batch, rows):
                    if writing is not None:
                        await writing
                    self._written.add(str(table.name))
                    writing = asyncio.create_task(self._target.put(table, batch))
            finally:
                if writing is not None:
                    await writing

    def compare(self) -> None:
        """Read back what was written; raises `BackupError` where it is not what was given."""
        with snapshot(self._url, is_unfinished=True) as found:
            for table in TABLES:
                name, digest, given = str(table.name), RowDigest(), self.given[str(table.name)]
                if name not in self._written:  # it was compared before, row by row
                    self._progress.skip("comparing", given.rows)
                    continue
                for row in found.rows(table):
                    digest.add(row)
                    self._progress.step("comparing")
                if (digest.rows, digest.hexadecimal) != (given.rows, given.hexadecimal):
                    raise BackupError(
                        f"the table {name} is not the same in both databases: it has {digest.rows} rows, and "
                        f"{given.rows} before. Use the former database, and tell the developers"
                    )

    def _rows(self, table: Table) -> Iterator[Row]:
        """Give the rows that move, and note them.

        The index of the text search is made anew, and so its place in the feed is another one.
        """
        digest = self.given[str(table.name)] = RowDigest()
        for row in self._found.rows(table):
            self._progress.step("writing")
            if table is followers and row[0] == FOLLOWER:
                self._progress.skip("writing", 1)  # it is not compared either
                continue
            digest.add(row)
            yield row

    def _go_past(self, table: Table, rows: Iterator[Row]) -> None:
        """Let the rows pass which an earlier run has written; raises `BackupError` where there are others."""
        with snapshot(self._url, is_unfinished=True) as there:
            for row in there.rows(table):
                if next(rows, None) != row:
                    raise BackupError(
                        f"{self._place} has not the beginning of what moves, but something else: its table "
                        f"{table.name} is another one. Either a server ran on the former database since the "
                        "move began, or that is the target of another move. Empty it and begin anew, or name "
                        "another"
                    )


def _next_batch(rows: Iterator[Row]) -> list[Row]:
    """Take what is written in one transaction."""
    batch, octets = [], 0
    for row in rows:
        batch.append(row)
        octets += sum([len(value) for value in row if isinstance(value, (bytes, str))])
        if len(batch) == _ROWS_AT_ONCE or octets > _OCTETS_AT_ONCE:
            break
    return batch


def _state(found: Snapshot) -> list[object]:
    """Give what tells that somebody has written: every message moves the ledger's feed on."""
    counts: list[object] = [found.count(table) for table in TABLES]
    return counts + list(found.rows(next(table for table in TABLES if table.name == "ledger")))


def _refuse_what_was_changed(url: str, state: list[object]) -> None:
    """Make sure that no server of another machine or data directory served the former database meanwhile."""
    with snapshot(url) as found:
        if _state(found) != state:
            raise BackupError(
                f"{describe(parse_url(url))} was written to while it moved: stop every server that uses it, "
                "empty the new database and begin anew"
            )
