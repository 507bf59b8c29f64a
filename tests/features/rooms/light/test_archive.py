"""Reading a room's archive at its MUC Light address, in the words of that door."""

from __future__ import annotations

from tests.features.pulling import iq, refusal
from tests.features.rooms.light.stage import BY_MUC, NS, ROOM, change, create, people, say, user, world
from tests.features.rooms.stage import enter
from tests.features.rooms.stage import say as say_by_muc
from tests.harness.world import World, WorldClient
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveQuery, ArchiveResult

__all__ = ["world"]


async def read(client: WorldClient, *, at: str = ROOM) -> list[Element]:
    """Give the messages of the archive as they are shown."""
    client.take()
    await client.send(iq(ArchiveQuery().encode(), to=at))
    *messages, answer = client.take()
    assert (answer.get("type"), answer.get("from")) == ("result", at)
    results = [message.find("result", ns.MAM2) for message in messages]
    return [decode(ArchiveResult.decode(each).forwarded.raw, ns.CLIENT) for each in results if each]


def said(messages: list[Element]) -> list[tuple[str | None, str | None]]:
    return [(each.get("from"), each.text_of("body")) for each in messages if each.text_of("body")]


async def test_each_door_shows_what_was_said_through_either_under_its_addresses(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await enter(bob, "Bobby", room=BY_MUC)
    await alice.send(say("by light"))
    await bob.send(say_by_muc("by muc", room=BY_MUC))
    assert said(await read(alice)) == [
        (f"{ROOM}/alice@localhost", "by light"),
        (f"{ROOM}/bob@localhost", "by muc"),
    ]
    assert said(await read(bob, at=BY_MUC)) == [
        (f"{BY_MUC}/alice@localhost", "by light"),
        (f"{BY_MUC}/Bobby", "by muc"),
    ]


async def test_members_read_what_became_of_the_list_in_the_words_of_the_door(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice)
    await change(alice, user("bob"))
    told = [each for each in await read(bob) if each.find("x", f"{NS}#affiliations") is not None]
    assert told[-1].get("from") == ROOM
    assert [each.text for each in told[-1].find("x", f"{NS}#affiliations").find_all("user")] == [
        "bob@localhost"
    ]
    for message in await read(bob):
        assert message.find("x", ns.MUC_USER) is None
        assert message.find("occupant-id", ns.OCCUPANT_ID) is None


async def test_nobody_else_learns_that_there_is_a_room(world: World) -> None:
    alice, bob, carol = await people(world, "alice", "bob", "carol")
    await create(alice, user("bob"))
    await change(alice, user("bob", "none"))
    for client in (bob, carol):
        there = await refusal(client, ArchiveQuery().encode(), to=ROOM)
        not_there = await refusal(client, ArchiveQuery().encode(), to=f"no-{ROOM}")
        assert there == not_there
        assert there[0] == "item-not-found"
