"""vCards are found by the words of some of their fields: those of the vCards that there are, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tidings.adapters.sql.tables import DIGEST, Text, accounts, vcard_words, vcards
from tidings.adapters.sql.vcard import words_in
from tidings.base.jid import Jid

revision = "0020"
down_revision = "0019"

_ENGINE = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
_AT_ONCE = 100


def upgrade() -> None:
    """Make the table and fill it."""
    op.create_table(
        "vcard_words",
        sa.Column("account", DIGEST, sa.ForeignKey("accounts.account", ondelete="CASCADE"), primary_key=True),
        sa.Column("field", Text(16), primary_key=True),
        sa.Column("word", Text(255), primary_key=True),
        sa.Column("domain", Text(1023), nullable=False),
        sa.Column("value", Text(), nullable=False),
        if_not_exists=True,
        **_ENGINE,
    )
    op.create_index(
        "ix_vcard_words_domain_field_word", "vcard_words", ["domain", "field", "word"], if_not_exists=True
    )
    connection, last = op.get_bind(), b""
    connection.execute(sa.delete(vcard_words))  # what an upgrade that was killed has left
    page = (
        sa.select(vcards.c.account, accounts.c.local, accounts.c.domain, vcards.c.raw)
        .join(accounts, accounts.c.account == vcards.c.account)
        .order_by(vcards.c.account)
        .limit(_AT_ONCE)
    )
    while rows := connection.execute(page.where(vcards.c.account > last)).all():
        made = [row for _, local, domain, raw in rows for row in words_in(Jid(f"{local}@{domain}"), raw)]
        if made:
            connection.execute(sa.insert(vcard_words), made)
        last = rows[-1].account
