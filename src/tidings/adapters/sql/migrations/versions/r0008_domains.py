"""Domains: those that were added while the server ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import RAW, Text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "domains",
        sa.Column("domain", Text(1023), primary_key=True),
        sa.Column("state", Text(16), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("admins", RAW, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
