"""The service and one's own rooms are found by MUC Light, and nobody else's."""

from __future__ import annotations

from tests.features.rooms.light.stage import NS, ROOM, change, create, error_of, info, people, user, world
from tests.harness.world import World, WorldClient
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]

SERVICE = "muclight.localhost"


async def items(client: WorldClient, inside: str = "", *, to: str = SERVICE, node: str = "") -> Element:
    about = f" node='{node}'" if node else ""
    return await client.request(
        f"<iq type='get' id='d1' to='{to}'><query xmlns='{ns.DISCO_ITEMS}'{about}>{inside}</query></iq>"
    )


def rsm(inside: str) -> str:
    return f"<set xmlns='{ns.RSM}'>{inside}</set>"


def listed(answer: Element) -> list[str]:
    return [item.get("jid") or "" for item in answer.children[0].find_all("item")]


def page(answer: Element) -> tuple[str | None, str | None, str | None, str | None]:
    found = answer.children[0].find("set", ns.RSM)
    assert found is not None
    first = found.find("first")
    index = None if first is None else first.get("index")
    return index, found.text_of("first"), found.text_of("last"), found.text_of("count")


async def test_the_domain_lists_the_service_under_its_node_and_name(world: World) -> None:
    [nina] = await people(world, "nina")
    answer = await items(nina, to="localhost")
    assert [each.attributes for each in answer.children[0].children if each.get("jid") == SERVICE] == [
        {"jid": SERVICE, "node": NS, "name": "MUC Light"}
    ]


async def test_the_service_says_what_it_is(world: World) -> None:
    [nina] = await people(world, "nina")
    answer = await nina.request(
        f"<iq type='get' id='i1' to='{SERVICE}'><query xmlns='{ns.DISCO_INFO}'/></iq>"
    )
    query = answer.children[0]
    assert [each.attributes for each in query.find_all("identity")] == [
        {"category": "conference", "type": "text", "name": "MUC Light"}
    ]
    assert NS in {each.get("var") for each in query.find_all("feature")}


async def test_everybody_finds_the_rooms_that_he_is_in(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    assert (await items(nina)).children[0].content == [], "no rooms, and no set"
    await create(nina, user("omar"), fields="<roomname>Ward 7</roomname>")
    await create(nina, to=f"ward1@{SERVICE}")
    version = (await info(nina))[0]
    for node in ("", NS):
        answer = await items(omar, node=node)
        assert [each.attributes for each in answer.children[0].find_all("item")] == [
            {"jid": ROOM, "name": "Ward 7", "version": version}
        ]
    assert listed(await items(nina)) == [f"ward1@{SERVICE}", ROOM]
    await change(nina, user("omar", "none"))
    assert listed(await items(omar)) == []
    assert error_of(await items(nina, node="urn:x"))[0] == "item-not-found"


async def test_rooms_come_in_pages(world: World) -> None:
    [nina] = await people(world, "nina")
    rooms = [f"r{number:02}@{SERVICE}" for number in range(14)]
    for room in reversed(rooms):
        await create(nina, to=room)
    first = await items(nina)
    assert listed(first) == rooms[:10]
    assert page(first) == ("0", rooms[0], rooms[9], "14")
    second = await items(nina, rsm(f"<max>50</max><after>{rooms[9]}</after>"))
    assert listed(second) == rooms[10:]
    assert page(second) == ("10", rooms[10], rooms[13], "14")
    assert listed(await items(nina, rsm("<max>3</max><before/>"))) == rooms[11:]
    assert listed(await items(nina, rsm(f"<max>2</max><before>{rooms[5]}</before>"))) == rooms[3:5]
    assert listed(await items(nina, rsm("<max>2</max><index>4</index>"))) == rooms[4:6]
    assert page(await items(nina, rsm("<max>0</max>"))) == (None, None, None, "14")
    for wrong in (f"<after>none@{SERVICE}</after>", "<before>x</before>", "<index>14</index>"):
        assert error_of(await items(nina, rsm(wrong)))[0] == "item-not-found"
    assert error_of(await items(nina, rsm("<max>x</max>")))[0] == "bad-request"


async def test_a_room_tells_what_it_is_to_its_members_alone(world: World) -> None:
    nina, eve = await people(world, "nina", "eve")
    await create(nina, fields="<roomname>Ward 7</roomname>")
    request = f"<iq type='get' id='i1' to='{ROOM}'><query xmlns='{ns.DISCO_INFO}'/></iq>"
    [identity] = (await nina.request(request)).children[0].find_all("identity")
    assert identity.get("name") == "Ward 7"
    assert error_of(await eve.request(request))[0] == "item-not-found"
    assert error_of(await items(eve, to=ROOM))[0] == "item-not-found"
    assert (await items(nina, to=ROOM)).children[0].content == []
