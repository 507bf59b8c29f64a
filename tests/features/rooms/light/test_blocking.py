"""Nobody is added to a room who does not want that, and nobody learns why."""

from __future__ import annotations

from tests.features.rooms.light.stage import (
    NS,
    ROOM,
    change,
    create,
    error_of,
    info,
    people,
    query,
    start,
    user,
    world,
)
from tests.harness.world import World, WorldClient

__all__ = ["world"]

SERVICE = "muclight.localhost"


async def block(client: WorldClient, inside: str) -> tuple[str, str]:
    return error_of(await client.request(query("set", "blocking", inside, to=SERVICE)))


async def blocked(client: WorldClient) -> list[tuple[str, str | None, str]]:
    answer = await client.request(query("get", "blocking", to=SERVICE))
    found = answer.children[0]
    assert found.namespace == f"{NS}#blocking"
    return [(each.name, each.get("action"), each.text) for each in found.children]


def item(what: str, address: str, action: str = "deny") -> str:
    return f"<{what} action='{action}'>{address}</{what}>"


async def test_what_is_denied_is_kept_and_what_is_allowed_is_not(world: World) -> None:
    [omar] = await people(world, "omar")
    assert await blocked(omar) == []
    assert await block(omar, item("room", ROOM) + item("user", "nina@localhost")) == ("", "")
    assert await blocked(omar) == [("room", "deny", ROOM), ("user", "deny", "nina@localhost")]
    assert await block(
        omar, item("user", "nina@localhost", "allow") + item("user", "pia@localhost", "allow")
    ) == (
        "",
        "",
    )
    await world.restart()
    [omar] = await people(world, "omar")
    assert await blocked(omar) == [("room", "deny", ROOM)]


async def test_who_blocks_the_inviter_is_left_out_in_silence(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await block(omar, item("user", "nina@localhost"))
    assert error_of(await create(nina, user("omar"), user("pia"))) == ("", "")
    before = await info(nina)
    assert before[2] == {"nina": "owner", "pia": "member"}
    nina.take()
    assert error_of(await change(nina, user("omar"))) == ("", "")
    assert await info(nina) == before, "the version is the same, too"
    assert (nina.take("message"), omar.take("message")) == ([], [])
    assert error_of(await change(nina, user("omar"), user("quinn"))) == ("", "")
    assert (await info(nina))[2] == {"nina": "owner", "pia": "member", "quinn": "member"}


async def test_who_blocks_the_room_is_left_out_whoever_adds_him() -> None:
    world = await start(all_can_invite=True)
    nina, omar, pia = await people(world, "nina", "omar", "pia")
    await block(omar, item("room", ROOM))
    await create(nina, user("pia"))
    await change(pia, user("omar"))
    await change(nina, user("omar"))
    assert (await info(nina))[2] == {"nina": "owner", "pia": "member"}
    assert error_of(await create(nina, user("omar"), to=f"other@{SERVICE}")) == ("", "")
    assert "omar" in (await info(nina, to=f"other@{SERVICE}"))[2]
    await world.stop()


async def test_who_is_to_be_owner_and_blocks_that_leaves_the_room_with_its_maker(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await block(omar, item("user", "nina@localhost"))
    await create(nina, user("omar", "owner"))
    assert (await info(nina))[2] == {"nina": "owner"}


async def test_nonsense_blocks_nothing(world: World) -> None:
    [omar] = await people(world, "omar")
    for inside in (
        "",
        item("user", "localhost"),
        item("user", "@"),
        item("user", ""),
        item("user", "nina@localhost", "maybe"),
        item("group", "x@localhost"),
        item("user", "nina@localhost") + item("group", "x@localhost"),
    ):
        assert (await block(omar, inside))[0] == "bad-request"
    assert await blocked(omar) == []


async def test_lists_are_as_long_as_the_options_say() -> None:
    world = await start(max_blocked=2)
    [omar] = await people(world, "omar")
    three = "".join(item("user", f"u{number}@localhost") for number in range(3))
    assert (await block(omar, three))[0] == "bad-request"
    assert await block(omar, item("user", "a@localhost") + item("user", "b@localhost")) == ("", "")
    assert (await block(omar, item("user", "c@localhost")))[0] == "resource-constraint"
    assert await block(omar, item("user", "a@localhost", "allow") + item("user", "c@localhost")) == ("", "")
    await world.stop()


async def test_nothing_is_blocked_where_that_is_switched_off() -> None:
    world = await start(blocking=False)
    [omar] = await people(world, "omar")
    assert (await block(omar, item("room", ROOM)))[0] == "bad-request"
    assert error_of(await omar.request(query("get", "blocking", to=SERVICE)))[0] == "bad-request"
    await world.stop()
