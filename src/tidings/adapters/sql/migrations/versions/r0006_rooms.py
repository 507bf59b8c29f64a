"""Rooms: members, mentions and senders; and tables of the ledger get names that an administrator expects."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import Text

revision = "0006"
down_revision = "0005"

_RENAMED: Final = {
    "names": "message_keys",
    "withdrawn": "uncounted",
    "pointers": "message_links",
    "heads": "archives",
    "passing": "offline_only",
}


def upgrade() -> None:
    """Rename the tables, and add what a room needs."""
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    for old, new in _RENAMED.items():
        inspector = sa.inspect(op.get_bind())
        if inspector.has_table(old) and inspector.has_table(new):
            op.drop_table(old)  # it is empty: the first migrations ran a second time
        elif inspector.has_table(old):
            op.rename_table(old, new)
        if op.get_bind().dialect.name == "postgresql":
            _rename_key(old, new)
    columns = sa.inspect(op.get_bind()).get_columns("messages")
    if all(column["name"] != "sender" for column in columns):
        op.add_column("messages", sa.Column("sender", sa.BigInteger, nullable=False, server_default="0"))
    _create(
        "members",
        *_keys("room", "member"),
        sa.Column("affiliation", Text(32), nullable=False),
        sa.Column("joined", sa.BigInteger),
        sa.Column("feed", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_members_member_room", "members", ["member", "room"], if_not_exists=True)
    _create("mentions", *_keys("archive", "member", "position"))
    op.create_index("ix_mentions_archive_position", "mentions", ["archive", "position"], if_not_exists=True)


def _rename_key(old: str, new: str) -> None:
    """Let the primary key have the name of its table, too."""
    name = sa.inspect(op.get_bind()).get_pk_constraint(new)["name"]
    if name == f"pk_{old}":
        op.execute(f"ALTER TABLE {new} RENAME CONSTRAINT pk_{old} TO pk_{new}")


def _keys(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False) for name in names]


def _create(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        *columns,
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
        sqlite_with_rowid=False,
    )
