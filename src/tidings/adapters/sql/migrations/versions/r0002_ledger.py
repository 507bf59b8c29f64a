"""Archives: entries with dense positions, inboxes, devices, and the order over all of them."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.ledger.search import create_search
from tidings.adapters.sql.tables import DIGEST, RAW, Text

revision = "0002"
down_revision = "0001"

_SERIAL: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NARROW: Final = {"sqlite_with_rowid": False}
_UPDATED: Final = {"postgresql_with": {"fillfactor": 50}}
"""Room in each page for new versions of its rows, beside the old ones: no index changes with them."""


def upgrade() -> None:
    """Make the tables of the ledger and the index of its search."""
    _create(
        "jids",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("digest", DIGEST, nullable=False, unique=True),
        sa.Column("jid", Text(3071), nullable=False),
    )
    _create_archives()
    _create_messages()
    _create_notes()
    _create_inboxes()
    _create(
        "commits",
        _only_key("feed"),
        sa.Column("batch", DIGEST, nullable=False),
    )
    _create("ledger", _only_key("id"), *_numbers("feed", "incarnation"), **_UPDATED)
    create_search(op.get_bind())


def _create_archives() -> None:
    _create(
        "heads",
        _only_key("archive"),
        *_numbers("first", "position", "time", "version", "epoch", "incarnation"),
        _small("held"),
        **_UPDATED,
    )
    _create("epochs", *_keys("archive", "start"), *_numbers("epoch"))
    _create(
        "entries",
        *_keys("archive", "position"),
        *_numbers("message", "time", "peer"),
        _small("kind"),
        _small("flags"),
        *_numbers("count", "target"),
        sa.Column("resource", Text(1023)),
        **_NARROW,
    )
    op.create_index(
        "ix_entries_archive_peer_position", "entries", ["archive", "peer", "position"], if_not_exists=True
    )


def _create_messages() -> None:
    _create(
        "messages",
        _only_key("id"),
        *_numbers("time"),
        sa.Column("places", RAW, nullable=False),
        sa.Column("body", RAW, nullable=False),
    )
    _create("names", sa.Column("name", DIGEST, primary_key=True), *_keys("message"), **_NARROW)


def _create_notes() -> None:
    _create("pointers", *_keys("archive", "target", "position"), **_NARROW)
    _create("withdrawn", *_keys("archive", "peer", "position"), **_NARROW)
    _create("erasures", *_keys("feed", "archive", "position"), **_NARROW)
    op.create_index(
        "ix_erasures_archive_feed_position", "erasures", ["archive", "feed", "position"], if_not_exists=True
    )
    _create("passing", *_keys("archive", "position"), *_numbers("time"), **_NARROW)


def _create_inboxes() -> None:
    _create(
        "inbox",
        *_keys("owner", "peer"),
        *_numbers("source", "position", "time", "count", "read_position", "read_count", "feed"),
        _small("flags"),
        sa.Column("box", Text(255)),
        *(sa.Column(name, sa.BigInteger) for name in ("boxed_count", "boxed_time", "muted_until", "pinned")),
        **_NARROW,
        **_UPDATED,
    )
    _create(
        "devices",
        *_keys("archive"),
        sa.Column("device", DIGEST, primary_key=True),
        sa.Column("name", Text(), nullable=False),
        *_numbers("position", "seen"),
        _small("pulls"),
        **_NARROW,
    )
    _create("streams", sa.Column("stream", DIGEST, primary_key=True), *_numbers("number", "seen"), **_NARROW)


def _only_key(name: str) -> sa.Column[int]:
    # In SQLite the key alone, spelt so, is the place of the row: no second B-tree.
    return sa.Column(name, _SERIAL, primary_key=True, autoincrement=False)


def _keys(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _small(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger, nullable=False)


def _create(name: str, *columns: sa.Column[Any], **options: Any) -> None:  # noqa: ANN401
    # if_not_exists: MySQL commits each table by itself, so a start that was killed here is taken up again.
    op.create_table(
        name, *columns, if_not_exists=True, mysql_engine="InnoDB", mariadb_engine="InnoDB", **options
    )
