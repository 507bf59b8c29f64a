"""Followers with their cursors, leases and dead letters; events and gaps of the feed; the outbox."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import RAW, Text

revision = "0007"
down_revision = "0006"

_SERIAL: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PER_FEED: Final = 1 << 16


def upgrade() -> None:
    """Make the tables, and let the text search be a follower among others."""
    _create(
        "followers",
        sa.Column("name", Text(128), primary_key=True),
        *_numbers("incarnation", "feed", "number", "part", "moved"),
    )
    _create(
        "leases",
        sa.Column("name", Text(128), primary_key=True),
        sa.Column("owner", Text(64), nullable=False),
        *_numbers("leased_until"),
    )
    _create(
        "dead_letters",
        sa.Column("follower", Text(128), primary_key=True),
        *_keys("feed", "number"),
        *_numbers("incarnation", "time"),
        sa.Column("is_retried", sa.SmallInteger, nullable=False),
        sa.Column("reason", Text(), nullable=False),
    )
    _create(
        "feed_events",
        _only_key("id"),
        *_numbers("time"),
        sa.Column("kind", Text(64), nullable=False),
        sa.Column("subject", Text(3071), nullable=False),
        sa.Column("body", RAW, nullable=False),
    )
    _create("feed_gaps", _only_key("feed"), *_numbers("lost"))
    _create(
        "outbox",
        *_keys("domain", "message", "place"),
        *_numbers("time"),
        sa.Column("recipient", Text(3071), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_outbox_message", "outbox", ["message"], if_not_exists=True)
    _create("outbound_only", _only_key("message"))
    _take_over_search()


def _take_over_search() -> None:
    """Make the place up to which messages are indexed the cursor of a follower."""
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("search_state"):
        return
    message = connection.execute(sa.text("SELECT message FROM search_state WHERE id = 1")).scalar()
    incarnation = connection.execute(sa.text("SELECT incarnation FROM ledger WHERE id = 1")).scalar()
    after = message + 1 if message else 0
    row = {
        "name": b"text_index",
        "incarnation": incarnation or 0,
        "feed": after // _PER_FEED,
        "number": after % _PER_FEED,
    }
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    connection.execute(sa.text("DELETE FROM followers WHERE name = :name"), row)
    columns = "name, incarnation, feed, number, part, moved"
    values = ":name, :incarnation, :feed, :number, 0, 0"
    connection.execute(sa.text(f"INSERT INTO followers ({columns}) VALUES ({values})"), row)  # noqa: S608  # ours
    op.drop_table("search_state")


def _only_key(name: str) -> sa.Column[int]:
    # In SQLite the key alone, spelt so, is the place of the row: no second B-tree.
    return sa.Column(name, _SERIAL, primary_key=True, autoincrement=False)


def _keys(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _create(name: str, *columns: sa.Column[Any], **options: Any) -> None:  # noqa: ANN401
    # if_not_exists: MySQL commits each table by itself, so a start that was killed here is taken up again.
    op.create_table(
        name, *columns, if_not_exists=True, mysql_engine="InnoDB", mariadb_engine="InnoDB", **options
    )
