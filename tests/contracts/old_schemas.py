"""Databases as earlier versions left them: what later migrations did is taken back, and the rows stay."""

from __future__ import annotations

from sqlalchemy import Connection, text

RENAMED = {
    "message_keys": "names",
    "uncounted": "withdrawn",
    "message_links": "pointers",
    "archives": "heads",
    "offline_only": "passing",
}
"""Revision 0006 gave these tables another name."""


def take_back_to_0018(connection: Connection) -> None:
    """Give a database the schema of revision 0018."""
    is_mysql = connection.dialect.name in {"mysql", "mariadb"}
    for table, index, columns in (
        ("nodes", "ix_nodes_item_expire", ("item_expire",)),
        ("node_subscriptions", "ix_node_subscriptions_expires", ("options", "expires")),
    ):
        connection.execute(text(f"DROP INDEX {index}" + f" ON {table}" * is_mysql))
        for column in columns:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0018'"))


def take_back_to_0011(connection: Connection) -> None:
    """Give a database the schema of revision 0011."""
    of_nodes = ("nodes", "node_items", "node_affiliations", "node_subscriptions")
    for table in (*of_nodes, "files", "file_usage", "file_mentions"):
        connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text("ALTER TABLE inbox DROP COLUMN read_time"))
    connection.execute(text("ALTER TABLE ledger DROP COLUMN renames"))
    connection.execute(text("DROP TABLE properties"))
    connection.execute(text("ALTER TABLE members DROP COLUMN nick"))
    connection.execute(text("ALTER TABLE members DROP COLUMN domain"))
    for table in ("group_heads", "shared_groups", "group_members"):
        connection.execute(text(f"DROP TABLE {table}"))
    is_mysql = connection.dialect.name in {"mysql", "mariadb"}
    connection.execute(text("DROP INDEX ix_accounts_removal_due" + " ON accounts" * is_mysql))
    for column in ("removal_since", "removal_due"):
        connection.execute(text(f"ALTER TABLE accounts DROP COLUMN {column}"))
    connection.execute(text("DROP TABLE former_accounts"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0011'"))


def take_back_to_0009(connection: Connection) -> None:
    """Give a database the schema of revision 0009."""
    take_back_to_0011(connection)
    connection.execute(text("DROP TABLE promotions"))
    connection.execute(text("ALTER TABLE archives DROP COLUMN octets"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))


def take_back_to_0008(connection: Connection) -> None:
    """Give a database the schema of revision 0008."""
    take_back_to_0009(connection)
    connection.execute(text("DROP TABLE displayed_positions"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0008'"))


def take_back_to_0005(connection: Connection) -> None:
    """Give a database the schema of revision 0005."""
    take_back_to_0009(connection)
    is_postgresql = connection.dialect.name == "postgresql"
    for new, old in RENAMED.items():
        connection.execute(text(f"ALTER TABLE {new} RENAME TO {old}"))
        if is_postgresql:
            connection.execute(text(f"ALTER TABLE {old} RENAME CONSTRAINT pk_{new} TO pk_{old}"))
    connection.execute(text("ALTER TABLE messages DROP COLUMN sender"))
    connection.execute(text("DROP TABLE members"))
    connection.execute(text("DROP TABLE mentions"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))


def take_back_to_0003(connection: Connection) -> None:
    """Give a database the schema of revision 0003, killed while it was brought to 0004."""
    take_back_to_0005(connection)
    connection.execute(text("DELETE FROM conversations WHERE position > 10"))
    connection.execute(text("UPDATE heads SET listed = 0"))
    connection.execute(
        text("CREATE INDEX ix_entries_archive_peer_position ON entries (archive, peer, position)")
    )
    connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
