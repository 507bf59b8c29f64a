"""What Prosody has written comes over: values in Lua and JSON, and all that a real server keeps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.features.pulling import pull
from tests.harness.clock import VirtualClock
from tests.harness.prosody import PROSODY, Prosody, ask
from tests.harness.world import World, memory_stores
from tidings.base.jid import Jid
from tidings.portable.errors import PortableError
from tidings.portable.importing import Importer
from tidings.portable.prosody.files import encode
from tidings.portable.prosody.reading import Prosody as Source
from tidings.portable.prosody.table import Table, read_json, read_lua
from tidings.ports.ledger.reading import InboxQuery
from tidings.ports.roster import Subscription
from tidings.wire.xml.writer import escape_text
from tidings.wire.xmpp.sasl.keys import verify_password

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
ODD = "B\N{LATIN SMALL LETTER U WITH DIAERESIS}cher \"'\\ \N{PILE OF POO} ]] }); "


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("return {};", Table()),
        ('return {\n\t["a"] = "b";\n};\n', Table({"a": "b"})),
        (
            'return { a = 1, ["b"] = -2.5e3; ["c"] = true; d = nil };',
            Table({"a": 1, "b": -2500.0, "c": True, "d": None}),
        ),
        ('return { [1] = "x"; [2] = "y"; };', Table(items=["x", "y"])),
        ('item({ "x", { "y" } });', Table(items=["x", Table(items=["y"])])),
        (
            'return { [false] = { ["version"] = 3; }; ["true"] = false };',
            Table({"true": False}, [], Table({"version": 3})),
        ),
        (
            r'return { "\"\\\n\009\195\188" };',
            Table(items=['"\\\n\t\N{LATIN SMALL LETTER U WITH DIAERESIS}']),
        ),
        ('return { "} ; [\\"a\\"] = { --" };', Table(items=['} ; ["a"] = { --'])),
        ("return { -- a comment\n 0x10; (1/0); (-1/0); };", Table(items=[16, math.inf, -math.inf])),
    ],
)
def test_a_value_in_lua_is_read(text: str, table: Table) -> None:
    assert read_lua(text) == table


@pytest.mark.parametrize(
    "text",
    [
        "",
        "return",
        "return 5",
        "return {",
        'return { ["a" = 1 }',
        'return { ["a"] 1 }',
        'return { "a',
        "{" * 100_000,
    ],
)
def test_what_is_no_table_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_lua(text)


def test_a_value_in_json_is_read() -> None:
    text = '{"name":"x","__array":["a",{"b":1}],"__hash":[false,{"version":2}]}'
    assert read_json(text) == Table({"name": "x"}, ["a", Table({"b": 1})], Table({"version": 2}))
    assert read_json('["a",true]') == Table(items=["a", True])


def test_names_of_files_are_those_of_prosody() -> None:
    assert encode("example.org") == "example%2eorg"
    assert encode("a_b@\N{LATIN SMALL LETTER U WITH DIAERESIS}") == "a%5fb%40%c3%bc"


def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path) -> None:
    accounts = tmp_path / "localhost" / "accounts"
    accounts.mkdir(parents=True)
    (accounts / "alice.dat").write_text("return { broken")
    with pytest.raises(PortableError, match=r"accounts/alice\.dat: "):
        list(Source(str(tmp_path)).accounts())
    with pytest.raises(PortableError, match="cannot be read"):
        list(Source(str(tmp_path / "missing")).accounts())
    (accounts / "alice.dat").write_text("return {};")
    (tmp_path / "localhost" / "archive").mkdir()
    (tmp_path / "localhost" / "archive" / "alice.list").write_text(
        'item({ ["name"] = "message" });\nitem({\n x x\n});\n'
    )
    source = Source(str(tmp_path))
    assert [account.jid for account in source.accounts()] == [ALICE]
    with pytest.raises(PortableError, match=r"alice\.list, line 2: "):
        list(source.history(ALICE))


CARD = (
    "<FN>Alice</FN><N><FAMILY>Liddell</FAMILY><GIVEN>Alice</GIVEN></N>"
    "<EMAIL><HOME/><USERID>a@b.example</USERID></EMAIL>"
)
AVATARS = "urn:xmpp:avatar"


def publish(node: str, payload: str) -> str:
    item = f"<publish node='{node}'><item id='1'>{payload}</item></publish>"
    return f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{item}</pubsub>"


OF_ALICE = (
    "<query xmlns='jabber:iq:roster'><item jid='bob@localhost' name='B &lt;'><group>F</group></item></query>",
    "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><url url='a.b'/></storage></query>",
    f"<vCard xmlns='vcard-temp'>{CARD}</vCard>",
    publish(
        f"{AVATARS}:metadata", f"<metadata xmlns='{AVATARS}:metadata'><info type='image/png'/></metadata>"
    ),
    publish(f"{AVATARS}:data", f"<data xmlns='{AVATARS}:data'>AAAA</data>"),
    "<block xmlns='urn:xmpp:blocking'><item jid='eve@localhost'/></block>",
)
PREFS = (
    "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>alice@localhost</jid></always>"
    "<never/></prefs>"
)


async def use(prosody: Prosody) -> None:
    """Let two people use everything that an account has there."""
    alice, bob = await prosody.log_in("alice", "Secret of A"), await prosody.log_in("bob", "secret")
    await alice.say("<presence/>", until="<presence")
    await bob.say("<presence/>", until="<presence")
    for request in OF_ALICE:
        await ask(alice, request)
    await ask(bob, PREFS)
    bob.push("<presence type='subscribe' to='alice@localhost'><status>Please</status></presence>")
    await alice.hear("Please")
    for number, (sender, receiver) in enumerate(((alice, bob), (bob, alice), (alice, bob))):
        text = escape_text(ODD) if number == 1 else f"m{number}"
        to = "bob" if receiver is bob else "alice"
        sender.push(f"<message type='chat' to='{to}@localhost' id='m{number}'><body>{text}</body></message>")
        await receiver.hear(f"id='m{number}'")
    await bob.say("</stream:stream>", until="</stream:stream>")
    alice.push("<message type='chat' to='bob@localhost' id='waits'><body>waits</body></message>")
    await ask(alice, "<query xmlns='http://jabber.org/protocol/disco#info'/>", "get")
    await alice.say("</stream:stream>", until="</stream:stream>")
    for client in (alice, bob):
        await client.close()


@pytest.fixture(params=["internal", "sql"])
async def prosody(request: pytest.FixtureRequest, tmp_path: Path) -> Prosody:
    """A server that has been used, and has stopped."""
    assert PROSODY, "Prosody is not installed: run tests/install.sh"
    server = Prosody(tmp_path, storage=request.param)
    for name, password in (("alice", "Secret of A"), ("bob", "secret")):
        server.register(name, "localhost", password)
    server.register("j\N{LATIN SMALL LETTER O WITH DIAERESIS}rg", "xn--bcher-kva.example", "secret")
    server.start()
    try:
        await use(server)
    finally:
        server.stop()
    return server


def place_of(server: Prosody) -> str:
    database = server.folder / "prosody.sqlite"
    return f"sqlite:///{database}" if database.exists() else str(server.folder / "data")


async def test_the_people_of_a_real_server_find_everything(prosody: Prosody) -> None:
    clock = VirtualClock()
    clock.advance(86_400 * 3_650)
    stores = await memory_stores(clock)
    importer = Importer(stores, ["localhost", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"], clock)
    report = await importer.run(Source(place_of(prosody)), "prosody")
    assert report.problems == []
    assert (report.accounts, report.messages) == (3, 8)
    assert set(report.left_out) <= {"the store account_details"}

    for jid, password in ((ALICE, "Secret of A"), (BOB, "secret")):
        record = await stores.accounts.get(jid)
        assert record is not None
        assert [keys.mechanism for keys in record.keys] == ["SCRAM-SHA-1"]
        assert verify_password(password, record.keys)
        assert not verify_password("other", record.keys)
    [contact] = (await stores.roster.load(ALICE)).entries
    assert (contact.jid, contact.name, contact.groups) == (BOB, "B <", {"F"})
    assert b"<status>Please</status>" in (contact.pending_in or b"")
    [contact] = (await stores.roster.load(BOB)).entries
    assert (contact.jid, contact.ask, contact.subscription) == (ALICE, True, Subscription.NONE)
    vcard = await stores.vcards.get(ALICE)
    assert vcard is not None
    for part in (
        b"<FN>Alice</FN>",
        b"<FAMILY>Liddell</FAMILY>",
        b"<USERID>a@b.example</USERID>",
        b"<TYPE>image/png</TYPE><BINVAL>AAAA",
    ):
        assert part in vcard
    assert await stores.private.get(ALICE, "storage:bookmarks", "storage") is not None
    assert await stores.blocking.list(ALICE) == {Jid("eve@localhost")}
    preferences = await stores.preferences.get(BOB)
    assert preferences is not None
    assert (preferences.default.value, preferences.always) == ("roster", (ALICE,))

    world = await World.start(stores=stores, clock=clock)
    alice = await world.online("alice@localhost/phone")
    assert (await pull(alice)).texts == ["m0", ODD, "m2", "waits"]
    bob = await world.login("bob@localhost/phone")
    await bob.send("<presence/>")
    assert [message.text_of("body") for message in bob.take("message")] == ["waits"]
    assert (await pull(bob)).texts == ["m0", ODD, "m2", "waits"]
    assert stores.ledger is not None
    [row] = (await stores.ledger.inbox(BOB, InboxQuery())).rows
    assert row.unread == 1
    await world.stop()
