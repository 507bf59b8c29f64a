"""Conversations: a list of entries by peer, in place of an index that every message had to write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_INDEX = "ix_entries_archive_peer_position"


def upgrade() -> None:
    """Make the list, fill it, and drop the index."""
    op.create_table(
        "conversations",
        *(
            sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)
            for name in ("archive", "peer", "position")
        ),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
        sqlite_with_rowid=False,
    )
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    inspector = sa.inspect(op.get_bind())
    if all(column["name"] != "listed" for column in inspector.get_columns("heads")):
        op.add_column("heads", sa.Column("listed", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(
        "INSERT INTO conversations (archive, peer, position) "
        "SELECT e.archive, e.peer, e.position FROM entries e LEFT JOIN conversations c "
        "ON c.archive = e.archive AND c.peer = e.peer AND c.position = e.position WHERE c.archive IS NULL"
    )
    op.execute("UPDATE heads SET listed = position")
    if any(index["name"] == _INDEX for index in inspector.get_indexes("entries")):
        op.drop_index(_INDEX, "entries")
