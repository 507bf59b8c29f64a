"""Presence for many: in order, and without holding up the rest of the server."""

import asyncio

from tests.features.contacts.people import seen
from tests.harness.world import World
from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.features.contacts.book import BOOK
from tidings.features.contacts.presence import STRETCH
from tidings.ports.roster import RosterEntry, Subscription

ALICE = Jid("alice@localhost")
PHONE = Jid("alice@localhost/phone")


async def test_a_thousand_contacts_are_told_in_order_and_the_loop_is_not_held(world):
    watchers = [await befriend_cheaply(world, number) for number in range(1_000)]
    online = [await world.online(f"{watchers[number]}/x") for number in range(0, 1_000, 5)]
    phone = await world.login("alice@localhost/phone")
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.get_running_loop().create_task(count_turns())
    phone.push("<presence id='1'/>", "<presence id='2'/>", "<presence id='3' type='unavailable'/>")
    await world.settle()
    counting.cancel()
    for client in online:
        assert [presence.get("id") for presence in client.take("presence")] == ["1", "2", "3"]
    assert turns >= 3 * 1_000 // STRETCH
    # Those who are away have not been read from the store for nothing.
    directory = world.server.hosts["localhost"].directory
    assert sum(directory.get(Jid(watcher)) is not None for watcher in watchers) == len(online)


async def test_a_connection_lost_in_the_middle_of_a_broadcast_is_told_last(world):
    watchers = [await befriend_cheaply(world, number) for number in range(300)]
    online = [await world.online(f"{watcher}/x") for watcher in watchers]
    phone = await world.login("alice@localhost/phone")
    phone.push("<presence/>")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await world.end(phone.session, StreamError("connection-timeout"))
    for client in online:
        assert seen(client) == [("", PHONE), ("unavailable", PHONE)]


async def test_presences_of_an_account_go_out_one_after_another(world, bob):
    phone = await world.online("alice@localhost/phone")
    laptop = await world.online("alice@localhost/laptop")
    bob.take()
    async with phone.session.account[BOOK].telling:  # as if a broadcast were under way
        phone.push("<presence id='1'/>", "<presence id='2' type='unavailable'/>")
        laptop.push("<presence id='3'/>")
        for _ in range(10):
            await asyncio.sleep(0)
        assert bob.take() == []
    await world.settle()
    ids = [presence.get("id") for presence in bob.take("presence")]
    assert sorted(ids) == ["1", "2", "3"]
    assert ids.index("1") < ids.index("2")


async def befriend_cheaply(world: World, number: int) -> str:
    jid = f"friend{number}@localhost"
    await world.register(jid)
    await world.stores.roster.put(
        await world.register("alice@localhost"), RosterEntry(jid=Jid(jid), subscription=Subscription.FROM)
    )
    world.server.hosts["localhost"].directory.forget(ALICE)
    return jid
