"""Who has seen a message of a room, and who has reacted to it, as an administrator asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.features.rooms.light.stage import BY_MUC, ROOM, create, people, say, start, user
from tests.features.rooms.test_room_receipts import displayed, last_id, reacts
from tests.harness.world import World
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


async def call(world: World, name: str, **arguments: Any) -> Any:
    return await CATALOGUE.call(world.context, "muc", name, {"room": ROOM, **arguments})


async def refused(world: World, name: str, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(OperationError) as caught:
        await call(world, name, **arguments)
    return caught.value.code, str(caught.value)


async def test_an_administrator_sees_who_has_seen_a_message_and_reacted_to_it(world: World) -> None:
    alice, bob, carol = await people(world, "alice", "bob", "carol")
    await create(alice, user("bob"), user("carol"), user("dan"))
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    await world.advance(5)
    await bob.send(displayed(one, room=ROOM), reacts(one, "👍", "🌹", room=ROOM))
    await carol.send(reacts(one, "👍", room=ROOM))
    for room in (ROOM, BY_MUC):
        found = await call(world, "receipts", room=room, id=one)
        assert (found.room, found.id, found.seen, found.of) == (room, one, 1, 3)
        assert [(each.reaction, each.count) for each in found.reactions] == [("👍", 2), ("🌹", 1)]
    [reader] = (await call(world, "readers", id=one)).items
    assert (reader.user, reader.upto, reader.time.second) == ("bob@localhost", one, 5)
    first = await call(world, "readers", id=one, unread=True, limit=1)
    second = await call(world, "readers", id=one, unread=True, limit=1, after=first.next)
    assert {each.user for each in (*first.items, *second.items)} == {"carol@localhost", "dan@localhost"}
    assert second.next is None
    page = await call(world, "reactors", id=one, limit=1)
    assert [(each.user, each.reactions) for each in page.items] == [("bob@localhost", ("👍", "🌹"))]
    rest = await call(world, "reactors", id=one, after=page.next)
    assert [each.user for each in rest.items] == ["carol@localhost"]
    assert rest.next is None
    assert [each.user for each in (await call(world, "reactors", id=one, reaction="🌹")).items] == [
        "bob@localhost"
    ]


async def test_what_is_not_there_is_told_so(world: World) -> None:
    [alice] = await people(world, "alice")
    await create(alice, user("bob"))
    await alice.send(say("one"))
    one = last_id(alice, by=ROOM)
    for name in ("receipts", "readers", "reactors"):
        assert (await refused(world, name, id="nonsense"))[0] == "not-found"
        assert (await refused(world, name, id=one, room="none@muclight.localhost"))[0] == "not-found"
        assert (await refused(world, name, id=one, room="alice@localhost"))[0] == "not-found"
        assert (await refused(world, name, id=one, room="x@elsewhere.test"))[0] == "not-found"
    assert (await refused(world, "reactors", id=one, after="bob@localhost"))[0] == "invalid"
