"""The end of the service: everybody in a room is told before the streams end (XEP-0045 §11.2)."""

from __future__ import annotations

import asyncio

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start
from tests.features.rooms.test_owners_and_admins import condition, form, owner
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.rooms.room import room_of
from tidings.features.rooms.shutdown import RoomShutdown
from tidings.kernel.feature import Feature

DOMAIN = "conference.localhost"
GONE = ("unavailable", "none/none", None, ["110", "332"])
AT_ONCE = 50
"""So many are told at most before others have their turn."""


def presences(client: WorldClient) -> list[tuple[object, ...]]:
    return [shown(each) for each in client.take("presence")]


async def stop_serving(world: World, *, seconds: float = 0) -> None:
    """Let the server stop, and the time pass that it gives its clients."""
    stopping = asyncio.ensure_future(world.server.stop(seconds))
    while not stopping.done():
        await world.advance(0.5)
    await stopping


async def test_each_device_is_told_of_itself_alone_and_says_nothing_more() -> None:
    world = await start()
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    tablet = await world.login("bob@localhost/tablet")
    await enter(tablet, "Bob")
    other = await enter(bob, "Robert", room=f"milk@{DOMAIN}")
    assert len(other) == 3
    for client in (alice, bob, tablet):
        client.take()
    await stop_serving(world)
    assert presences(alice) == [("Alice", *GONE)]
    assert sorted(presences(bob)) == [("Bob", *GONE), ("Robert", *GONE)]
    assert presences(tablet) == [("Bob", *GONE)]
    await world.stores.close()


async def test_who_has_been_told_does_not_come_back_in_before_the_end() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    feature = world.server.hosts[DOMAIN].feature(RoomShutdown)
    assert feature is not None
    await feature.say_goodbye()
    alice.take()
    await alice.send(say("still here?"))
    assert condition(alice.take()[0]) == "not-acceptable"
    [refused] = await enter(alice, "Alice")
    error = refused.find("error")
    assert (condition(refused), error.get("type")) == ("service-unavailable", "wait")
    await world.stop()


async def test_a_session_that_waits_for_its_client_is_out_and_enters_again_after_the_restart() -> None:
    world = await start()
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.manage()
    await bob.lose()
    alice.take()
    await stop_serving(world, seconds=2)
    assert presences(alice) == [("Alice", *GONE)], "and not of Bob, who goes with her"
    await world.restart()
    again = await world.login("bob@localhost/phone")
    assert [shown(each)[0] for each in await enter(again, "Bob") if each.name == "presence"] == ["Bob"]
    await world.stop()


async def test_rooms_stay_or_end_as_they_do_when_everybody_leaves() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    brief = f"brief@{DOMAIN}"
    await enter(alice, "Alice", room=brief)
    assert condition(await owner(alice, form(persistentroom="0"), room=brief)) == ""
    await stop_serving(world)
    kind = world.server.hosts[DOMAIN].kind
    assert (await kind.exists(Jid(ROOM)), await kind.exists(Jid(brief))) == (True, False)
    await world.stores.close()


async def test_many_occupants_are_told_and_nobody_else_waits_for_it() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    room = room_of(world.server.hosts[DOMAIN].directory.get(Jid(ROOM)))
    known, devices = room.occupants.called("Alice"), 3_000
    assert known is not None
    session, presence = known.devices[alice.jid].session, known.presence
    for number in range(devices):
        jid = Jid(f"user{number}@localhost/phone")
        one = type(known)(f"User {number}", jid.bare, known.role, f"{number}")
        room.occupants.put(one, jid, presence, session)
    alice.take()
    most, ended = 0, asyncio.Event()

    async def others() -> None:
        nonlocal most
        while not ended.is_set():
            before = len(room.occupants)
            await asyncio.sleep(0)
            most = max(most, before - len(room.occupants))

    watching = asyncio.ensure_future(others())
    feature = world.server.hosts[DOMAIN].feature(RoomShutdown)
    assert feature is not None
    await feature.say_goodbye()
    ended.set()
    await watching
    assert len(alice.take("presence")) == devices + 1
    assert 0 < most <= AT_ONCE
    await world.stop()


class Talkative(Feature):
    """Has no end of things to say."""

    cut = False

    async def say_goodbye(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cut = True
            raise


async def test_a_goodbye_without_end_is_cut_off_after_half_of_the_time() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    talkative = Talkative()
    world.server.hosts[DOMAIN].features += (talkative,)
    stopping = asyncio.ensure_future(world.server.stop(4))
    for _ in range(3):
        await asyncio.sleep(0)
    assert presences(alice)[-1] == ("Alice", *GONE)
    world.clock.advance(1.9)
    await asyncio.sleep(0)
    assert not talkative.cut
    world.clock.advance(0.2)
    await stopping
    assert talkative.cut
    await world.stores.close()
