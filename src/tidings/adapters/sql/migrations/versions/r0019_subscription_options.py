"""Options of subscriptions to nodes, and what tells which items and subscriptions end by themselves."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, RAW

revision = "0019"
down_revision = "0018"

_STEP = 1_000


class _Config(msgspec.Struct):
    """What of a node's configuration is looked for."""

    item_expire: int | None = None


def upgrade() -> None:
    """Add the columns, and fill in which nodes have items that expire."""
    _add("nodes", sa.Column("item_expire", sa.BigInteger))
    _add("node_subscriptions", sa.Column("options", RAW))
    _add("node_subscriptions", sa.Column("expires", sa.Double))
    _fill(op.get_bind())
    op.create_index("ix_nodes_item_expire", "nodes", ["item_expire"], if_not_exists=True)
    op.create_index("ix_node_subscriptions_expires", "node_subscriptions", ["expires"], if_not_exists=True)


def _add(table: str, column: sa.Column[object]) -> None:
    # MySQL commits each step by itself: a start that was killed here goes on where it was.
    columns = sa.inspect(op.get_bind()).get_columns(table)
    if all(each["name"] != column.name for each in columns):
        op.add_column(table, column)


def _fill(connection: sa.Connection) -> None:
    nodes = sa.table(
        "nodes",
        sa.column("owner", DIGEST),
        sa.column("node", DIGEST),
        sa.column("config", RAW),
        sa.column("item_expire", sa.BigInteger),
    )
    owner, node = nodes.c.owner, nodes.c.node
    rows = connection.execute(sa.select(nodes).order_by(owner, node).limit(_STEP)).all()
    while rows:
        for row in rows:
            seconds = msgspec.json.decode(row.config, type=_Config).item_expire
            if seconds is not None:
                mine = (owner == row.owner) & (node == row.node)
                connection.execute(sa.update(nodes).where(mine).values(item_expire=seconds))
        last = rows[-1]
        behind = (owner > last.owner) | ((owner == last.owner) & (node > last.node))
        rows = connection.execute(sa.select(nodes).where(behind).order_by(owner, node).limit(_STEP)).all()
