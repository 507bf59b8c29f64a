"""Promotions: the accounts that may administer domains beside those that the configuration names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, Text

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "promotions",
        sa.Column("account", DIGEST, sa.ForeignKey("accounts.account", ondelete="CASCADE"), primary_key=True),
        sa.Column("domain", Text(1023), primary_key=True),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("promoted_by", Text(), nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
