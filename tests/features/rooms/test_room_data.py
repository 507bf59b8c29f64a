"""Data of applications about rooms (docs/specs/rooms.md)."""

from __future__ import annotations

import pytest

from tests.features.rooms.stage import ROOM, occupant, world
from tests.features.rooms.test_owners_and_admins import admin, condition
from tests.features.rooms.test_room_vcard import told
from tests.harness.world import World, WorldClient
from tidings.features.rooms.room_data import MOST_OCTETS
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]

NS = "urn:tidings:rooms:0"


async def put(client: WorldClient, text: str, version: str = "") -> Element:
    known = f" version='{version}'" if version else ""
    json = f"<json xmlns='urn:xmpp:json:0'>{text}</json>"
    return await client.request(
        f"<iq type='set' id='d1' to='{ROOM}'><data xmlns='{NS}'{known}>{json}</data></iq>"
    )


async def data(client: WorldClient) -> tuple[str | None, str | None]:
    """Give the version and the text, or the condition of the error and nothing."""
    got = await client.request(f"<iq type='get' id='d2' to='{ROOM}'><data xmlns='{NS}'/></iq>")
    found = got.find("data", NS)
    return (condition(got), None) if found is None else (found.get("version"), found.text_of("json", ns.JSON))


async def version_told(client: WorldClient) -> list[str]:
    got = await client.request(f"<iq type='get' id='d3' to='{ROOM}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    query = got.find("query", ns.DISCO_INFO)
    assert NS in {each.get("var") for each in query.find_all("feature")}
    fields = [field for form in query.find_all("x", ns.DATA_FORMS) for field in form.find_all("field")]
    return [each.text_of("value") for each in fields if each.get("var") == f"{{{NS}}}data_version"]


async def test_members_read_what_the_staff_has_set_and_it_lasts(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await world.login("carol@localhost/phone")
    assert await data(alice) == ("0", "{}")
    assert await version_told(bob) == []
    bob.take()
    assert condition(await put(bob, "{}")) == "forbidden"
    answer = await put(alice, '{"beds": 4}')
    assert answer.find("data", NS).get("version") == "1"
    assert told(bob) == [("groupchat", ["104"])]
    await admin(alice, "<item jid='dora@localhost' affiliation='admin'/>")
    for _ in range(2):
        dora = await world.login("dora@localhost/phone")
        assert await data(dora) == ("1", '{"beds": 4}'), "of the staff, and not in the room"
        assert await version_told(dora) == ["1"]
        await world.restart()
    dora, carol = [await world.login(f"{name}@localhost/phone") for name in ("dora", "carol")]
    assert await data(carol) == ("forbidden", None)
    assert condition(await put(dora, "{}")) == ""
    assert await data(dora) == ("2", "{}")


async def test_of_two_who_change_the_same_version_one_is_told(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await put(alice, '{"a": 1}', version="0")
    refused = await put(alice, '{"b": 1}', version="0")
    assert condition(refused) == "conflict"
    assert "at version 1" in refused.find("error").text_of("text", ns.STANZA_ERRORS)
    assert await data(alice) == ("1", '{"a": 1}')
    await put(alice, '{"b": 1}', version="1")
    assert await data(alice) == ("2", '{"b": 1}')


async def test_who_is_banned_reads_nothing(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    assert await data(bob) == ("0", "{}")
    await admin(alice, "<item jid='bob@localhost' affiliation='outcast'/>")
    assert await data(bob) == ("forbidden", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "bad-request"),
        ("[1]", "bad-request"),
        ("{} {}", "bad-request"),
        ('{"a": NaN}', "bad-request"),
        ('{"a":' + "[" * 8_000, "bad-request"),
        ('{"a": "' + "x" * (MOST_OCTETS - 9) + '"}', ""),
        ('{"a": "' + "x" * (MOST_OCTETS - 8) + '"}', "policy-violation"),
        ('{"a": "' + "é" * (MOST_OCTETS // 2) + '"}', "policy-violation"),
    ],
)
async def test_what_is_no_small_object_is_refused(world: World, text: str, expected: str) -> None:
    alice = await occupant(world, "alice", "Alice")
    assert condition(await put(alice, text)) == expected
    assert (await data(alice))[0] == ("0" if expected else "1")
