"""Read times: when a member of a room has read as far as the pointer says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the column; of what was read before it is not known."""
    columns = sa.inspect(op.get_bind()).get_columns("inbox")
    if "read_time" not in {column["name"] for column in columns}:
        op.add_column("inbox", sa.Column("read_time", sa.BigInteger, nullable=False, server_default="0"))
