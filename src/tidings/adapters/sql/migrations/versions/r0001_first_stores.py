"""Accounts, tokens, rosters, private XML, vCards and block lists."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, RAW, VERIFIER, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    _create(
        "accounts",
        sa.Column("account", DIGEST, primary_key=True),
        sa.Column("domain", Text(1023), nullable=False),
        sa.Column("local", Text(1023), nullable=False),
        sa.Column("scram_keys", RAW, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("ban_reason", Text()),
        sa.Column("banned_since", sa.Double),
        sa.Column("last_activity", sa.Double),
        sa.Column("last_status", Text(), nullable=False),
    )
    op.create_index(
        "ix_accounts_domain_local", "accounts", ["domain", "local"], unique=True, if_not_exists=True
    )
    _create(
        "fast_tokens",
        _account(),
        sa.Column("device", DIGEST, primary_key=True),
        sa.Column("slot", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("device_id", Text(), nullable=False),
        sa.Column("mechanism", Text(64), nullable=False),
        sa.Column("digest", VERIFIER, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
    )
    op.create_index("ix_fast_tokens_expires", "fast_tokens", ["expires"], if_not_exists=True)
    _create(
        "rosters",
        _account(),
        sa.Column("epoch", Text(16), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    _create(
        "roster_entries",
        _account(),
        sa.Column("contact", DIGEST, primary_key=True),
        sa.Column("jid", Text(3071), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("groups", RAW, nullable=False),
        sa.Column("subscription", Text(4), nullable=False),
        sa.Column("ask", sa.Boolean, nullable=False),
        sa.Column("approved", sa.Boolean, nullable=False),
        sa.Column("pending_in", RAW),
        sa.Column("listed", sa.Boolean, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
    )
    _create(
        "private_elements",
        _account(),
        sa.Column("element", DIGEST, primary_key=True),
        sa.Column("namespace", Text(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("raw", RAW, nullable=False),
    )
    _create("vcards", _account(), sa.Column("raw", RAW, nullable=False))
    _create(
        "blocked",
        _account(),
        sa.Column("address", DIGEST, primary_key=True),
        sa.Column("jid", Text(3071), nullable=False),
    )


def _account() -> sa.Column[bytes]:
    return sa.Column(
        "account", DIGEST, sa.ForeignKey("accounts.account", ondelete="CASCADE"), primary_key=True
    )


def _create(name: str, *columns: sa.Column[Any]) -> None:
    # if_not_exists: MySQL commits each table by itself, so a start that was killed here is taken up again.
    op.create_table(name, *columns, if_not_exists=True, mysql_engine="InnoDB", mariadb_engine="InnoDB")
