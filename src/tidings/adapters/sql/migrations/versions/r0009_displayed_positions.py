"""Displayed positions: a row each, in place of one private element with all of an account's items."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, RAW, Text, key_of
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.ports.displayed import Displayed
from tidings.wire.xml.element import decode
from tidings.wire.xmpp.payloads.displayed_sync import DisplayedUpTo

revision = "0009"
down_revision = "0008"

_ELEMENT = key_of("urn:xmpp:mds:displayed:0", "kept")

_private = sa.table(
    "private_elements", sa.column("account", DIGEST), sa.column("element", DIGEST), sa.column("raw", RAW)
)


def upgrade() -> None:
    """Make the table, and take over what was kept."""
    positions = op.create_table(
        "displayed_positions",
        sa.Column("account", DIGEST, sa.ForeignKey("accounts.account", ondelete="CASCADE"), primary_key=True),
        sa.Column("chat", DIGEST, primary_key=True),
        sa.Column("jid", Text(3071), nullable=False),
        sa.Column("stanza_id", Text(1024), nullable=False),
        sa.Column("archive", Text(3071), nullable=False),
        sa.Column("octets", sa.Integer, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    connection = op.get_bind()
    kept = _private.c.element == _ELEMENT
    for account in connection.execute(sa.select(_private.c.account).where(kept)).scalars().all():
        _take_over(connection, positions, account)
    connection.execute(sa.delete(_private).where(kept))


def _take_over(connection: sa.Connection, positions: sa.Table, account: bytes) -> None:
    """Write the rows of one account; a second time, after a start that was killed here, is the same."""
    raw = connection.execute(
        sa.select(_private.c.raw).where(_private.c.account == account, _private.c.element == _ELEMENT)
    ).scalar_one()
    rows = [
        {
            "account": account,
            "chat": key_of(each.chat),
            "jid": each.chat,
            "stanza_id": each.id,
            "archive": each.by,
            "octets": each.octets,
            "changed": number,
        }
        for number, each in enumerate(_read(raw), 1)
    ]
    connection.execute(sa.delete(positions).where(positions.c.account == account))
    if rows:
        connection.execute(sa.insert(positions), rows)


def _read(raw: bytes) -> Iterator[Displayed]:
    """Give what the items say, the oldest first; what says nothing was never looked at, and goes."""
    found: dict[Jid, Displayed] = {}
    for item in decode(raw, "").children:
        try:
            chat = Jid(item.get("id") or "")
            position = DisplayedUpTo.decode(item.children[0]).stanza_id
        except (IndexError, JidError, StanzaError):
            continue
        found.pop(chat, None)
        found[chat] = Displayed(chat, position.id, position.by)
    yield from found.values()
