"""Octets of archives: the sum of the bodies of its entries, in the row of each archive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_ERASED = 4


def upgrade() -> None:
    """Add the column, and sum up what there is."""
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    columns = sa.inspect(op.get_bind()).get_columns("archives")
    if all(column["name"] != "octets" for column in columns):
        op.add_column("archives", sa.Column("octets", sa.BigInteger, nullable=False, server_default="0"))
    # The length of what is binary is its octets, in all databases; SQLite reads no body for it.
    op.execute(
        "UPDATE archives SET octets = (SELECT COALESCE(SUM(LENGTH(m.body)), 0) "  # noqa: S608  # ours
        "FROM entries e CROSS JOIN messages m "
        f"WHERE e.archive = archives.archive AND e.flags & {_ERASED} = 0 AND m.id = e.message)"
    )
