"""The tables, and the column types that make all databases compare text alike.

- **Text is binary.** No collation may equate nina and nína, ß and ss, `Phone` and `phone`, or ignore a
  trailing space: text is stored as its UTF-8 octets and compared octet by octet.
- **Long names are found by digest.** A JID has up to 3071 octets and a namespace has no limit, but an index
  entry may have 3072 octets in InnoDB and 2704 in PostgreSQL. What is looked up by such a text has a 16-octet
  BLAKE2b digest of it as its key, and the text beside it.
- **Everything of an account hangs on its row** and goes with it (`ON DELETE CASCADE`): nothing can be stored
  for an account that does not exist, and a re-created account inherits nothing. Documents and nodes may be
  of others than accounts: they are cleared with the account, and once more when one of its name is made.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    TypeDecorator,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

DIGEST_OCTETS = 16


def key_of(*texts: str) -> bytes:
    """Give the digest that stands for these texts in keys."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=DIGEST_OCTETS).digest()


def _mysql(kind: TypeEngine[bytes]) -> TypeEngine[bytes]:
    """Give a binary type that MySQL and MariaDB know by this one."""
    return LargeBinary().with_variant(kind, "mysql", "mariadb")


class Text(TypeDecorator[str]):
    """Text as UTF-8 octets; with a length where it stands in an index."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, octets: int | None = None) -> None:
        super().__init__()
        self.octets = octets

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the type of the database."""
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(
                mysql.VARBINARY(self.octets) if self.octets else mysql.MEDIUMBLOB()
            )
        return dialect.type_descriptor(LargeBinary())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Write the text as octets."""
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Read the octets as text."""
        return None if value is None else value.decode()


DIGEST = _mysql(mysql.BINARY(DIGEST_OCTETS))
RAW = _mysql(mysql.MEDIUMBLOB())
VERIFIER = _mysql(mysql.VARBINARY(255))

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _account_key() -> Column[bytes]:
    return Column("account", DIGEST, ForeignKey("accounts.account", ondelete="CASCADE"), primary_key=True)


accounts = Table(
    "accounts",
    metadata,
    Column("account", DIGEST, primary_key=True),  # of the bare JID
    Column("domain", Text(1023), nullable=False),
    Column("local", Text(1023), nullable=False),
    Column("scram_keys", RAW, nullable=False),  # JSON, so that a log-in reads one row
    Column("created", Double, nullable=False),
    Column("ban_reason", Text()),
    Column("banned_since", Double),
    Column("last_activity", Double),
    Column("last_status", Text(), nullable=False),
    Column("removal_since", Double),
    Column("removal_due", Double),
    Index(None, "domain", "local", unique=True),
    Index(None, "removal_due"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

former_accounts = Table(
    "former_accounts",
    metadata,
    Column("account", DIGEST, primary_key=True),  # of the bare JID, as that of an account
    Column("removed", Double, nullable=False),
    Index(None, "removed"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

promotions = Table(
    "promotions",
    metadata,
    _account_key(),
    Column("domain", Text(1023), primary_key=True),  # that it may administer; empty for all
    Column("since", Double, nullable=False),
    Column("promoted_by", Text(), nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

group_heads = Table(
    "group_heads",
    metadata,
    Column("domain", Text(1023), primary_key=True),
    Column("epoch", Text(64), nullable=False),
    Column("number", BigInteger, nullable=False),  # of the last change
    Column("pruned", BigInteger, nullable=False),  # up to which those who have left are forgotten
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

shared_groups = Table(
    "shared_groups",
    metadata,
    Column("domain", Text(1023), primary_key=True),
    Column("name", Text(255), primary_key=True),
    Column("label", Text(), nullable=False),
    Column("description", Text(), nullable=False),
    Column("for_everybody", Boolean, nullable=False),
    Column("displayed", RAW, nullable=False),  # a JSON list of names
    Column("changed", BigInteger, nullable=False),
    Column("edited", BigInteger, nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

group_members = Table(  # those who have left stay as tombstones, so they may outlive their accounts
    "group_members",
    metadata,
    Column("domain", Text(1023), primary_key=True),
    Column("group_name", Text(255), primary_key=True),
    Column("account", DIGEST, primary_key=True),
    Column("jid", Text(), nullable=False),
    Column("name", Text(), nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
    Index(None, "account"),
    Index(None, "domain", "changed"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

domains = Table(
    "domains",
    metadata,
    Column("domain", Text(1023), primary_key=True),
    Column("state", Text(16), nullable=False),  # enabled, disabled or removing
    Column("created", Double, nullable=False),
    Column("admins", RAW, nullable=False),  # a JSON list of addresses
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

fast_tokens = Table(
    "fast_tokens",
    metadata,
    _account_key(),
    Column("device", DIGEST, primary_key=True),  # of the device id
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),  # 0 new, 1 current (XEP-0484 §4)
    Column("device_id", Text(), nullable=False),
    Column("mechanism", Text(64), nullable=False),
    Column("digest", VERIFIER, nullable=False),
    Column("expires", Double, nullable=False, index=True),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

rosters = Table(
    "rosters",
    metadata,
    _account_key(),
    Column("epoch", Text(16), nullable=False),
    Column("number", BigInteger, nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

roster_entries = Table(
    "roster_entries",
    metadata,
    _account_key(),
    Column("contact", DIGEST, primary_key=True),  # of the contact's JID
    Column("jid", Text(3071), nullable=False),
    Column("name", Text(), nullable=False),
    Column("groups", RAW, nullable=False),  # a JSON list, empty for none
    Column("subscription", Text(4), nullable=False),
    Column("ask", Boolean, nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("pending_in", RAW),
    Column("listed", Boolean, nullable=False),
    Column("changed", BigInteger, nullable=False),  # the roster's number at its last visible change, or 0
    Column("removed", Boolean, nullable=False),  # a tombstone
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

private_elements = Table(
    "private_elements",
    metadata,
    _account_key(),
    Column("element", DIGEST, primary_key=True),  # of namespace and name
    Column("namespace", Text(), nullable=False),
    Column("name", Text(), nullable=False),
    Column("raw", RAW, nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

displayed_positions = Table(
    "displayed_positions",
    metadata,
    _account_key(),
    Column("chat", DIGEST, primary_key=True),  # of the chat's JID
    Column("jid", Text(3071), nullable=False),
    Column("stanza_id", Text(1024), nullable=False),
    Column("archive", Text(3071), nullable=False),  # whose id that is
    Column("octets", Integer, nullable=False),  # what it counts for in the account's share
    Column("changed", BigInteger, nullable=False),  # the greater, the later it was put
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

vcards = Table(
    "vcards",
    metadata,
    _account_key(),
    Column("raw", RAW, nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

vcard_words = Table(  # by which vCards are found; put with them
    "vcard_words",
    metadata,
    _account_key(),
    Column("field", Text(16), primary_key=True),
    Column("word", Text(255), primary_key=True),
    Column("domain", Text(1023), nullable=False),  # of the account
    Column("value", Text(), nullable=False),  # of the field, as it is shown
    Index(None, "domain", "field", "word"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

blocked = Table(
    "blocked",
    metadata,
    _account_key(),
    Column("address", DIGEST, primary_key=True),  # of the blocked JID
    Column("jid", Text(3071), nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

documents = Table(  # of any entity, so they hang on no account: accounts.py clears them with theirs
    "documents",
    metadata,
    Column("entity", DIGEST, primary_key=True),  # of a bare JID or a domain
    Column("namespace", Text(255), primary_key=True),
    Column("name", Text(255), primary_key=True),
    Column("jid", Text(3071), nullable=False),  # the entity
    Column("value", RAW, nullable=False),
    Column("version", Text(64), nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

files = Table(  # they hang on no account: their octets have to go before their rows
    "files",
    metadata,
    Column("id", Text(64), primary_key=True),
    Column("owner", DIGEST, nullable=False),  # of a bare JID or a domain
    Column("jid", Text(3071), nullable=False),  # the owner
    Column("domain", Text(1023), nullable=False),
    Column("name", Text(), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("content_type", Text(), nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False, index=True),  # 0 of what is gone
    Column("state", SmallInteger, nullable=False),
    Column("digest", VERIFIER),
    Column("sent", Boolean, nullable=False),  # its owner has sent it in a message
    Index(None, "owner", "id"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

file_usage = Table(
    "file_usage",
    metadata,
    Column("holder", DIGEST, primary_key=True),  # of an owner, or of a domain for all of its owners
    Column("files", BigInteger, nullable=False),
    Column("octets", BigInteger, nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

file_mentions = Table(
    "file_mentions",
    metadata,
    Column("archive", DIGEST, primary_key=True),  # of its JID
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("file", Text(64), primary_key=True),
    Index(None, "file"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

archive_preferences = Table(
    "archive_preferences",
    metadata,
    _account_key(),
    Column("standard", Text(8), nullable=False),  # always, never or roster: for those in neither list
    Column("always", RAW, nullable=False),  # JSON lists of addresses
    Column("never", RAW, nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

nodes = Table(  # of accounts and of hosts, so they hang on no account: accounts.py clears them with theirs
    "nodes",
    metadata,
    Column("owner", DIGEST, primary_key=True),  # of a bare JID or a domain
    Column("node", DIGEST, primary_key=True),  # of the name
    Column("jid", Text(3071), nullable=False),  # the owner
    Column("name", Text(1024), nullable=False),
    Column("config", RAW, nullable=False),  # JSON
    Column("created", Double, nullable=False),
    Column("published", BigInteger, nullable=False),  # how often something was; 0 before that
    Column("items", Integer, nullable=False),
    Column("octets", BigInteger, nullable=False),  # of all items, as they count in the owner's share
    Column("item_expire", BigInteger),  # as in `config`, for whoever looks for expired items
    Index(None, "owner", "name"),
    Index(None, "item_expire"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

node_items = Table(
    "node_items",
    metadata,
    Column("owner", DIGEST, primary_key=True),
    Column("node", DIGEST, primary_key=True),
    Column("item", DIGEST, primary_key=True),  # of the id
    Column("id", Text(1024), nullable=False),
    Column("publisher", Text(3071), nullable=False),
    Column("published", Double, nullable=False),
    Column("payload", RAW, nullable=False),
    Column("octets", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),  # what `nodes.published` was when it was published
    Index(None, "owner", "node", "number"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

node_affiliations = Table(
    "node_affiliations",
    metadata,
    Column("owner", DIGEST, primary_key=True),
    Column("node", DIGEST, primary_key=True),
    Column("account", DIGEST, primary_key=True),  # of the bare JID that has it
    Column("jid", Text(3071), nullable=False),
    Column("affiliation", Text(16), nullable=False),
    Index(None, "account"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)

node_subscriptions = Table(
    "node_subscriptions",
    metadata,
    Column("owner", DIGEST, primary_key=True),
    Column("node", DIGEST, primary_key=True),
    Column("subscriber", DIGEST, primary_key=True),  # of the JID that is told, bare or full
    Column("account", DIGEST, nullable=False),  # of its bare JID
    Column("jid", Text(3071), nullable=False),
    Column("state", Text(16), nullable=False),
    Column("subscription_id", Text(64), nullable=False),
    Column("since", Double, nullable=False),
    Column("options", RAW),  # JSON; null: the defaults
    Column("expires", Double),  # as in `options`, for whoever looks for subscriptions that end
    Index(None, "account"),
    Index(None, "expires"),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)
