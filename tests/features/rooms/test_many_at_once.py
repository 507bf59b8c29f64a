"""Many who come, go or are put out at once: others are heard meanwhile, and all are told everything once.

The clock of these tests moves whenever it is looked at, so that each step uses up the time of its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start
from tests.features.rooms.test_affiliation_versions import rejoin, told
from tests.features.rooms.test_owners_and_admins import form, owner
from tests.features.rooms.test_room_races import put_out
from tests.harness.world import World, WorldClient
from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.features.rooms.room import room_of
from tidings.features.rooms.shutdown import RoomShutdown
from tidings.kernel.time_slice import SLICE_SECONDS
from tidings.wire.xmpp import ns

COUNT = 20


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


async def crowd(world: World, count: int = COUNT) -> tuple[WorldClient, list[WorldClient]]:
    """Give the owner of a room and many others who are in it; from here on everything takes long."""
    alice = await occupant(world, "alice", "Alice")
    others = [await occupant(world, f"user{number}", f"User{number}") for number in range(count)]
    for client in (alice, *others):
        client.take()
    world.clock.per_look = 1.01 * SLICE_SECONDS
    return alice, others


def goodbyes(client: WorldClient) -> list[str]:
    """Give of whom a client has heard by now that he is out."""
    found = (each for each in client.received if each.name == "presence" and each.get("type"))
    return [shown(each)[0] for each in found]


async def most_in_a_turn(count: Callable[[], int], wanted: int) -> int:
    """Give by how much something has grown at most in one turn of the event loop, until it is as wanted."""
    most, before = 0, count()
    for _ in range(10_000):
        await asyncio.sleep(0)
        most, before = max(most, count() - before), count()
        if before >= wanted:
            return most
    raise AssertionError(f"it has come to {before} of {wanted}")


async def test_many_enter_one_in_a_turn_and_in_order(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    others = [await world.login(f"user{number}@localhost/phone") for number in range(COUNT)]
    world.clock.per_look = 1.01 * SLICE_SECONDS
    alice.take()
    for number, client in enumerate(others):
        client.push(f"<presence to='{ROOM}/User{number}'><x xmlns='{ns.MUC}'/></presence>")
    assert await most_in_a_turn(lambda: len(alice.received), COUNT) == 1
    await world.settle()
    assert [shown(each)[0] for each in alice.take("presence")] == [f"User{n}" for n in range(COUNT)]
    for number, client in enumerate(others):  # others, own presence, subject, and who came after it
        names = [shown(each)[0] if each.name == "presence" else "" for each in client.take()]
        present = ["Alice", *(f"User{n}" for n in range(number + 1))]
        assert names == [*present, "", *(f"User{n}" for n in range(number + 1, COUNT))]


async def test_who_enters_first_to_see_all_addresses_has_them_written_some_in_a_turn(world: World) -> None:
    alice, _ = await crowd(world, count := 230)
    await alice.send(put_out("<item affiliation='admin' jid='bob@localhost'/>"))
    bob = await world.login("bob@localhost/phone")
    room = room_of(world.server.hosts["conference.localhost"].directory.get(Jid(ROOM)))
    bob.push(f"<presence to='{ROOM}/Bob'><x xmlns='{ns.MUC}'/></presence>")
    people = list(room.occupants)
    assert await most_in_a_turn(lambda: sum(True in each.written for each in people), count + 1) < 200
    await world.settle()
    names = [shown(each)[0] for each in bob.take("presence")]
    assert names == ["Alice", *(f"User{number}" for number in range(count)), "Bob"]


async def test_many_who_are_lost_leave_one_in_a_turn(world: World) -> None:
    alice, others = await crowd(world)
    for client in others:
        world.server.abandon(client.session, StreamError("connection-timeout"), is_lost=True)
    assert await most_in_a_turn(lambda: len(goodbyes(alice)), COUNT) == 1
    await world.settle()
    assert sorted(goodbyes(alice)) == sorted(f"User{number}" for number in range(COUNT))


async def test_a_change_of_many_presences_is_shown_one_in_a_turn(world: World) -> None:
    alice, others = await crowd(world)
    for number, client in enumerate(others):
        client.push(f"<presence to='{ROOM}/User{number}'><show>away</show></presence>")
    assert await most_in_a_turn(lambda: len(alice.received), COUNT) == 1
    await world.settle()
    for client in (alice, *others):  # all see all, in one order
        told = [each for each in client.take("presence") if each.text_of("show") == "away"]
        assert [shown(each)[0] for each in told] == [f"User{number}" for number in range(COUNT)]


async def test_who_is_in_a_room_that_is_destroyed_is_told_once_and_others_are_heard(world: World) -> None:
    alice, others = await crowd(world)
    alice.push(put_out("<destroy/>"))
    told = lambda: sum(len(goodbyes(client)) for client in (alice, *others))  # noqa: E731
    assert await most_in_a_turn(told, 3) == 1
    await others[-1].send(f"<presence to='{ROOM}/User{COUNT - 1}' type='unavailable'/>")  # before it is told
    await world.settle()
    for number, client in enumerate(others):
        assert goodbyes(client).count(f"User{number}") == 1
    got = await enter(others[0], "Anew")  # the next room of the name knows nobody of the last
    assert [shown(each)[0] for each in got if each.name == "presence" and not each.get("type")] == ["Anew"]


async def test_a_room_that_is_for_members_now_puts_strangers_out_one_in_a_turn(world: World) -> None:
    alice, others = await crowd(world)
    query = f"<query xmlns='{ns.MUC_OWNER}'>{form(membersonly='1')}</query>"
    alice.push(f"<iq type='set' id='c' to='{ROOM}'>{query}</iq>")
    assert await most_in_a_turn(lambda: len(goodbyes(alice)), COUNT) == 1
    await world.settle()
    assert goodbyes(alice) == [f"User{number}" for number in range(COUNT)]
    for number, client in enumerate(others):  # who is out hears nothing of who goes after him
        assert goodbyes(client) == [f"User{before}" for before in range(number + 1)]


@pytest.mark.parametrize("how", ["jid='user{}@localhost' affiliation='outcast'", "nick='User{}' role='none'"])
async def test_many_who_are_put_out_at_once_go_one_in_a_turn(world: World, how: str) -> None:
    alice, others = await crowd(world)
    alice.push(put_out("".join(f"<item {how.format(number)}/>" for number in range(COUNT))))
    assert await most_in_a_turn(lambda: len(goodbyes(alice)), 2) == 1
    leaving = others[-1]
    await leaving.send(f"<presence to='{ROOM}/User{COUNT - 1}' type='unavailable'/>", say("too late"))
    await world.settle()
    assert sorted(goodbyes(alice)) == sorted(f"User{number}" for number in range(COUNT))
    assert not [each for each in alice.take("message") if each.find("body") is not None]


async def test_nobody_is_in_who_waited_to_enter_while_the_service_went_down(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    others = [await world.login(f"user{number}@localhost/phone") for number in range(COUNT)]
    world.clock.per_look = 1.01 * SLICE_SECONDS
    for number, client in enumerate(others):
        client.push(f"<presence to='{ROOM}/User{number}'><x xmlns='{ns.MUC}'/></presence>")
    await most_in_a_turn(lambda: sum(len(client.received) > 0 for client in others), 3)
    shutdown = world.server.hosts["conference.localhost"].feature(RoomShutdown)
    assert shutdown is not None
    await shutdown.say_goodbye()
    await world.settle()
    last = [client.take("presence")[-1].get("type") for client in (alice, *others)]
    assert last[:4] == ["unavailable"] * 4
    assert last[-1] == "error"
    assert set(last) == {"unavailable", "error"}


async def test_versions_of_two_changes_that_are_told_at_once_come_in_their_order(world: World) -> None:
    alice, others = await crowd(world)
    follower, world.clock.per_look = others[0], 0
    await follower.send(f"<presence to='{ROOM}' type='unavailable'/>")
    await owner(alice, form(whois="anyone"))
    await alice.send(put_out(f"<item jid='{others[10].jid.bare}' affiliation='admin'/>"))
    follower.take()
    _, known, _ = await rejoin(follower)
    follower.take()
    world.clock.per_look = 1.01 * SLICE_SECONDS
    for by, affiliation in ((alice, "member"), (others[10], "none")):
        named = "".join(f"<item jid='{each.jid.bare}' affiliation='{affiliation}'/>" for each in others[1:10])
        by.push(put_out(named))
    await world.settle()
    steps = [step for each in follower.take("presence") if (step := told(each)) is not None]
    assert len(steps) == 18
    assert [since for since, _, _ in steps] == [known, *(until for _, until, _ in steps[:-1])]
