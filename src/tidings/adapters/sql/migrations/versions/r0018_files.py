"""Files: what people have uploaded, what that counts for, and which entries of archives name it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, VERIFIER, Text

revision = "0018"
down_revision = "0017"

_ENGINE = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "files",
        sa.Column("id", Text(64), primary_key=True),
        sa.Column("owner", DIGEST, nullable=False),
        sa.Column("jid", Text(3071), nullable=False),
        sa.Column("domain", Text(1023), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("content_type", Text(), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("digest", VERIFIER),
        sa.Column("sent", sa.Boolean, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_index("ix_files_expires", "files", ["expires"], if_not_exists=True)
    op.create_index("ix_files_owner_id", "files", ["owner", "id"], if_not_exists=True)
    op.create_table(
        "file_usage",
        sa.Column("holder", DIGEST, primary_key=True),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("octets", sa.BigInteger, nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_table(
        "file_mentions",
        sa.Column("archive", DIGEST, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("file", Text(64), primary_key=True),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_index("ix_file_mentions_file", "file_mentions", ["file"], if_not_exists=True)
