"""Removals: when an account is to go, and since when the names of those that are gone rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the columns and the table."""
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("accounts")}
    for name in ("removal_since", "removal_due"):
        if name not in known:
            op.add_column("accounts", sa.Column(name, sa.Double))
    op.create_index("ix_accounts_removal_due", "accounts", ["removal_due"], if_not_exists=True)
    op.create_table(
        "former_accounts",
        sa.Column("account", DIGEST, primary_key=True),
        sa.Column("removed", sa.Double, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    op.create_index("ix_former_accounts_removed", "former_accounts", ["removed"], if_not_exists=True)
