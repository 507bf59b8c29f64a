"""Rooms by MUC Light by operations: what they do is what clients would have done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.features.rooms.light.stage import (
    ROOM,
    change,
    create,
    error_of,
    info,
    people,
    query,
    start,
    texts,
    written,
)
from tests.features.rooms.light.stage import user as member
from tests.features.rooms.stage import enter, shown
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError
from tidings.wire.xmpp import ns

NINA, OMAR, PIA = "nina@localhost", "omar@localhost", "pia@localhost"
BY_MUC = "ward7@conference.localhost"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


@pytest.fixture
async def nina(world: World) -> WorldClient:
    """Nina, who owns a room in which Omar is, too."""
    [nina] = await people(world, "nina")
    await world.register(OMAR)
    await create(nina, member("omar"), fields="<roomname>Ward 7</roomname>")
    nina.take()
    return nina


async def call(context: World | Context, name: str, /, **arguments: Any) -> Any:
    context = context.context if isinstance(context, World) else context
    without_room = {"list", "rooms", "create", "blocked", "block"}
    given = arguments if name in without_room else {"room": ROOM, **arguments}
    return await CATALOGUE.call(context, "muc-light", name, given)


async def refused(context: World | Context, name: str, /, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code, caught.value.reason


def user(world: World, name: str) -> Context:
    return world.context.acting_for(Caller.user(Jid(name)))


def members(room: Any) -> dict[str, str]:
    return {each.user.local: "/".join(filter(None, (each.affiliation, each.role))) for each in room.members}


# --- looking


async def test_rooms_are_listed_by_address_in_pages(world: World, nina: WorldClient) -> None:
    for number in (9, 4, 6):
        await call(world, "create", owner=NINA, id=f"bed{number}", name=f"Bed {number}", subject="sleep")
    first = await call(world, "list", domain="localhost", limit=3)
    assert [(each.room.local, each.name, each.subject, each.members) for each in first.items] == [
        ("bed4", "Bed 4", "sleep", 1),
        ("bed6", "Bed 6", "sleep", 1),
        ("bed9", "Bed 9", "sleep", 1),
    ]
    rest = await call(world, "list", domain="muclight.localhost", after=first.next)
    assert [(each.room, each.members) for each in rest.items] == [(ROOM, 2)]
    assert rest.next is None
    assert [each.room for each in (await call(world, "list", domain="localhost", filter="WARD")).items] == [
        ROOM
    ]


async def test_rooms_that_muc_light_does_not_open_to_are_not_there(world: World, nina: WorldClient) -> None:
    await enter(nina, "Nina", room="tea@conference.localhost")
    assert [each.room for each in (await call(world, "list", domain="localhost")).items] == [ROOM]
    tea = "tea@muclight.localhost"
    assert await refused(world, "show", room=tea) == ("not-found", "room_not_found")


async def test_a_room_is_shown_whole_to_the_operator_and_to_who_is_in_it(
    world: World, nina: WorldClient
) -> None:
    await change(nina, member("pia", "member", "administrator"))
    room = await call(world, "show")
    assert (room.room, room.name, room.subject, room.fields) == (ROOM, "Ward 7", "", ())
    assert members(room) == {"nina": "owner", "omar": "member", "pia": "member/administrator"}
    assert members(await call(user(world, OMAR), "show", by=OMAR)) == members(room)
    await world.register("zoe@localhost")
    assert await refused(world, "show", by="zoe@localhost") == ("not-allowed", "not_room_member")
    stranger = user(world, "zoe@localhost")
    assert await refused(stranger, "show", by="zoe@localhost") == ("not-found", "room_not_found")


async def test_members_are_listed_in_pages(world: World, nina: WorldClient) -> None:
    first = await call(world, "members", limit=1)
    rest = await call(world, "members", after=first.next)
    assert [(each.user, each.affiliation) for each in (*first.items, *rest.items)] == [
        (NINA, "owner"),
        (OMAR, "member"),
    ]
    assert rest.next is None


async def test_what_was_said_is_listed_as_muc_light_shows_it(world: World, nina: WorldClient) -> None:
    await call(world, "send", sender=OMAR, body="good morning")
    [said, *changes] = (await call(world, "messages", xml=True)).items
    assert (said.sender, said.body) == (f"{ROOM}/{OMAR}", "good morning")
    assert all(each.sender == ROOM for each in changes)
    assert any(f"{ns.MUC_LIGHT}#affiliations" in each.message for each in changes)
    assert (await call(user(world, OMAR), "messages", by=OMAR, limit=1, xml=True)).items == (said,)


async def test_the_rooms_of_an_account_are_listed(world: World, nina: WorldClient) -> None:
    found = (await call(user(world, OMAR), "rooms", user=OMAR)).items
    assert [(each.room, each.name) for each in found] == [(ROOM, "Ward 7")]
    assert await refused(world, "rooms", user="nobody@localhost") == ("not-found", "user_not_found")


# --- making and ending


async def test_a_room_is_made_and_its_members_are_told(world: World) -> None:
    _, omar = await people(world, "nina", "omar")
    room = await call(world, "create", owner=NINA, id="ward7", name="Ward 7", subject="beds", members=[OMAR])
    assert (room.room, room.name, room.subject) == (ROOM, "Ward 7", "beds")
    assert members(room) == {"nina": "owner", "omar": "member"}
    [told] = written(omar)
    assert 'affiliation="member">omar@localhost' in told
    again = {"owner": NINA, "id": "ward7"}
    assert await refused(world, "create", **again) == ("conflict", "already_exists")
    invented = await call(user(world, NINA), "create", owner=NINA)
    assert invented.room.local not in {"", "ward7"}
    assert invented.name == "Untitled"


async def test_what_cannot_be_made(world: World) -> None:
    await world.register(NINA)
    assert await refused(world, "create", owner=PIA) == ("not-found", "user_not_found")
    assert await refused(world, "create", owner=NINA, fields=["beds=4"]) == ("invalid", "validation_error")
    assert await refused(world, "create", owner=NINA, id="a b") == ("invalid", "")
    assert (await refused(world, "create", owner=NINA, fields=["beds"]))[0] == "invalid"
    await world.stop()
    small = await start(max_occupants=2)
    await small.register(NINA)
    await small.register(OMAR), await small.register(PIA)
    full = {"owner": NINA, "members": [OMAR, PIA]}
    assert await refused(small, "create", **full) == ("invalid", "max_occupants_reached")
    await small.stop()


async def test_a_room_is_configured_as_its_members_see(world: World, nina: WorldClient) -> None:
    [omar] = await people(world, "omar")
    room = await call(world, "configure", name="Ward 8", subject="moved")
    assert (room.name, room.subject) == ("Ward 8", "moved")
    assert (await info(omar))[1] == {"roomname": "Ward 8", "subject": "moved"}
    [told] = written(nina)
    assert "<roomname>Ward 8</roomname>" in told
    mine = {"by": OMAR, "name": "Omar's"}
    assert await refused(user(world, OMAR), "configure", **mine) == ("not-allowed", "not_allowed")
    assert (await call(user(world, OMAR), "configure", by=OMAR, subject="tea")).subject == "tea"
    assert await refused(world, "configure") == ("invalid", "validation_error")


async def test_fields_of_the_schema_are_set(world: World) -> None:
    await world.stop()
    schema = [
        {"field": "roomname", "string_value": "Untitled"},
        {"field": "beds", "integer_value": 4},
    ]
    richer = await start(config_schema=schema)
    await richer.register(NINA)
    room = await call(richer, "create", owner=NINA, id="ward7", fields=["beds=6"])
    assert [(each.field, each.value) for each in room.fields] == [("beds", "6")]
    assert await refused(richer, "configure", fields=["beds=many"]) == ("invalid", "validation_error")
    await richer.stop()


async def test_a_room_is_ended_by_the_operator_and_by_its_owner_alone(
    world: World, nina: WorldClient
) -> None:
    assert await refused(user(world, OMAR), "destroy", by=OMAR) == ("not-allowed", "not_allowed")
    [omar] = await people(world, "omar")
    await enter(omar, "Omar", room=BY_MUC)
    omar.take()
    await call(world, "destroy")
    assert "#destroy" in written(nina)[0]
    assert shown(omar.take("presence")[-1])[1] == "unavailable", "it is gone by the other door, too"
    assert await refused(world, "show") == ("not-found", "room_not_found")


# --- people


async def test_somebody_is_added_in_the_name_of_who_may(world: World, nina: WorldClient) -> None:
    [pia] = await people(world, "pia")
    done = await call(world, "invite", sender=NINA, recipient=PIA)
    assert (done.recipient, done.added) == (PIA, True)
    assert 'affiliation="member">pia@localhost' in written(pia)[0]
    unknown = {"sender": NINA, "recipient": "zoe@localhost"}
    assert await refused(world, "invite", **unknown) == ("not-found", "user_not_found")
    await world.register("zoe@localhost")
    other = {"sender": OMAR, "recipient": "zoe@localhost"}
    assert await refused(user(world, OMAR), "invite", **other) == ("not-allowed", "not_allowed")
    again = {"sender": NINA, "recipient": PIA}
    assert await refused(world, "invite", **again) == ("invalid", "validation_error")
    assert await refused(world, "invite", sender="zoe@localhost", recipient=PIA) == (
        "not-allowed",
        "not_room_member",
    )


async def test_who_does_not_want_to_be_added_is_not(world: World, nina: WorldClient) -> None:
    await world.register(PIA)
    blocked = await call(user(world, PIA), "block", user=PIA, users=[NINA], rooms=["bed4@muclight.localhost"])
    assert [(each.kind, each.address) for each in blocked.items] == [
        ("user", NINA),
        ("room", "bed4@muclight.localhost"),
    ]
    assert not (await call(world, "invite", sender=NINA, recipient=PIA)).added
    left = await call(world, "block", user=PIA, allow_users=[NINA])
    assert [each.address for each in left.items] == ["bed4@muclight.localhost"]
    assert (await call(world, "blocked", user=PIA)).items == left.items
    assert (await call(world, "invite", sender=NINA, recipient=PIA)).added
    assert await refused(world, "block", user=PIA) == ("invalid", "validation_error")


async def test_what_an_account_blocks_is_what_its_client_sees(world: World) -> None:
    [pia] = await people(world, "pia")
    await call(world, "block", user=PIA, users=[NINA])
    answer = await pia.request(query("get", "blocking", to="muclight.localhost"))
    assert [each.text for each in answer.children[0].children] == [NINA]


async def test_where_nothing_can_be_blocked(world: World) -> None:
    await world.stop()
    other = await start(blocking=False)
    await other.register(PIA)
    assert await refused(other, "blocked", user=PIA) == ("not-allowed", "not_allowed")
    assert (await refused(other, "block", user=PIA, users=[NINA]))[0] == "invalid"
    await other.stop()


async def test_a_member_is_put_out_and_told_by_whom(world: World, nina: WorldClient) -> None:
    [omar] = await people(world, "omar")
    await call(world, "kick", target=OMAR)
    [own] = written(omar)
    assert '<kicked xmlns="urn:tidings:muclight:0" by="muclight.localhost">' in own
    assert 'affiliation="none">omar@localhost' in written(nina)[0]
    assert error_of(await omar.request(query("get", "info")))[0] == "item-not-found"
    assert await refused(world, "kick", target=OMAR) == ("not-found", "user_not_found")


async def test_in_his_own_name_a_member_leaves_and_puts_out_nobody(world: World, nina: WorldClient) -> None:
    assert await refused(user(world, OMAR), "kick", by=OMAR, target=NINA) == ("not-allowed", "not_allowed")
    await call(user(world, OMAR), "kick", by=OMAR, target=OMAR)
    assert "kicked" not in written(nina)[0]
    await call(world, "kick", target=NINA)
    assert await refused(world, "show") == ("not-found", "room_not_found"), (
        "it has ended with its last member"
    )


async def test_members_speak_through_both_doors_and_nobody_else(world: World, nina: WorldClient) -> None:
    [omar] = await people(world, "omar")
    await enter(omar, "Omar", room=BY_MUC)
    omar.take()
    sent = await call(user(world, NINA), "send", sender=NINA, body="good morning")
    assert sent.archive_id is not None
    assert texts(nina) == [(f"{ROOM}/{NINA}", "good morning")]
    assert texts(omar) == [(f"{BY_MUC}/{NINA}", "good morning")]
    await change(nina, member("omar", "member", "read-only"))
    assert await refused(world, "send", sender=OMAR, body="me") == ("not-allowed", "not_allowed")
    assert await refused(world, "send", sender=PIA, body="hello") == ("not-allowed", "not_room_member")


async def test_an_administrator_of_another_domain_may_nothing(world: World, nina: WorldClient) -> None:
    other = world.context.acting_for(Caller.administrator(Jid("boss@other.test"), "other.test"))
    for name, arguments in (
        ("list", {"domain": "localhost"}),
        ("list", {"domain": "muclight.localhost"}),
        ("show", {}),
        ("messages", {}),
        ("kick", {"target": OMAR}),
        ("destroy", {}),
        ("create", {"owner": NINA}),
        ("block", {"user": NINA, "users": [OMAR]}),
    ):
        assert (await refused(other, name, **arguments))[0] == "not-allowed", name
    assert members(await call(world, "show")) == {"nina": "owner", "omar": "member"}
