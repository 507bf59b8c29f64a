"""What MongooseIM keeps in its SQL database comes over; the rows here are made after its schema."""

from __future__ import annotations

import sqlite3
import zlib
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest

from tests.features.pulling import pull
from tests.harness.clock import VirtualClock
from tests.harness.world import World, memory_stores
from tidings.base.jid import Jid
from tidings.portable.errors import PortableError
from tidings.portable.importing import Importer
from tidings.portable.mongooseim.database import MongooseIm
from tidings.portable.mongooseim.external_terms import read_external
from tidings.ports.ledger.reading import InboxQuery
from tidings.ports.roster import Subscription
from tidings.wire.xmpp.sasl.keys import ScramKeys, make_scram_keys, verify_password

ALICE, BOB, CAROL = Jid("alice@localhost"), Jid("bob@localhost"), Jid("carol@other.example")
THEN = 1_600_000_000_000_000
SECOND = 1_000_000

TABLES = {
    "users": "username, server, password, pass_details, created_at timestamp",
    "last": "server, username, seconds, state",
    "rosterusers": "server, username, jid, nick, subscription, ask, askmessage, created_at timestamp",
    "rostergroups": "server, username, jid, grp",
    "vcard": "username, server, vcard",
    "private_storage": "server, username, namespace, data",
    "privacy_default_list": "server, username, name",
    "privacy_list": "server, username, name, id, created_at timestamp",
    "privacy_list_data": "id, t, value, action, ord, match_all, match_iq, match_message",
    "mam_server_user": "id, server, user_name",
    "mam_message": "id, user_id, from_jid, remote_bare_jid, direction, message, is_groupchat",
    "mam_config": "user_id, remote_jid, behaviour",
    "offline_message": "id, timestamp, expire, server, username, from_jid, packet, permanent_fields",
    "inbox": "luser, lserver, remote_bare_jid, msg_id, box, timestamp, muted_until, unread_count",
}


def external(term: object) -> bytes:
    """Write a term in Erlang's external format, without what stands before it."""
    match term:
        case bytes():
            return b"m" + len(term).to_bytes(4, "big") + term
        case str():
            return b"w" + bytes((len(term),)) + term.encode()
        case tuple():
            return b"h" + bytes((len(term),)) + b"".join(map(external, term))
        case []:
            return b"j"
        case list():
            return b"l" + len(term).to_bytes(4, "big") + b"".join(map(external, term)) + b"j"
        case dict():
            pairs = [external(each) for pair in term.items() for each in pair]
            return b"t" + len(term).to_bytes(4, "big") + b"".join(pairs)
        case int() if 0 <= term < 256:
            return b"a" + bytes((term,))
        case int():
            return b"b" + term.to_bytes(4, "big", signed=True)
    raise AssertionError(term)


def compressed(term: object) -> bytes:
    written = external(term)
    return b"\x83P" + len(written).to_bytes(4, "big") + zlib.compress(written)


def packet(text: str, id: str, *, is_old: bool = False) -> tuple[object, ...]:  # noqa: A002  # the attribute's name
    attributes: object = {b"id": id.encode(), b"type": b"chat"}
    if is_old:
        attributes = [(b"id", id.encode()), (b"type", b"chat")]
    body = ("xmlel", b"body", [] if is_old else {}, [("xmlcdata", text.encode())])
    return ("xmlel", b"message", attributes, [body])


def archive_id(seconds: int) -> int:
    return (THEN + seconds * SECOND) << 8 | 3


def archived(
    at: int, owner: int, sender: str, peer: Jid, written: bytes, direction: str = "I"
) -> tuple[object, ...]:
    return archive_id(at), owner, sender, peer.text, direction, written, False


def details(keys: tuple[ScramKeys, ...]) -> str:
    def key(keys: ScramKeys) -> str:
        name = keys.mechanism.removeprefix("SCRAM-").replace("-", "")
        sign = "===" if name == "SHA1" else "=="
        parts = (b64encode(each).decode() for each in (keys.salt, keys.stored_key, keys.server_key))
        return f"{sign}{name}{sign}{'|'.join(parts)}"

    return f"==MULTI_SCRAM==,{keys[0].iterations},{','.join(map(key, keys))},==SHA224==QQ==|QQ==|QQ=="


@pytest.fixture
def url(tmp_path: Path) -> str:
    keys = make_scram_keys("secret", iterations=4096)
    [sha1] = [each for each in keys if each.mechanism == "SCRAM-SHA-1"]
    single = ",".join(b64encode(each).decode() for each in (sha1.stored_key, sha1.server_key, sha1.salt))
    rows: dict[str, list[tuple[object, ...]]] = {
        "users": [
            ("alice", "localhost", "", details(keys), "2020-09-13 12:26:40"),
            ("bob", "localhost", "", f"==SCRAM==,{single},4096", None),
            ("dave", "localhost", "plain", None, None),
            ("carol", "other.example", "plain", None, None),
        ],
        "last": [("localhost", "alice", 1_600_000_500, "Gone")],
        "rosterusers": [("localhost", "alice", "bob@localhost", "Bob", "B", "N", "", None)],
        "rostergroups": [("localhost", "alice", "bob@localhost", "Friends")],
        "vcard": [("alice", "localhost", "<vCard xmlns='vcard-temp'><FN>Alice</FN></vCard>")],
        "private_storage": [("localhost", "alice", "urn:a", "<a xmlns='urn:a'/>")],
        "privacy_default_list": [("localhost", "alice", "blocked")],
        "privacy_list": [("localhost", "alice", "blocked", 5, None)],
        "privacy_list_data": [
            (5, "j", "eve@localhost", "d", 1, True, False, False),
            (5, "n", "", "a", 2, True, False, False),
        ],
        "mam_server_user": [(7, "localhost", "alice"), (8, "localhost", "bob")],
        "mam_message": [
            archived(1, 7, "/phone", BOB, compressed(packet("one", "1")), direction="O"),
            archived(2, 7, "bob/desk", BOB, b"\x83" + external(packet("two", "2", is_old=True))),
            archived(3, 7, "bob", BOB, b"<message type='chat' id='3'><body>three</body></message>"),
            archived(4, 7, "other.example@carol/x", CAROL, compressed(packet("four", "4"))),
            archived(5, 8, "alice/phone", ALICE, compressed(packet("one", "1"))),
        ],
        "mam_config": [(7, "", "R"), (7, "bob", "A"), (7, "spam.example:", "N")],
        "offline_message": [
            (
                1,
                THEN + 9 * SECOND,
                None,
                "localhost",
                "bob",
                "alice@localhost/phone",
                b"<message to='bob@localhost' type='chat' id='w'><body>waits</body></message>",
                b"",
            ),
        ],
        "inbox": [
            ("alice", "localhost", "bob@localhost", "3", "archive", 0, 0, 1),
            ("alice", "localhost", "carol@other.example", "4", "inbox", 0, 4_000_000_000_000_000, 0),
        ],
    }
    file = tmp_path / "mongooseim.sqlite"
    with closing(sqlite3.connect(file)) as made, made:
        for name, columns in TABLES.items():
            made.execute(f"CREATE TABLE {name} ({columns})")
            marks = ", ".join("?" for _ in columns.split(","))
            made.executemany(f"INSERT INTO {name} VALUES ({marks})", rows[name])
    return f"sqlite:///{file}"


async def test_its_people_find_everything(url: str) -> None:
    clock = VirtualClock()
    stores = await memory_stores(clock)
    report = await Importer(stores, ["localhost"], clock).run(MongooseIm(url, "localhost"), "mongooseim")
    assert (report.accounts, report.messages, report.problems) == (3, 6, [])
    assert report.left_out == {"keys of SCRAM-SHA224": 1}

    alice = await stores.accounts.get(ALICE)
    assert alice is not None
    assert {keys.mechanism for keys in alice.keys} == {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"}
    assert all(verify_password("secret", (keys,)) for keys in alice.keys)
    assert (alice.last_activity, alice.last_status) == (1_600_000_500, "Gone")
    for jid, password in ((BOB, "secret"), (Jid("dave@localhost"), "plain")):
        record = await stores.accounts.get(jid)
        assert record is not None
        assert verify_password(password, record.keys)
    [contact] = (await stores.roster.load(ALICE)).entries
    assert (contact.jid, contact.name, contact.subscription) == (BOB, "Bob", Subscription.BOTH)
    assert await stores.blocking.list(ALICE) == {Jid("eve@localhost")}
    preferences = await stores.preferences.get(ALICE)
    assert preferences is not None
    assert (preferences.default.value, preferences.always, preferences.never) == (
        "roster",
        (BOB,),
        (Jid("spam.example"),),
    )

    assert stores.ledger is not None
    rows = {row.peer: row for row in (await stores.ledger.inbox(ALICE, InboxQuery())).rows}
    assert (rows[BOB].unread, rows[BOB].box) == (1, "archive")
    assert (rows[CAROL].unread, rows[CAROL].muted_until) == (0, 4_000_000_000_000_000)
    world = await World.start(stores=stores, clock=clock)
    client = await world.online("alice@localhost/phone")
    pulled = await pull(client)
    assert pulled.texts == ["one", "two", "three", "four"]
    senders = [stanza.sender for result in pulled.results if (stanza := result.forwarded.stanza())]
    assert senders == ["alice@localhost/phone", "bob@localhost/desk", BOB, "carol@other.example/x"]
    stamps = [result.forwarded.delay.stamp for result in pulled.results if result.forwarded.delay]
    assert stamps == [THEN + seconds * SECOND for seconds in (1, 2, 3, 4)]
    client = await world.login("bob@localhost/phone")
    await client.send("<presence/>")
    assert [message.text_of("body") for message in client.take("message")] == ["waits"]
    await world.stop()


@pytest.mark.parametrize(
    ("term", "read"),
    [
        ([], []),
        ({b"a": [1, -5, 70_000]}, [(b"a", [1, -5, 70_000])]),
        (("xmlel", b"a"), ("xmlel", b"a")),
    ],
)
def test_a_term_is_read(term: object, read: object) -> None:
    assert read_external(b"\x83" + external(term)) == read
    assert read_external(compressed(term)) == read


@pytest.mark.parametrize(
    "octets", [b"", b"x", b"\x83", b"\x83m\0\0\0\5ab", b"\x83P\0\0\0\1xyz", b"\x83g", b"\x83" + b"h\1" * 300]
)
def test_what_is_no_term_is_told(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_external(octets)


def test_a_compressed_term_has_a_size() -> None:
    with pytest.raises(ValueError, match="too large"):
        read_external(compressed(b"\0" * (17 << 20)))


def test_another_database_is_none_of_mongooseim(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE users (username, password)")
    with pytest.raises(PortableError, match="no column `server`"):
        list(MongooseIm(f"sqlite:///{file}").accounts())
