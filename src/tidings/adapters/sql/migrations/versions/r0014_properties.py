"""Properties: what is known of a room as a whole; and members have nicknames and know it under a domain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import RAW, Text

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the table, and the column of members."""
    op.create_table(
        "properties",
        sa.Column("archive", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", Text(64), primary_key=True),
        sa.Column("value", RAW, nullable=False),
        sa.Column("feed", sa.BigInteger, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    op.create_index("ix_properties_name_archive", "properties", ["name", "archive"], if_not_exists=True)
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    columns = sa.inspect(op.get_bind()).get_columns("members")
    there = {column["name"] for column in columns}
    for name, octets in (("nick", 255), ("domain", 1023)):
        if name not in there:
            op.add_column("members", sa.Column(name, Text(octets)))
