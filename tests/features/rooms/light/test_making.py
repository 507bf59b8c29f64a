"""Rooms are made by MUC Light, and ended, in MongooseIM's words."""

from __future__ import annotations

import pytest

from tests.features.rooms.light.stage import (
    NS,
    ROOM,
    change,
    create,
    error_of,
    info,
    people,
    query,
    same,
    start,
    user,
    world,
    written,
)
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.wire.xmpp.stanza import Stanza

__all__ = ["world"]


async def test_everybody_in_a_new_room_gets_his_own_line_and_the_version(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await nina.send(
        query(
            "set",
            "create",
            "<configuration><roomname>Ward 7</roomname></configuration>"
            f"<occupants>{user('omar')}</occupants>",
            id_="c1",
        )
    )
    assert [each.name for each in nina.received] == ["message", "iq"], "told before it is answered"
    [result] = nina.take("iq")
    assert (result.get("type"), result.children, result.get("from")) == ("result", [], ROOM)
    version, fields, users = await info(nina)
    for client, name, affiliation in ((nina, "nina", "owner"), (omar, "omar", "member")):
        [notice] = written(client)
        assert notice == same(
            f"<message from='{ROOM}' to='{name}@localhost' type='groupchat' id='c1'>"
            f"<x xmlns='{NS}#affiliations'><version>{version}</version>"
            f"<user affiliation='{affiliation}'>{name}@localhost</user></x><body/></message>"
        )
    assert fields == {"roomname": "Ward 7", "subject": ""}
    assert users == {"nina": "owner", "omar": "member"}
    assert len(version) <= 20


async def test_the_server_finds_a_name_where_none_is_given(world: World) -> None:
    [nina] = await people(world, "nina")
    answer = await create(nina, to="muclight.localhost")
    assert (answer.get("type"), answer.get("from")) == ("result", "muclight.localhost")
    [notice] = nina.take("message")
    room = notice.get("from") or ""
    assert room.endswith("@muclight.localhost")
    assert (await info(nina, to=room))[1:] == ({"roomname": "Untitled", "subject": ""}, {"nina": "owner"})


async def test_another_one_may_be_the_owner_of_a_new_room(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina, user("omar", "owner"), user("pia"))
    assert (await info(nina))[2] == {"nina": "member", "omar": "owner", "pia": "member"}


@pytest.mark.parametrize(
    ("users", "fields", "error"),
    [
        ((user("nina"),), "", ("bad-request", "who makes a room is in it, and need not be named")),
        ((user("omar", "none"),), "", ("bad-request", "nobody can be removed from a new room")),
        ((user("omar"), user("omar")), "", ("bad-request", "omar@localhost is named twice")),
        ((user("omar", "king"),), "", ("bad-request", "there is no affiliation 'king'")),
        ((user("omar", "owner"), user("pia", "owner")), "", ("bad-request", "a room has one owner")),
        ((), "<colour>red</colour>", ("bad-request", "colour:not_found")),
        ((), "<version>1</version>", ("bad-request", "version cannot be set so")),
        ((), f"<roomname>{'x' * 256}</roomname>", ("bad-request", "roomname:too_long, 255 octets are kept")),
        ((user("@@"),), "", ("bad-request", "the part before @ is empty")),
        (
            (user("conference.localhost/x@y"),),
            "",
            ("bad-request", "'conference.localhost/x@y' is nobody's address"),
        ),
        ((user("tea@conference.localhost"),), "", ("bad-request", "tea@conference.localhost is nobody")),
    ],
)
async def test_what_cannot_be_makes_no_room(
    world: World, users: tuple[str, ...], fields: str, error: tuple[str, str]
) -> None:
    [nina] = await people(world, "nina")
    assert error_of(await create(nina, *users, fields=fields)) == error
    assert nina.take() == []
    assert error_of(await nina.request(query("get", "info"))) == ("item-not-found", "")
    assert error_of(await create(nina)) == ("", ""), "the name is free"


async def test_a_room_is_made_once(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina)
    assert error_of(await create(omar)) == ("conflict", "Room already exists")
    assert (await info(nina))[2] == {"nina": "owner"}


async def test_a_room_is_ended_by_its_owner_alone(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    nina.take(), omar.take()
    refused = await omar.request(query("set", "destroy"))
    assert error_of(refused)[0] == "not-allowed"
    assert error_of(await nina.request(query("set", "destroy", id_="d1"))) == ("", "")
    for client, name in ((nina, "nina"), (omar, "omar")):
        assert written(client) == [
            same(
                f"<message from='{ROOM}' to='{name}@localhost' type='groupchat' id='d1'>"
                f"<x xmlns='{NS}#affiliations'><user affiliation='none'>{name}@localhost</user></x>"
                f"<x xmlns='{NS}#destroy'/><body/></message>"
            )
        ]
    assert error_of(await nina.request(query("get", "info"))) == ("item-not-found", "")


async def test_a_room_that_is_made_anew_has_another_version(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina)
    before = (await info(nina))[0]
    await nina.request(query("set", "destroy"))
    await create(nina)
    answer = await nina.request(query("get", "info", f"<version>{before}</version>"))
    assert answer.children, "a client that knew the old room does not take this one for it"


async def test_rooms_have_as_many_members_as_the_options_say() -> None:
    world = await start(max_occupants=2, max_changes=3)
    [nina] = await people(world, "nina")
    assert error_of(await create(nina, user("omar"), user("pia"))) == ("bad-request", "max_occupants_reached")
    assert error_of(await create(nina, user("omar"))) == ("", "")
    assert error_of(await change(nina, user("pia"))) == ("bad-request", "max_occupants_reached")
    assert error_of(await change(nina, user("pia"), user("omar", "none"))) == ("", "")
    crowd = [user(f"u{number}") for number in range(4_000)]
    too_many = await create(nina, *crowd, to="crowd@muclight.localhost")
    assert error_of(too_many) == ("bad-request", "max_occupants_reached")
    many = [user(f"u{number}") for number in range(4_000)]
    assert error_of(await change(nina, *many)) == ("bad-request", "one request names 3 people at most")
    assert (await info(nina))[2] == {"nina": "owner", "pia": "member"}
    await world.stop()


async def test_people_are_in_as_many_rooms_as_the_options_say() -> None:
    world = await start(rooms_per_user=1)
    nina, omar = await people(world, "nina", "omar")
    await create(nina)
    assert error_of(await create(nina, to="second@muclight.localhost"))[0] == "bad-request"
    assert error_of(await create(omar, user("nina"), to="second@muclight.localhost")) == ("", "")
    assert (await info(omar, to="second@muclight.localhost"))[2] == {"omar": "owner"}
    await world.stop()


async def test_rooms_may_have_no_owners() -> None:
    world = await start(equal_occupants=True, all_can_invite=True)
    nina, omar = await people(world, "nina", "omar")
    assert error_of(await create(nina, user("omar", "owner")))[0] == "bad-request"
    await create(nina, user("omar"))
    assert error_of(await change(omar, user("pia"))) == ("", "")
    assert error_of(await change(omar, user("omar", "owner")))[0] in {"bad-request", "not-allowed"}
    assert error_of(await change(nina, user("omar", "none")))[0] == "not-allowed"
    assert (await info(nina))[2] == {"nina": "member", "omar": "member", "pia": "member"}
    await world.stop()


async def test_people_of_other_servers_make_no_rooms(world: World) -> None:
    got: list[Stanza] = []

    class Elsewhere:
        def route(self, stanza: Stanza) -> None:
            got.append(stanza)

    world.router.elsewhere = Elsewhere()
    asked = Stanza.build(
        "iq",
        kind="set",
        id="c1",
        to=Jid(ROOM),
        sender=Jid("eve@far.example/x"),
        content=(f"<query xmlns='{NS}#create'/>".encode(),),
    )
    wait = world.router.route(asked)
    if wait is not None:
        await wait
    await world.settle()
    assert [each.kind for each in got] == ["error"]
