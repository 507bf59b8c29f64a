"""The ledger's tables; see docs/explanation/ledger.md.

Every row of the hot ones is narrow, and each message touches as few pages as can be: a B-tree page that a
commit dirties is written whole into the log. JIDs are numbers; epochs, streams and messages, too.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table

from tidings.adapters.sql.tables import DIGEST, RAW, Text, metadata

_SERIAL = BigInteger().with_variant(Integer(), "sqlite")
_INNODB: Final[dict[str, Any]] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
_NARROW: Final[dict[str, Any]] = {**_INNODB, "sqlite_with_rowid": False}


def _only_key(name: str) -> Column[int]:
    # In SQLite the key alone, spelt so, is the place of the row: no second B-tree.
    return Column(name, _SERIAL, primary_key=True, autoincrement=False)


def _key(name: str) -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def _number(name: str, *, nullable: bool = False, default: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, server_default=default)


jids = Table(
    "jids",
    metadata,
    Column("id", _SERIAL, primary_key=True),  # stands for the address in the ledger's tables
    Column("digest", DIGEST, nullable=False, unique=True),
    Column("jid", Text(3071), nullable=False),
    **_INNODB,
)

archives = Table(  # the state of each archive; the lock of its row is the archive's lock
    "archives",
    metadata,
    _only_key("archive"),
    _number("first"),
    _number("position"),
    _number("time"),  # of the last entry, microseconds
    _number("version"),  # of what guard reads
    _number("epoch"),  # the last one: a random number, shown in base 32
    _number("incarnation"),  # of the ledger when that epoch began; 0 begins another one at the next append
    Column("held", SmallInteger, nullable=False),  # 1: the whole archive is under legal hold
    _number("listed"),  # up to here its entries stand in `conversations`, too
    _number("octets", default="0"),  # of the bodies of its entries that are no tombstones
    **_INNODB,
)

epochs = Table(
    "epochs",
    metadata,
    _key("archive"),
    _key("start"),  # its first position
    _number("epoch"),
    **_INNODB,
)

messages = Table(
    "messages",
    metadata,
    _only_key("id"),  # feed * 65536 + place in the transaction
    _number("time"),
    Column("places", RAW, nullable=False),  # where its entries are, its keys, a digest of what was sent
    Column("body", RAW, nullable=False),
    _number("sender", default="0"),  # the bare JID, 0 where direction and peer of its entries tell it
    **_INNODB,
)

message_keys = Table(  # what later messages may call a message, and how a repeated send is found
    "message_keys",
    metadata,
    Column("name", DIGEST, primary_key=True),
    _key("message"),
    **_NARROW,
)

entries = Table(
    "entries",
    metadata,
    _key("archive"),
    _key("position"),
    _number("message"),
    _number("time"),
    _number("peer"),
    Column("kind", SmallInteger, nullable=False),
    Column("flags", SmallInteger, nullable=False),
    _number("count"),  # received countable messages of the conversation up to here
    _number("target"),
    Column("resource", Text(1023)),
    **_NARROW,
)

conversations = Table(  # entries by peer, but for the last ones of each archive; see conversations.py
    "conversations",
    metadata,
    _key("archive"),
    _key("peer"),
    _key("position"),
    **_NARROW,
)

message_links = Table(  # entries that refer to an earlier one of their archive
    "message_links",
    metadata,
    _key("archive"),
    _key("target"),
    _key("position"),
    **_NARROW,
)

uncounted = Table(  # countable received messages that were retracted or erased: not unread
    "uncounted",
    metadata,
    _key("archive"),
    _key("peer"),
    _key("position"),
    **_NARROW,
)

erasures = Table(  # entries that became tombstones
    "erasures",
    metadata,
    _key("feed"),
    _key("archive"),
    _key("position"),
    Index(None, "archive", "feed", "position"),
    **_NARROW,
)

offline_only = Table(  # entries that are kept for devices that are away, and no longer
    "offline_only",
    metadata,
    _key("archive"),
    _key("position"),
    _number("time"),
    **_NARROW,
)

inbox = Table(
    "inbox",
    metadata,
    _key("owner"),
    _key("peer"),
    _number("source"),  # the archive that holds the conversation
    _number("position"),  # of the last countable entry, where source = owner
    _number("time"),
    _number("count"),
    _number("read_position"),
    _number("read_count"),
    _number("feed"),
    Column("flags", SmallInteger, nullable=False),  # 1 marked unread, 2 taken out of the inbox
    _number("read_time", default="0"),  # when a member read that far in a room; 0: that is not known
    Column("box", Text(255)),  # NULL: inbox
    _number("boxed_count", nullable=True),  # the count when it was boxed: a higher one brings it back
    _number("boxed_time", nullable=True),
    _number("muted_until", nullable=True),
    _number("pinned", nullable=True),
    **_NARROW,
)

members = Table(  # who belongs to a room, and who has it in the inbox for another reason
    "members",
    metadata,
    _key("room"),
    _key("member"),
    Column("affiliation", Text(32), nullable=False),  # empty for who only has the room in the inbox
    _number("joined", nullable=True),  # the position at which the member joined; NULL: is not in the room
    _number("feed"),  # the transaction that changed it last
    Column("nick", Text(255)),  # what the member is called in the room; NULL: no name is the member's own
    Column("domain", Text(1023)),  # under which the member knows the room; NULL: the room's own
    Index(None, "member", "room"),
    **_NARROW,
)

properties = Table(  # what is known of an archive as a whole
    "properties",
    metadata,
    _key("archive"),
    Column("name", Text(64), primary_key=True),
    Column("value", RAW, nullable=False),
    _number("feed"),  # the transaction that changed it last
    Index(None, "name", "archive"),
    **_INNODB,
)

mentions = Table(  # whom entries of rooms mention
    "mentions",
    metadata,
    _key("archive"),
    _key("member"),  # 0: all members
    _key("position"),
    Index(None, "archive", "position"),
    **_NARROW,
)

devices = Table(
    "devices",
    metadata,
    _key("archive"),
    Column("device", DIGEST, primary_key=True),
    Column("name", Text(), nullable=False),
    _number("position"),
    _number("seen"),
    Column("pulls", SmallInteger, nullable=False),
    **_NARROW,
)

streams = Table(  # XEP-0198: which stanzas of a stream were committed
    "streams",
    metadata,
    Column("stream", DIGEST, primary_key=True),
    _number("number"),
    _number("seen"),
    **_NARROW,
)

commits = Table(
    "commits",
    metadata,
    _only_key("feed"),
    Column("batch", DIGEST, nullable=False),
    **_INNODB,
)

ledger = Table(
    "ledger",
    metadata,
    _only_key("id"),
    _number("feed"),
    _number("incarnation"),
    _number("renames", default="0"),  # how often an address got another number
    **_INNODB,
)

followers = Table(
    "followers",
    metadata,
    Column("name", Text(128), primary_key=True),
    _number("incarnation"),  # of the ledger when the cursor was read
    _number("feed"),  # the transaction that comes next
    _number("number"),  # what comes next within it
    _number("part"),  # how many effects of that are done
    _number("moved"),  # when the cursor moved last, microseconds
    **_INNODB,
)

leases = Table(  # whose a piece of work is: that of a follower, or the outbox
    "leases",
    metadata,
    Column("name", Text(128), primary_key=True),
    Column("owner", Text(64), nullable=False),
    _number("leased_until"),  # microseconds
    **_INNODB,
)

dead_letters = Table(  # what a follower could not do and went past
    "dead_letters",
    metadata,
    Column("follower", Text(128), primary_key=True),
    _key("feed"),
    _key("number"),
    _number("incarnation"),
    _number("time"),
    Column("is_retried", SmallInteger, nullable=False),
    Column("reason", Text(), nullable=False),
    **_INNODB,
)

feed_events = Table(  # what followers are told that is no message
    "feed_events",
    metadata,
    _only_key("id"),  # as that of a message
    _number("time"),
    Column("kind", Text(64), nullable=False),
    Column("subject", Text(3071), nullable=False),
    Column("body", RAW, nullable=False),
    **_INNODB,
)

feed_gaps = Table(  # how many messages of a transaction were forgotten
    "feed_gaps",
    metadata,
    _only_key("feed"),
    _number("lost"),
    **_INNODB,
)

outbox = Table(  # messages that wait for other servers
    "outbox",
    metadata,
    _key("domain"),
    _key("message"),
    _key("place"),  # among the rows of the message
    _number("time"),
    Column("recipient", Text(3071), nullable=False),
    Index(None, "message"),
    **_NARROW,
)

outbound_only = Table(  # messages that no archive ever had
    "outbound_only",
    metadata,
    _only_key("message"),
    **_INNODB,
)

LEDGER_TABLES: Final = (
    jids,
    archives,
    epochs,
    messages,
    message_keys,
    entries,
    conversations,
    message_links,
    uncounted,
    erasures,
    offline_only,
    inbox,
    members,
    properties,
    mentions,
    devices,
    streams,
    commits,
    ledger,
    followers,
    leases,
    dead_letters,
    feed_events,
    feed_gaps,
    outbox,
    outbound_only,
)
