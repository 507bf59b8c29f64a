"""Shared groups: accounts of a domain that are on each other's rosters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, RAW, Text

revision = "0013"
down_revision = "0012"

_ENGINE = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "group_heads",
        sa.Column("domain", Text(1023), primary_key=True),
        sa.Column("epoch", Text(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("pruned", sa.BigInteger, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_table(
        "shared_groups",
        sa.Column("domain", Text(1023), primary_key=True),
        sa.Column("name", Text(255), primary_key=True),
        sa.Column("label", Text(), nullable=False),
        sa.Column("description", Text(), nullable=False),
        sa.Column("for_everybody", sa.Boolean, nullable=False),
        sa.Column("displayed", RAW, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("edited", sa.BigInteger, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_table(
        "group_members",
        sa.Column("domain", Text(1023), primary_key=True),
        sa.Column("group_name", Text(255), primary_key=True),
        sa.Column("account", DIGEST, primary_key=True),
        sa.Column("jid", Text(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_index("ix_group_members_account", "group_members", ["account"], if_not_exists=True)
    op.create_index(
        "ix_group_members_domain_changed", "group_members", ["domain", "changed"], if_not_exists=True
    )
