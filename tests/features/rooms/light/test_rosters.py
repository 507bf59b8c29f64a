"""Rooms are in the rosters of their members where the options say so."""

from __future__ import annotations

from tests.features.rooms.light.stage import NS, ROOM, change, create, info, people, start, user
from tests.harness.world import WorldClient
from tidings.wire.xmpp import ns


async def roster(client: WorldClient, version: str = "") -> list[str] | None:
    """Give the items of a roster as XML; None where the client is told that it has it already."""
    ver = f" ver='{version}'" if version else ""
    answer = await client.request(f"<iq type='get' id='r1'><query xmlns='{ns.ROSTER}'{ver}/></iq>")
    if not answer.children:
        return None
    return [item.to_bytes(ns.ROSTER).decode() for item in answer.children[0].children]


async def test_every_room_is_an_item_among_the_contacts() -> None:
    world = await start(rooms_in_rosters=True)
    nina, omar = await people(world, "nina", "omar")
    contact = f"<query xmlns='{ns.ROSTER}'><item jid='pia@localhost'/></query>"
    await nina.request(f"<iq type='set' id='s'>{contact}</iq>")

    await create(nina, user("omar"), fields="<roomname>Ward 7</roomname>")
    version = (await info(nina))[0]
    room = (
        f'<item jid="{ROOM}" name="Ward 7" subscription="to">'
        f"<group>{NS}</group><version>{version}</version></item>"
    )
    assert await roster(nina) == ['<item jid="pia@localhost" subscription="none"/>', room]
    assert await roster(omar) == [room]
    answer = await omar.request(f"<iq type='get' id='r1'><query xmlns='{ns.ROSTER}' ver=''/></iq>")
    await change(nina, user("omar", "none"))
    assert await roster(omar, answer.children[0].get("ver") or "") == []
    await world.stop()


async def test_rosters_are_as_they_were_without_that() -> None:
    world = await start()
    [nina] = await people(world, "nina")
    await create(nina)
    answer = await nina.request(f"<iq type='get' id='r1'><query xmlns='{ns.ROSTER}' ver=''/></iq>")
    known = answer.children[0].get("ver") or ""
    assert answer.children[0].children == []
    assert await roster(nina, known) is None
    await world.stop()
