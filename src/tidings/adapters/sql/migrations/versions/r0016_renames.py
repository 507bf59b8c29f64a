"""Renames: how often an address got the number of another one, in the row that every transaction locks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column."""
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    columns = sa.inspect(op.get_bind()).get_columns("ledger")
    if all(column["name"] != "renames" for column in columns):
        op.add_column("ledger", sa.Column("renames", sa.BigInteger, nullable=False, server_default="0"))
