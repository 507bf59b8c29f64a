"""What rooms keep, for how long, and what hold and erasure do to them."""

from __future__ import annotations

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, start
from tests.features.rooms.test_room_archive import read, refused
from tests.features.test_retention import DAY, passes, retention, texts
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.retention import FIRST_PASS, RetentionOptions
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.operations.room_retention import RoomRetention
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


async def keep(world: World, room: str = ROOM, **bounds: object) -> RoomRetention:
    """Set what one room keeps."""
    return await CATALOGUE.call(world.context, "muc", "set-retention", {"room": room, **bounds})


async def kept(world: World, room: str = ROOM) -> RoomRetention:
    return await CATALOGUE.call(world.context, "muc", "retention", {"room": room})


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


async def test_rooms_keep_what_is_configured_for_rooms_and_accounts_their_own() -> None:
    world = await keeping(keep_days=10, room_keep_days=2)
    alice = await occupant(world, "alice", "Alice")
    await world.register("bob@localhost")
    await alice.send(say("in the room"))
    await alice.send("<message to='bob@localhost' type='chat'><body>to Bob</body></message>")
    world.clock.advance(3 * DAY)
    await passes(world)
    assert (await read(alice)).texts == []
    assert await texts(world, Jid("bob@localhost")) == ["to Bob"]
    world.clock.advance(8 * DAY)
    await passes(world)
    assert await texts(world, Jid("bob@localhost")) == []
    await world.stop()


async def test_rooms_keep_everything_where_that_is_configured_and_accounts_do_not() -> None:
    world = await keeping(keep_messages=1, room_keep_messages=0)
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("one"), say("two", id_="2"))
    await passes(world)
    assert (await read(alice)).texts == ["one", "two"]
    assert await kept(world) == RoomRetention(
        room=THE_ROOM, keep_days=0, keep_messages=0, keep_octets=0, own=(), held=False
    )
    await world.stop()


async def test_one_room_keeps_less_or_more_than_the_others_until_it_is_as_they_are_again() -> None:
    world = await keeping(room_keep_days=10)
    alice = await occupant(world, "alice", "Alice")
    other = "coffee@conference.localhost"
    await enter(alice, "Alice", room=other)
    await alice.send(say("tea"), say("coffee", room=other))
    assert await keep(world, keep_days=2) == RoomRetention(
        room=THE_ROOM, keep_days=2, keep_messages=0, keep_octets=0, own=("keep_days",), held=False
    )
    await keep(world, other, keep_days=0)
    world.clock.advance(3 * DAY)
    await passes(world)
    assert (await read(alice)).texts == []
    await alice.send(say("more tea", id_="2"))
    world.clock.advance(8 * DAY)
    assert (await keep(world)).own == ()
    await passes(world)
    assert (await read(alice)).texts == ["more tea"]
    world.clock.advance(3 * DAY)
    await passes(world)
    assert (await read(alice)).texts == []
    assert await texts(world, Jid(other)) == ["coffee"]
    await world.stop()


async def test_a_pass_goes_by_what_holds_for_the_room_when_it_comes_to_its_next_step() -> None:
    world = await keeping()
    alice = await occupant(world, "alice", "Alice")
    await alice.send(*(say(f"text {number}", id_=str(number)) for number in range(9)))
    await keep(world, keep_messages=1)
    feature = retention(world, THE_ROOM.domain)
    await world.advance(FIRST_PASS)
    while not feature.trimmed:
        await world.advance(1)
    left = len((await read(alice)).texts)
    assert left > 1
    await keep(world)
    await passes(world)
    assert len((await read(alice)).texts) == left
    await world.stop()


async def test_legal_hold_goes_before_what_one_room_keeps() -> None:
    world = await keeping()
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("evidence"), say("more", id_="2"))
    await call(world, "hold")
    assert (await keep(world, keep_messages=1)).held
    await passes(world)
    assert (await read(alice)).texts == ["evidence", "more"]
    await world.stop()


async def test_an_owner_of_a_room_does_not_set_what_it_keeps() -> None:
    world = await keeping()
    await occupant(world, "alice", "Alice")
    for caller in (
        Caller.user(Jid("alice@localhost")),
        Caller.administrator(Jid("dora@other.test"), "other.test"),
    ):
        with pytest.raises(OperationError) as caught:
            await CATALOGUE.call(
                world.context.acting_for(caller), "muc", "set-retention", {"room": ROOM, "keep_days": 1}
            )
        assert caught.value.code == "not-allowed"
    boss = world.context.acting_for(Caller.administrator(Jid("boss@localhost"), "localhost"))
    assert (await CATALOGUE.call(boss, "muc", "set-retention", {"room": ROOM, "keep_days": 1})).keep_days == 1
    await world.stop()


async def test_a_room_of_the_same_name_begins_without_what_the_earlier_one_kept() -> None:
    world = await keeping()
    alice = await occupant(world, "alice", "Alice")
    await keep(world, keep_days=1)
    await destroy(alice)
    await occupant(world, "bob", "Bob")
    assert (await kept(world)).own == ()
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
