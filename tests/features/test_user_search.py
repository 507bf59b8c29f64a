"""User search: who is found, by whom, and how much of a domain nobody can list."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World, WorldClient
from tidings.app.searching import USER_SEARCH
from tidings.features.user_search import UserSearchOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm

NAMES = {"alice": "Alice Archer", "bob": "Bob Archer", "carol": "Carol Archibald", "dave": "Dave Bowman"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    options = {"user_search": UserSearchOptions(max_results=2, searches_per_minute=8)}
    world = await World.start(services=[USER_SEARCH], options=options)
    yield world
    await world.stop()


async def tell(client: WorldClient, vcard: str) -> None:
    answer = await client.request(f"<iq type='set' id='v'><vCard xmlns='vcard-temp'>{vcard}</vCard></iq>")
    assert answer.get("type") == "result"


@pytest.fixture
async def people(world: World) -> dict[str, WorldClient]:
    found = {}
    for local, name in NAMES.items():
        found[local] = client = await world.online(f"{local}@localhost/phone")
        first, last = name.split()
        await tell(client, f"<FN>{name}</FN><N><FAMILY>{last}</FAMILY><GIVEN>{first}</GIVEN></N><PHOTO/>")
    return found


async def ask(client: WorldClient, content: str, kind: str = "set") -> Element:
    return await client.request(
        f"<iq type='{kind}' id='s' to='vjud.localhost'><query xmlns='{ns.SEARCH}'>{content}</query></iq>"
    )


async def found(client: WorldClient, content: str) -> list[str]:
    answer = await ask(client, content)
    query = answer.find("query", ns.SEARCH)
    assert query is not None, answer
    return [item.get("jid") or "" for item in query.find_all("item")]


def condition(answer: Element) -> str:
    error = answer.find("error")
    assert error is not None, answer
    return error.children[0].name


async def test_people_are_found_by_a_part_of_their_names(people: dict[str, WorldClient]) -> None:
    alice = people["alice"]
    assert await found(alice, "<last>BOW</last>") == ["dave@localhost"]
    assert await found(alice, "<last>archer</last><first>bo</first>") == ["bob@localhost"]
    assert await found(alice, "<first>Bob*</first>") == ["bob@localhost"]
    assert await found(alice, "<last>nobody</last>") == []


async def test_a_form_is_answered_with_a_table(people: dict[str, WorldClient]) -> None:
    alice = people["alice"]
    query = (await ask(alice, "", "get")).find("query", ns.SEARCH)
    assert query is not None
    form = query.find("x", ns.DATA_FORMS)
    assert form is not None
    names = [each.name for each in DataForm.decode(form).fields]
    assert names == ["FORM_TYPE", "fn", "first", "last", "nick", "email", "orgname", "orgunit"]
    assert [each.name for each in query.children] == ["instructions", "first", "last", "nick", "email", "x"]
    answer = await ask(
        alice,
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'><field var='FORM_TYPE'><value>{ns.SEARCH}</value></field>"
        "<field var='fn'><value>dave bow</value></field><field var='nick'><value/></field></x>",
    )
    query = answer.find("query", ns.SEARCH)
    assert query is not None
    form = query.find("x", ns.DATA_FORMS)
    assert form is not None
    table = DataForm.decode(form)
    [row] = table.items
    assert {each.name: each.value for each in row} == {
        "jid": "dave@localhost",
        "fn": "Dave Bowman",
        "first": "Dave",
        "last": "Bowman",
        "nick": "",
        "email": "",
        "orgname": "",
        "orgunit": "",
    }
    assert {each.name for each in table.reported} == {each.name for each in row}


async def test_who_says_that_his_vcard_is_private_is_not_found(people: dict[str, WorldClient]) -> None:
    await tell(people["dave"], "<FN>Dave Bowman</FN><CLASS><PRIVATE/></CLASS>")
    assert await found(people["alice"], "<last>bowman</last>") == []


@pytest.mark.parametrize(
    "content", ["", "<last/>", "<last>ar</last>", "<last>* %</last>", "<unknown>archer</unknown>"]
)
async def test_nobody_is_looked_for_by_too_few_letters(people: dict[str, WorldClient], content: str) -> None:
    assert condition(await ask(people["alice"], content)) == "not-acceptable"


async def test_nobody_can_list_all_people(people: dict[str, WorldClient], world: World) -> None:
    assert len(await found(people["alice"], "<last>arch</last>")) == 2
    assert (
        condition(await ask(people["alice"], f"<last>{' '.join(map(str, range(1_000, 1_009)))}</last>"))
        == "not-acceptable"
    )
    for _ in range(7):
        await found(people["alice"], "<last>arch</last>")
    assert condition(await ask(people["alice"], "<last>arch</last>")) == "resource-constraint"
    assert len(await found(people["bob"], "<last>arch</last>")) == 2
    await world.advance(60)
    assert len(await found(people["alice"], "<last>arch</last>")) == 2


async def test_strangers_find_nobody(world: World, people: dict[str, WorldClient]) -> None:
    stranger = await world.online("eve@other.test/phone")
    for kind in ("get", "set"):
        assert condition(await ask(stranger, "<last>archer</last>", kind)) == "forbidden"


async def test_a_form_for_something_else_is_refused(people: dict[str, WorldClient]) -> None:
    form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>other</value></field></x>"
    assert condition(await ask(people["alice"], form)) == "bad-request"
