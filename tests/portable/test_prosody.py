"""What Prosody has written comes over: values in Lua and JSON, and all that a real server keeps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.harness.prosody import PROSODY, Prosody
from tests.portable.foreign import ALICE, PASSWORDS, come_over, use
from tidings.portable.errors import PortableError
from tidings.portable.prosody.files import encode
from tidings.portable.prosody.reading import Prosody as Source
from tidings.portable.prosody.table import Table, read_json, read_lua
from tidings.ports.nodes import AccessModel


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


def test_a_node_whose_settings_cannot_be_read_is_the_owners_alone(tmp_path: Path) -> None:
    for store, text in {
        "accounts": "return {};",
        "pep": 'return { old = true, odd = { config = { access_model = "friends" } },'
        ' ["no one"] = { affiliations = { ["a b@"] = "member" }, subscribers = { ["@"] = true } } };',
    }.items():
        (tmp_path / "localhost" / store).mkdir(parents=True)
        (tmp_path / "localhost" / store / "alice.dat").write_text(text)
    (account,) = Source(str(tmp_path)).accounts()
    assert {node.name: node.config.access_model for node in account.nodes} == {
        "old": AccessModel.PRESENCE,
        "odd": AccessModel.WHITELIST,
        "no one": AccessModel.PRESENCE,
    }
    assert not any(node.affiliations or node.subscriptions for node in account.nodes)
    assert set(account.left_out) == {
        "the settings of the node odd, which is the owner's alone now",
        "affiliations with nodes that cannot be read",
        "subscriptions to nodes that cannot be read",
    }


def test_what_a_domain_beyond_ascii_has_is_found(tmp_path: Path) -> None:
    host = tmp_path / encode("xn--bcher-kva.example")
    for store, ending, text in (
        ("accounts", "dat", "return {};"),
        ("pep", "dat", "return { x = true };"),
        ("pep_x", "list", 'item({ ["name"] = "a", attr = { xmlns = "x" }, key = "1", when = 1500000000 });'),
        ("archive", "list", 'item({ ["name"] = "message", { "hi", name = "body" }, when = 1500000000 });'),
    ):
        (host / store).mkdir(parents=True)
        (host / store / f"alice.{ending}").write_text(text + "\n")
    source = Source(str(tmp_path))
    (account,) = source.accounts()
    assert account.jid.domain == "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"
    assert [item.id for node in account.nodes for item in node.items] == ["1"]
    (past,) = source.history(account.jid)
    assert b">hi</body>" in past.message.to_bytes()


@pytest.fixture(params=["internal", "sql"])
async def prosody(request: pytest.FixtureRequest, tmp_path: Path) -> Prosody:
    """A server that has been used, and has stopped."""
    assert PROSODY, "Prosody is not installed: run tests/install.sh"
    server = Prosody(tmp_path, storage=request.param)
    for jid, password in PASSWORDS.items():
        server.register(jid.local or "", jid.domain, password)
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
    world, report = await come_over(
        Source(place_of(prosody)), "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"
    )
    assert (report.accounts, report.messages) == (3, 8)
    assert set(report.left_out) <= {"the store account_details"}
    vcard = await world.stores.vcards.get(ALICE)
    assert b"<TYPE>image/png</TYPE><BINVAL>AAAA" in vcard
    await world.stop()
