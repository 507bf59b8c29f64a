"""The list of public rooms: it is cut where it is long, and goes on behind any room of it (XEP-0045 §6.3)."""

from __future__ import annotations

import pytest

from tests.features.rooms.stage import start
from tests.harness.world import WorldClient
from tidings.base.jid import Jid
from tidings.features.rooms import Entrance
from tidings.features.rooms.room import room_of
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.disco import Items
from tidings.wire.xmpp.payloads.result_set import Page

DOMAIN = "conference.localhost"


async def listed(client: WorldClient, asked: str = "") -> Items:
    query = f"<query xmlns='{ns.DISCO_ITEMS}'>{asked}</query>"
    answer = await client.request(f"<iq type='get' id='list' to='{DOMAIN}'>{query}</iq>")
    assert answer.get("type") == "result", answer
    return Items.decode(answer.children[0])


def behind(address: str, most: int | None = None) -> str:
    size = "" if most is None else f"<max>{most}</max>"
    return f"<set xmlns='{ns.RSM}'>{size}<after>{address}</after></set>"


@pytest.mark.parametrize(("rooms", "pages"), [(3, [3]), (1_000, [1_000]), (1_002, [1_000, 2])])
async def test_a_long_list_is_told_to_be_cut_and_is_read_on(rooms: int, pages: list[int]) -> None:
    world = await start()
    host = world.server.hosts[DOMAIN]
    entrance, owner = host.feature(Entrance), Jid("owner@localhost")
    host.admins |= {owner}  # who has as many rooms as he wants
    for number in range(rooms):
        room = room_of(await host.directory.load(Jid(f"room{number}@{DOMAIN}")))
        await entrance.make(room, owner, "Owner")
    alice = await world.login("alice@localhost/phone")
    told = await listed(alice)
    found, sizes = [each.jid.text for each in told.items], [len(told.items)]
    assert told.page == (None if len(pages) == 1 else Page(found[0], found[-1], 0))
    while told.page is not None and told.page.last is not None and len(found) < rooms:
        told = await listed(alice, behind(told.page.last))
        found += (each.jid.text for each in told.items)
        sizes.append(len(told.items))
    assert (sizes, len(set(found))) == (pages, rooms)
    whole = await listed(alice, f"<set xmlns='{ns.RSM}'><max>5000</max></set>")
    count = rooms if len(pages) == 1 else None
    assert whole.page == Page(found[0], found[pages[0] - 1], 0, count)
    assert await listed(alice, behind(found[-1])) == Items(page=Page())
    await world.stop()


async def test_no_rooms_are_an_empty_list() -> None:
    world = await start()
    alice = await world.login("alice@localhost/phone")
    assert await listed(alice, f"<set xmlns='{ns.RSM}'><max>10</max></set>") == Items()
    await world.stop()
