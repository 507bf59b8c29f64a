"""Nodes: collections of items that accounts and hosts have, with who may read and write them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, RAW, Text

revision = "0017"
down_revision = "0016"

_ENGINE = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "nodes",
        sa.Column("owner", DIGEST, primary_key=True),
        sa.Column("node", DIGEST, primary_key=True),
        sa.Column("jid", Text(3071), nullable=False),
        sa.Column("name", Text(1024), nullable=False),
        sa.Column("config", RAW, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("published", sa.BigInteger, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_table(
        "node_items",
        sa.Column("owner", DIGEST, primary_key=True),
        sa.Column("node", DIGEST, primary_key=True),
        sa.Column("item", DIGEST, primary_key=True),
        sa.Column("id", Text(1024), nullable=False),
        sa.Column("publisher", Text(3071), nullable=False),
        sa.Column("published", sa.Double, nullable=False),
        sa.Column("payload", RAW, nullable=False),
        sa.Column("octets", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_table(
        "node_affiliations",
        sa.Column("owner", DIGEST, primary_key=True),
        sa.Column("node", DIGEST, primary_key=True),
        sa.Column("account", DIGEST, primary_key=True),
        sa.Column("jid", Text(3071), nullable=False),
        sa.Column("affiliation", Text(16), nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_table(
        "node_subscriptions",
        sa.Column("owner", DIGEST, primary_key=True),
        sa.Column("node", DIGEST, primary_key=True),
        sa.Column("subscriber", DIGEST, primary_key=True),
        sa.Column("account", DIGEST, nullable=False),
        sa.Column("jid", Text(3071), nullable=False),
        sa.Column("state", Text(16), nullable=False),
        sa.Column("subscription_id", Text(64), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    for table, columns in (
        ("nodes", ["owner", "name"]),
        ("node_items", ["owner", "node", "number"]),
        ("node_affiliations", ["account"]),
        ("node_subscriptions", ["account"]),
    ):
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns, if_not_exists=True)
