"""Markers and reactions by MUC Light: its members count as those of Multi-User Chat do."""

from __future__ import annotations

from tests.features.rooms.light.stage import BY_MUC, ROOM, change, create, people, say, start, user, world
from tests.features.rooms.stage import enter
from tests.features.rooms.test_room_receipts import (
    ask,
    counts,
    displayed,
    last_id,
    reactions,
    reacts,
    readers,
    refused,
    smart,
)
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.rooms.held_back import RoomReceiptsOptions
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.room_receipts import ReactionCount, Reactors, Seen, SeenMessage

__all__ = ["world"]


async def test_members_of_both_doors_count_alike(world: World) -> None:
    alice, bob, carol = await people(world, "alice", "bob", "carol")
    await create(alice, user("bob"), user("carol"))
    await enter(carol, "Carol", room=BY_MUC)
    for person in (alice, bob, carol):
        person.take()
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    assert await counts(alice, one, room=ROOM) == [(0, 2)]
    await bob.send(displayed(one, room=ROOM), reacts(one, "👍", room=ROOM))
    assert await counts(alice, one, room=ROOM) == [(1, 2)]
    await carol.send(displayed(one, room=BY_MUC), reacts(one, "👍", room=BY_MUC))
    for client, room in ((alice, ROOM), (carol, BY_MUC)):
        assert await counts(client, one, room=room) == [(2, 2)]
        found = {(each.nick, each.jid) for each in (await readers(client, one, room=room)).people}
        assert found == {("", Jid("bob@localhost")), ("Carol", Jid("carol@localhost"))}
    assert await reactions(bob, one, room=ROOM) == [(ReactionCount("👍", 2, is_mine=True),)]
    who = Reactors.decode(await ask(alice, Reactors(id=one).encode(), room=ROOM))
    assert {each.jid for each in who.people} == {Jid("bob@localhost"), Jid("carol@localhost")}


async def test_nobody_learns_that_there_is_a_room(world: World) -> None:
    alice, eve = await people(world, "alice", "eve")
    await create(alice, user("bob"))
    await alice.send(say("one"))
    one = last_id(alice, by=ROOM)
    assert await refused(eve, Seen((SeenMessage(one),)).encode(), room=ROOM) == "item-not-found"


async def test_the_service_says_that_its_rooms_answer(world: World) -> None:
    [alice] = await people(world, "alice")
    answer = await alice.request(
        f"<iq type='get' id='i' to='muclight.localhost'><query xmlns='{ns.DISCO_INFO}'/></iq>"
    )
    features = [each.get("var") for each in answer.children[0].find_all("feature")]
    assert features.count(ns.TIDINGS_ROOM_RECEIPTS) == 1


async def test_a_large_room_takes_markers_for_itself_by_either_door() -> None:
    world = await start(receipts=RoomReceiptsOptions(markers_up_to=2))
    alice, bob, carol = await people(world, "alice", "bob", "carol")
    await create(alice, user("bob"), user("carol"))
    await enter(carol, "Carol", room=BY_MUC)
    for person in (alice, bob, carol):
        person.take()
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    alice.take()
    carol.take()
    await bob.send(displayed(one, room=ROOM))
    await carol.send(displayed(one, room=BY_MUC))
    assert [each.take("message") for each in (alice, bob, carol)] == [[], [], []]
    assert await counts(alice, one, room=ROOM) == [(2, 2)]
    await world.stop()


async def test_smart_markers_have_real_addresses(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    await world.advance(1)
    await bob.send(displayed(one, room=ROOM))
    assert await smart(bob, room=ROOM) == [
        ("alice@localhost", "displayed", one),
        ("bob@localhost", "displayed", one),
    ]


async def test_who_may_only_read_says_so_too(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await change(alice, user("bob", role="read-only"))
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    alice.take()
    await bob.send(displayed(one, room=ROOM))
    assert await counts(alice, one, room=ROOM) == [(1, 1)]
    assert alice.take("message") == []
    assert bob.take("message") == []
    await bob.send(say("two"))
    [refusal] = bob.take("message")
    assert refusal.get("type") == "error"
