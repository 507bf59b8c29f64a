"""Documents: what features that bring no tables of their own keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, RAW, Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "documents",
        sa.Column("entity", DIGEST, primary_key=True),
        sa.Column("namespace", Text(255), primary_key=True),
        sa.Column("name", Text(255), primary_key=True),
        sa.Column("jid", Text(3071), nullable=False),
        sa.Column("value", RAW, nullable=False),
        sa.Column("version", Text(64), nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
