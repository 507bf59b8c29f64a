"""What is done with rooms that live on another node than the one that was asked: operations, removals.

Whoever asks, and wherever: people in the room see it, and it is done once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.features.rooms.light import stage as light
from tests.features.rooms.stage import enter, say, texts
from tests.features.rooms.test_room_nodes import OPTIONS, SERVICES, occupant, presences
from tests.harness.databases import Server, postgresql_server
from tests.harness.nodes import Nodes
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import OPERATOR, Caller
from tidings.operations.errors import OperationError
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xmpp import ns

__all__ = ["postgresql_server"]

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def url(postgresql_server: Server) -> Iterator[str]:
    """One database for all of these tests; each has rooms of its own."""
    made = postgresql_server.create_database()
    yield made
    postgresql_server.drop_database(made)


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[Nodes]:
    started = await Nodes.start(url, services=SERVICES, options=OPTIONS)
    yield started
    await started.stop()


@pytest.fixture
def room() -> str:
    return f"tea{next(_NUMBERS)}@conference.localhost"


async def call(
    world: World, category: str, name: str, /, caller: Caller = OPERATOR, **arguments: object
) -> Any:
    answer = await CATALOGUE.call(world.context.acting_for(caller), category, name, arguments)
    await world.settle()
    return answer


async def refused(
    world: World, category: str, name: str, /, caller: Caller = OPERATOR, **arguments: object
) -> tuple[str, str]:
    with pytest.raises(OperationError) as caught:
        await call(world, category, name, caller, **arguments)
    return caught.value.code, caught.value.reason


def owner(nodes: Nodes, room: str) -> str:
    return nodes.table.bound[Jid(room)][""].node


async def test_who_is_in_a_room_is_told_by_every_node(nodes: Nodes, room: str) -> None:
    await occupant(nodes.one, "nina", "Nina", room)
    await occupant(nodes.two, "omar", "Omar", room)
    answers = [await call(world, "muc", "occupants", room=room) for world in nodes.worlds]
    assert [each.nick for each in answers[0].items] == ["Nina", "Omar"]
    assert answers[0] == answers[1]


async def test_an_occupant_is_put_out_by_the_other_node(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.one, "omar", "Omar", room)
    nina.take()
    await call(nodes.two, "muc", "kick", room=room, nick="Omar", reason="noise")
    assert presences(omar) == [("Omar", "unavailable", ["110", "307"])]
    assert presences(nina) == [("Omar", "unavailable", ["307"])]
    assert await refused(nodes.two, "muc", "kick", room=room, nick="Omar") == ("not-found", "user_not_found")
    assert owner(nodes, room) == "one"


async def test_what_a_room_is_set_to_on_the_other_node_holds_at_once_and_is_told(
    nodes: Nodes, room: str
) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    nina.take()
    answer = await call(nodes.two, "muc", "configure", room=room, moderated=True, name="Tea")
    assert (answer.room, answer.name, answer.moderated) == (Jid(room), "Tea", True)
    [told] = omar.take("message")
    assert told.find("x", ns.MUC_USER).find("status").get("code") == "104"  # type: ignore[union-attr]
    await call(nodes.two, "muc", "set-affiliation", room=room, target="omar@localhost", affiliation="outcast")
    assert presences(omar) == [("Omar", "unavailable", ["110", "301"])]
    assert presences(nina) == [("Omar", "unavailable", ["301"])]
    [refusal] = await enter(omar, "Omar", room=room)
    assert refusal.get("type") == "error"


async def test_a_user_may_do_on_the_other_node_what_he_may_do_in_the_room_and_no_more(
    nodes: Nodes, room: str
) -> None:
    await occupant(nodes.one, "nina", "Nina", room)
    await occupant(nodes.one, "omar", "Omar", room)
    as_omar, as_nina = (Caller.user(Jid(f"{name}@localhost")) for name in ("omar", "nina"))
    told = await refused(nodes.two, "muc", "kick", as_omar, room=room, nick="Nina", by="omar@localhost")
    assert told == ("not-allowed", "moderator_not_found")
    assert (await refused(nodes.two, "muc", "kick", as_omar, room=room, nick="Nina"))[0] == "not-allowed"
    await call(nodes.two, "muc", "kick", as_nina, room=room, nick="Omar", by="nina@localhost")
    assert [each.nick for each in (await call(nodes.one, "muc", "occupants", room=room)).items] == ["Nina"]


async def test_a_device_is_let_in_and_out_on_another_node_than_its_own_and_the_rooms(
    nodes: Nodes, room: str
) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await nodes.two.online("omar@localhost/desk")
    for number, world in enumerate(nodes.worlds):
        await call(world, "muc", "enter", room=room, user="omar@localhost/desk", nick=f"Omar{number}")
        assert presences(omar)[-1] == (f"Omar{number}", "", ["110"])
        await nina.send(say(f"hello {number}", room=room, id_=str(number)))
        assert texts(omar)[-1] == ("Nina", f"hello {number}")
        sent = await call(
            nodes.worlds[1 - number], "muc", "send", room=room, sender="omar@localhost", body="hi"
        )
        assert sent.id
        assert texts(nina)[-1] == (f"Omar{number}", "hi")
        assert (await call(world, "muc", "exit", room=room, user="omar@localhost")).devices == 1
        assert presences(omar)[-1][:2] == (f"Omar{number}", "unavailable")
    missing = await refused(nodes.one, "muc", "enter", room=room, user="omar@localhost/none", nick="Omar")
    assert missing == ("not-found", "no_session")


async def test_a_room_is_made_for_a_device_of_another_node(nodes: Nodes, room: str) -> None:
    omar = await nodes.two.online("omar@localhost/desk")
    await call(nodes.one, "muc", "create", room=room, owner="omar@localhost/desk", nick="Omar")
    assert ("Omar", "", ["110"]) in [(nick, type_, codes[:1]) for nick, type_, codes in presences(omar)]
    assert owner(nodes, room) == "one"
    taken = await refused(nodes.two, "muc", "create", room=room, owner="omar@localhost", nick="Omar")
    assert taken == ("conflict", "could_not_create_room")


async def test_a_room_is_ended_by_the_other_node(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await call(nodes.two, "muc", "destroy", room=room, reason="over")
    [gone] = nina.take("presence")
    assert gone.find("x", ns.MUC_USER).find("destroy") is not None  # type: ignore[union-attr]
    await nina.send(say("anybody?", room=room))
    assert [each.get("type") for each in nina.take("message")] == ["error"]
    for world in nodes.worlds:
        assert (await refused(world, "muc", "show", room=room))[0] == "not-found"


async def test_members_by_muc_light_are_added_and_removed_by_any_node(nodes: Nodes, room: str) -> None:
    address = room.replace("conference", "muclight")
    nina = await nodes.one.online("nina@localhost/phone")
    omar = await nodes.two.online("omar@localhost/desk")
    await light.create(nina, to=address)
    await nina.send(light.say("alone", to=address))  # by which the room lives on her node
    assert owner(nodes, room) == "one"
    added = await call(
        nodes.two, "muc-light", "invite", room=address, sender="nina@localhost", recipient="omar@localhost"
    )
    assert added.added
    omar.take()
    await nina.send(light.say("hello", to=address, id_="m2"))
    assert light.texts(omar) == [(f"{address}/nina@localhost", "hello")]
    members = [await call(world, "muc-light", "members", room=address) for world in nodes.worlds]
    assert members[0] == members[1]
    assert [each.user.local for each in members[0].items] == ["nina", "omar"]
    await call(nodes.two, "muc-light", "kick", room=address, target="omar@localhost")
    omar.take()
    await nina.send(light.say("alone again", to=address, id_="m3"))
    assert light.texts(omar) == []


async def test_an_account_that_is_removed_on_one_node_leaves_the_rooms_of_the_other(
    nodes: Nodes, room: str
) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await nodes.two.register("pia@localhost")
    for name, affiliation in (("omar", "admin"), ("pia", "owner")):
        await call(
            nodes.one,
            "muc",
            "set-affiliation",
            room=room,
            target=f"{name}@localhost",
            affiliation=affiliation,
        )
    omar = await occupant(nodes.two, "omar", "Omar", room)
    pia = await occupant(nodes.two, "pia", "Pia", room)
    for client in (nina, omar, pia):
        client.take()
    await call(nodes.two, "account", "remove", user="pia@localhost")
    await nodes.settle()
    assert ("Pia", "unavailable") in [each[:2] for each in presences(nina)]
    assert ("Pia", "unavailable") in [each[:2] for each in presences(omar)]
    for world in nodes.worlds:
        people = await call(world, "muc", "affiliations", room=room)
        assert {each.user.local: each.affiliation for each in people.items} == {
            "nina": "owner",
            "omar": "admin",
        }


async def test_what_one_node_erases_nobody_is_sent_who_enters_on_the_other(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await nina.send(say("secret", room=room), say("stays", room=room, id_="2"))
    omar = await nodes.one.online("omar@localhost/phone")
    assert _said(await enter(omar, "Omar", room=room)) == ["secret", "stays"]
    assert nodes.one.stores.ledger is not None
    page = await nodes.one.stores.ledger.page(Jid(room), PageQuery(limit=50))
    [id_] = [str(entry.id) for entry in page.entries if entry.body is not None and b"secret" in entry.body]
    await call(nodes.two, "retention", "erase-message", user=room, id=id_)
    pia = await nodes.one.online("pia@localhost/phone")
    assert _said(await enter(pia, "Pia", room=room)) == ["stays"]
    await nina.send(say("new", room=room, id_="3"))
    await call(nodes.two, "retention", "trim", user=room, keep_messages=1)
    quinn = await nodes.two.online("quinn@localhost/phone")
    assert _said(await enter(quinn, "Quinn", room=room)) == ["new"]


async def test_what_one_room_keeps_is_set_on_any_node(nodes: Nodes, room: str) -> None:
    await occupant(nodes.one, "nina", "Nina", room)
    await call(nodes.two, "muc", "set-retention", room=room, keep_days=3)
    for world in nodes.worlds:
        assert (await call(world, "muc", "retention", room=room)).keep_days == 3
    await call(nodes.one, "muc", "configure", room=room, name="Tea")
    assert (await call(nodes.two, "muc", "show", room=room)).name == "Tea"


async def test_an_operation_is_done_once_however_much_the_bus_loses(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await occupant(nodes.one, "omar", "Omar", room)
    nina.take()
    nodes.hub.loss, nodes.hub.delay = 0.4, 0.2
    for number in range(4):
        affiliation = "member" if number % 2 else "admin"
        await nodes.wait_for(
            call(
                nodes.two,
                "muc",
                "set-affiliation",
                room=room,
                target="omar@localhost",
                affiliation=affiliation,
            )
        )
    nodes.hub.loss = nodes.hub.delay = 0.0
    assert nodes.hub.lost
    await nodes.run(3)
    told = [each.find("x", ns.MUC_USER).find("item").get("affiliation") for each in nina.take("presence")]  # type: ignore[union-attr]
    assert told == ["admin", "member", "admin", "member"]


async def test_who_asks_is_told_that_the_node_has_gone_and_asks_again(nodes: Nodes, room: str) -> None:
    await occupant(nodes.one, "nina", "Nina", room)
    left = nodes.two

    async def ask() -> str:
        with pytest.raises(OperationError) as caught:
            await call(left, "muc", "configure", room=room, name="Tea")
        assert caught.value.code == "unavailable"
        return caught.value.text

    nodes.hub.loss = 1.0
    asking = asyncio.get_running_loop().create_task(ask())
    await nodes.run(0.1)
    await nodes.kill(nodes.one)
    nodes.hub.loss = 0.0
    assert "nobody knows whether this was done" in await nodes.wait_for(asyncio.wait_for(asking, None))
    assert (await call(left, "muc", "configure", room=room, name="Tea")).name == "Tea"


async def test_who_is_removed_while_the_node_of_a_room_dies_leaves_it_all_the_same(
    nodes: Nodes, room: str
) -> None:
    nina = await occupant(nodes.two, "nina", "Nina", room)
    left = nodes.one
    await left.register("pia@localhost")
    await call(left, "muc", "set-affiliation", room=room, target="pia@localhost", affiliation="admin")
    assert owner(nodes, room) == "two"
    nina.take()
    nodes.hub.loss = 1.0
    removing = asyncio.get_running_loop().create_task(call(left, "account", "remove", user="pia@localhost"))
    await nodes.run(0.1)
    await nodes.kill(nodes.two)
    nodes.hub.loss = 0.0
    await nodes.wait_for(asyncio.wait_for(removing, None))
    people = await call(left, "muc", "affiliations", room=room)
    assert [each.user.local for each in people.items] == ["nina"]


def _said(got: list[Any]) -> list[str | None]:
    return [each.text_of("body") for each in got if each.find("body") is not None]
