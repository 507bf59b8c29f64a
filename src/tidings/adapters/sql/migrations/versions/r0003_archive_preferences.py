"""Archive preferences: what an account keeps of its conversations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, RAW, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "archive_preferences",
        sa.Column("account", DIGEST, sa.ForeignKey("accounts.account", ondelete="CASCADE"), primary_key=True),
        sa.Column("standard", Text(8), nullable=False),
        sa.Column("always", RAW, nullable=False),
        sa.Column("never", RAW, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
