"""Searching for public rooms (XEP-0433)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.features.rooms.stage import enter, occupant, start
from tests.features.rooms.test_owners_and_admins import condition, form, owner
from tests.harness.world import World, WorldClient
from tidings.features.rooms.room_search import RoomSearchOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.channel_search import BY_ADDRESS, BY_USERS

SERVICE = "conference.localhost"
NS = "urn:xmpp:channel-search:0:search"
ERRORS = "urn:xmpp:channel-search:0:error"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Start a server with four public rooms, of one, two, two and no occupants, and one that is hidden."""
    world = await start(features={"room_search": RoomSearchOptions(per_minute=20)})
    alice, bob = await world.login("alice@localhost/phone"), await world.login("bob@localhost/phone")
    for name, fields, occupants in (
        ("tea", {"roomname": "Tea", "roomdesc": "Leaves and Water", "lang": "en"}, (alice,)),
        ("coffee", {"roomname": "Coffee", "membersonly": "1", "whois": "anyone"}, (alice, bob)),
        ("cocoa", {"roomdesc": "Hot water"}, (alice, bob)),
        ("empty", {"passwordprotectedroom": "1", "roomsecret": "x"}, ()),
        ("secret", {"publicroom": "0", "roomname": "Secret water"}, (alice,)),
    ):
        room = f"{name}@{SERVICE}"
        await enter(alice, "Alice", room=room)
        for client in occupants[1:]:
            await enter(client, "Bob", room=room)
        if name == "coffee":
            await admin_member(alice, room)
        assert condition(await owner(alice, form(**fields), room=room)) == ""
        if not occupants:
            await alice.send(f"<presence to='{room}' type='unavailable'/>")
    yield world
    await world.stop()


async def admin_member(client: WorldClient, room: str) -> None:
    item = "<item jid='bob@localhost' affiliation='member'/>"
    await client.request(
        f"<iq type='set' id='m1' to='{room}'><query xmlns='{ns.MUC_ADMIN}'>{item}</query></iq>"
    )


async def search(client: WorldClient, page: str = "", **fields: str) -> Element:
    inside = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    kind = "<field var='FORM_TYPE'><value>urn:xmpp:channel-search:0:search-params</value></field>"
    return await client.request(
        f"<iq type='get' id='s1' to='{SERVICE}'><search xmlns='{NS}'>{page}"
        f"<x xmlns='jabber:x:data' type='submit'>{kind}{inside}</x></search></iq>"
    )


def found(answer: Element) -> list[str]:
    """Give the local parts of the addresses that were found."""
    result = answer.find("result", NS)
    assert result is not None, answer.to_bytes()
    return [(each.get("address") or "").partition("@")[0] for each in result.find_all("item")]


async def test_the_service_says_that_it_searches_and_by_which_form(world: World) -> None:
    eve = await world.login("eve@localhost/phone")
    got = await eve.request(f"<iq type='get' id='d1' to='{SERVICE}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    assert NS in {each.get("var") for each in got.find("query", ns.DISCO_INFO).find_all("feature")}
    got = await eve.request(f"<iq type='get' id='s1' to='{SERVICE}'><search xmlns='{NS}'/></iq>")
    asked = got.find("search", NS).find("x", ns.DATA_FORMS)
    fields = {each.get("var"): each for each in asked.find_all("field")}
    assert {"q", "all", "sinname", "sindescription", "sinaddr", "min_users", "types", "key"} < set(fields)
    assert [each.text_of("value") for each in fields["key"].find_all("option")] == [BY_USERS, BY_ADDRESS]
    assert asked.get("type") == "form"


async def test_all_public_rooms_are_found_and_none_that_is_hidden(world: World) -> None:
    eve = await world.login("eve@localhost/phone")
    got = await search(eve, all="true")
    assert found(got) == ["cocoa", "coffee", "tea", "empty"], "by users, then by address"
    assert found(await search(eve, all="1", key=BY_ADDRESS)) == ["cocoa", "coffee", "empty", "tea"]
    shown = {each.get("address"): each for each in got.find("result", NS).find_all("item")}
    tea = shown[f"tea@{SERVICE}"]
    texts = [tea.text_of(each) for each in ("name", "description", "language", "nusers", "service-type")]
    assert texts == ["Tea", "Leaves and Water", "en", "1", "xep-0045"]
    assert (tea.find("is-open") is not None, tea.text_of("anonymity-mode")) == (True, "muc_semianonymous")
    coffee = shown[f"coffee@{SERVICE}"]
    assert coffee.find("is-open") is None
    assert coffee.text_of("anonymity-mode") == "{urn:xmpp:channel-search:0:anonymity}none"
    assert shown[f"empty@{SERVICE}"].find("is-open") is None, "it asks for a password"
    assert shown[f"empty@{SERVICE}"].text_of("name") == "empty"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"q": "WATER"}, ["cocoa", "tea"]),
        ({"q": "water leaves"}, ["tea"]),
        ({"q": "water", "sindescription": "false"}, []),
        ({"q": "co"}, ["cocoa", "coffee"]),
        ({"q": "co", "sinaddr": "false"}, ["cocoa", "coffee"]),  # a room without a name is called so
        ({"q": "empty", "sinname": "0"}, ["empty"]),
        ({"q": "empty", "sinname": "0", "sinaddress": "0"}, []),
        ({"q": "localhost"}, []),
        ({"q": "nothing like this"}, []),
        ({"all": "true", "min_users": "2"}, ["cocoa", "coffee"]),
        ({"all": "true", "types": "xep-0369"}, []),
        ({"all": "true", "types": "xep-0045", "{x}unknown": "1"}, ["cocoa", "coffee", "tea", "empty"]),
    ],
)
async def test_what_is_looked_for(world: World, fields: dict[str, str], expected: list[str]) -> None:
    assert found(await search(await world.login("eve@localhost/phone"), **fields)) == expected


@pytest.mark.parametrize("key", [BY_USERS, BY_ADDRESS])
async def test_pages_bring_every_room_once_in_both_directions(world: World, key: str) -> None:
    eve = await world.login("eve@localhost/phone")
    whole = found(await search(eve, all="1", key=key))
    for direction in ("after", "before"):
        seen: list[str] = []
        beside = "" if direction == "after" else "<before/>"
        for _ in range(5):
            got = await search(eve, f"<set xmlns='{ns.RSM}'><max>3</max>{beside}</set>", all="1", key=key)
            page = got.find("result", NS).find("set", ns.RSM)
            assert page.text_of("count") == "4"
            if not found(got):
                break
            seen = seen + found(got) if direction == "after" else found(got) + seen
            edge = page.text_of("last" if direction == "after" else "first")
            beside = f"<{direction}>{edge}</{direction}>"
        assert seen == whole


@pytest.mark.parametrize(
    ("fields", "expected", "defined"),
    [
        ({"q": "tea", "key": "{x}other"}, "feature-not-implemented", "invalid-sort-key"),
        ({"q": "t"}, "bad-request", "invalid-search-terms"),
        ({"q": ""}, "bad-request", "invalid-search-terms"),
        ({"q": "tea " * 100}, "bad-request", "invalid-search-terms"),
        ({"q": "tea", "all": "1"}, "bad-request", "conflicting-fields"),
        ({"key": BY_USERS}, "bad-request", "no-search-conditions"),
        (
            {"q": "tea", "sinname": "0", "sindescription": "0", "sinaddr": "0"},
            "bad-request",
            "no-search-conditions",
        ),
    ],
)
async def test_what_nothing_can_be_found_by(
    world: World, fields: dict[str, str], expected: str, defined: str
) -> None:
    refused = await search(await world.login("eve@localhost/phone"), **fields)
    assert condition(refused) == expected
    assert refused.find("error").find(defined, ERRORS) is not None


async def test_who_searches_all_the_time_has_to_wait(world: World) -> None:
    eve = await world.login("eve@localhost/phone")
    for _ in range(20):
        assert found(await search(eve, q="tea")) == ["tea"]
    refused = await search(eve, q="tea")
    assert (condition(refused), refused.find("error").get("type")) == ("resource-constraint", "wait")
    assert refused.find("error").find("rate-limit", ERRORS).get("retry-after") == "60"
    assert found(await search(await world.login("dora@localhost/phone"), q="tea")) == ["tea"]
    await world.advance(60)
    assert found(await search(eve, q="tea")) == ["tea"]


async def test_what_is_changed_is_found_at_once(world: World) -> None:
    eve, alice = (
        await world.login("eve@localhost/phone"),
        await occupant(world, "zoe", "Zoe", room=f"juice@{SERVICE}"),
    )
    assert found(await search(eve, q="juice")) == ["juice"]
    await owner(alice, form(roomname="Apples", publicroom="0"), room=f"juice@{SERVICE}")
    assert found(await search(eve, q="juice")) == []
    await owner(alice, form(publicroom="1"), room=f"juice@{SERVICE}")
    assert found(await search(eve, q="apples")) == ["juice"]
    await owner(alice, "<destroy/>", room=f"juice@{SERVICE}")
    assert found(await search(eve, q="apples")) == []
