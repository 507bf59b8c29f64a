"""What rooms keep, for how long, and what hold and erasure do to them."""

from __future__ import annotations

from tests.features.rooms.stage import ROOM, enter, occupant, say, start
from tests.features.rooms.test_room_archive import read, refused
from tests.features.test_retention import DAY, passes
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.retention import RetentionOptions
from tidings.operations.all import CATALOGUE
from tidings.wire.xmpp import ns

THE_ROOM = Jid(ROOM)


async def keeping(**values: object) -> World:
    options = RetentionOptions(step=2, pause=1.0, interval_hours=1.0, **values)  # type: ignore[arg-type]
    return await start(features={"retention": options})


async def said_to_newcomer(world: World, name: str = "dora") -> list[str | None]:
    """Give what somebody is sent who enters now."""
    client = await world.login(f"{name}@localhost/phone")
    got = await enter(client, name)
    return [each.text_of("body") for each in got if each.find("body") is not None]


async def destroy(owner: WorldClient) -> None:
    query = f"<query xmlns='{ns.MUC_OWNER}'><destroy/></query>"
    answer = await owner.request(f"<iq type='set' id='d' to='{ROOM}'>{query}</iq>")
    assert answer.get("type") == "result", answer
    owner.take()


async def call(world: World, name: str, **arguments: object) -> object:
    return await CATALOGUE.call(world.context, "retention", name, {"user": ROOM, **arguments})


async def test_what_is_older_than_the_days_to_keep_goes_from_rooms_and_from_their_history() -> None:
    world = await keeping(keep_days=2)
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("old"), say("old, too", id_="2"))
    assert await said_to_newcomer(world, "bob") == ["old", "old, too"]
    world.clock.advance(3 * DAY)
    await alice.send(say("new", id_="3"))
    await passes(world)
    assert (await read(alice)).texts == ["new"]
    assert await said_to_newcomer(world) == ["new"]
    await world.stop()


async def test_a_held_room_keeps_everything_until_it_is_released() -> None:
    world = await keeping(keep_days=2)
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("old"))
    await call(world, "hold")
    world.clock.advance(3 * DAY)
    await passes(world)
    assert (await read(alice)).texts == ["old"]
    await call(world, "release")
    await passes(world)
    assert (await read(alice)).texts == []
    await world.stop()


async def test_what_is_erased_from_a_room_is_sent_to_nobody_who_enters() -> None:
    world = await keeping()
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("secret"), say("stays", id_="2"))
    first = (await read(alice)).ids[0]
    assert await said_to_newcomer(world, "bob") == ["secret", "stays"]
    await call(world, "erase-message", id=first)
    assert (await read(alice)).texts == ["stays"]
    assert await said_to_newcomer(world) == ["stays"]
    await call(world, "erase-archive")
    assert (await read(alice)).texts == []
    assert await said_to_newcomer(world, "emma") == []
    await world.stop()


async def test_a_room_can_be_made_again_and_begins_with_nothing() -> None:
    world = await keeping()
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("old"))
    await destroy(alice)
    assert await refused(alice) == "item-not-found"
    await occupant(world, "bob", "Bob")
    assert (await read(alice)).texts == []
    await world.stop()


async def test_nobody_has_the_name_of_a_destroyed_room_whose_messages_are_held() -> None:
    world = await keeping()
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("evidence"))
    await call(world, "hold")
    await destroy(alice)
    await passes(world)
    [answer] = await enter(await world.login("bob@localhost/phone"), "Bob")
    error = answer.find("error")
    assert error is not None
    assert error.children[0].name == "conflict"
    await call(world, "release")
    await passes(world)
    await occupant(world, "bob", "Bob")
    await world.stop()


async def test_a_half_forgotten_room_is_forgotten_by_the_passes_and_a_new_one_is_not() -> None:
    world = await keeping()
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("old"))
    ledger = world.stores.ledger
    await ledger.hold_archive(THE_ROOM)
    await destroy(alice)
    await ledger.hold_archive(THE_ROOM, is_held=False)  # as after a stop in the middle of it
    head = await ledger.head(THE_ROOM)
    assert head.first <= head.position
    await passes(world)
    head = await ledger.head(THE_ROOM)
    assert head.first > head.position
    await occupant(world, "bob", "Bob")
    await passes(world)
    head = await ledger.head(THE_ROOM)
    assert head.first <= head.position
    await world.stop()
