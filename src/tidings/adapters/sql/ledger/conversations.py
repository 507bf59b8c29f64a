"""Conversations: where the entries of an archive stand that have one peer.

The table `conversations` lists them, so that a page of one conversation reads no other. A row there with each
entry would dirty one page more for each archive that a commit writes to, as many as the entries themselves
do. So entries are listed some at a time, and those at the end of an archive that are not listed yet are
looked through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tidings.adapters.sql.ledger.rows import ArchiveRow
from tidings.adapters.sql.ledger.statements import Rows, Sql

UNLISTED: Final = 64
"""So many entries at the end of an archive are not listed, at the most, when a transaction ends."""

_LIST: Final = (
    "INSERT INTO conversations (archive, peer, position) SELECT archive, peer, position FROM entries "
    "WHERE archive = ? AND position > ? AND position <= ?"
)
WITHIN: Final = "c.archive = ? AND c.peer = ? AND c.position BETWEEN ? AND ?"
JOINED: Final = "e.archive = c.archive AND e.position = c.position"
_LISTED: Final = "SELECT listed FROM archives WHERE archive = ?"


class Stretch(NamedTuple):
    """The part of a conversation between two positions that one table lists, as text for statements."""

    table: str
    """A table with the columns `archive`, `peer` and `position`; called `c`."""
    values: tuple[int, int, int, int]
    """What `WITHIN` compares with."""

    @property
    def entries(self) -> str:
        """Where its entries `e` come from."""
        return f"{self.table} c CROSS JOIN entries e"


def list_entries(sql: Sql, row: ArchiveRow) -> None:
    """List the entries of a locked archive, if they are due, and note that in its row."""
    # Archives that grow together shall not come all in one transaction.
    if (row.position + row.archive) // UNLISTED == (row.listed + row.archive) // UNLISTED:
        return
    sql.run(_LIST, row.archive, row.listed, row.position)
    row.listed = row.position


def stretches(sql: Sql, archive: int, peer: int, low: int, high: int) -> list[Stretch]:
    """Cut a conversation between two positions into what is listed and what is not, in this order."""
    # Read first: what is listed meanwhile is found where it was.
    listed = sql.run(_LISTED, archive).scalar() or 0
    bounds = (("conversations", low, min(high, listed)), ("entries", max(low, listed + 1), high))
    return [Stretch(table, (archive, peer, first, last)) for table, first, last in bounds if first <= last]


def find(
    sql: Sql,
    parts: Sequence[Stretch],
    columns: str,
    *,
    condition: str = "1 = 1",
    newest: bool = False,
    limit: int,
) -> Rows:
    """Give columns of the first or the newest entries `e` of a conversation that meet the condition."""
    rows: Rows = []
    order = "DESC" if newest else "ASC"
    for part in reversed(parts) if newest else parts:
        statement = (
            f"SELECT {columns} FROM {part.entries} WHERE {WITHIN} AND {JOINED} AND {condition} "  # noqa: S608  # ours
            f"ORDER BY c.position {order} LIMIT {limit - len(rows)}"
        )
        rows += sql.run(statement, *part.values).all()
        if len(rows) == limit:
            break
    return rows
