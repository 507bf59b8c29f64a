"""Rooms are configured by MUC Light with elements that are named like their fields."""

from __future__ import annotations

import msgspec
import pytest

from tests.features.rooms.light.stage import (
    NS,
    ROOM,
    configure,
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
from tidings.features.rooms.light.options import FieldOptions
from tidings.wire.xmpp import ns

__all__ = ["world"]

SCHEMA = [
    {"field": "roomname", "string_value": "Room"},
    {"field": "beds", "integer_value": 4},
    {"field": "degrees", "float_value": 20.5},
    {"field": "open", "boolean_value": True},
    {"field": "everybody", "boolean_value": False, "internal_key": "all_can_configure"},
]


def told(to: str, before: str, after: str, fields: str, *, id_: str = "k1") -> str:
    return same(
        f"<message from='{ROOM}' to='{to}@localhost' type='groupchat' id='{id_}'>"
        f"<x xmlns='{NS}#configuration'><prev-version>{before}</prev-version><version>{after}</version>"
        f"{fields}</x><body/></message>"
    )


async def test_everybody_is_told_of_the_fields_that_were_set(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    before = (await info(nina))[0]
    nina.take(), omar.take()
    fields = "<roomname>Ward 7 night</roomname><subject>Shifts</subject>"
    await nina.send(query("set", "configuration", fields, id_="k1"))
    assert [each.name for each in nina.received] == ["message", "iq"], "told before it is answered"
    nina.take("iq")
    after, found, _ = await info(nina)
    assert found == {"roomname": "Ward 7 night", "subject": "Shifts"}
    assert written(nina) == [told("nina", before, after, fields)]
    assert written(omar) == [told("omar", before, after, fields)]
    answer = await omar.request(query("get", "configuration"))
    assert answer.children[0].to_bytes(ns.CLIENT).decode() == same(
        f"<query xmlns='{NS}#configuration'><version>{after}</version>{fields}</query>"
    )


async def test_every_member_changes_the_subject_and_nothing_else(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    assert error_of(await configure(omar, "<roomname>Mine</roomname>"))[0] == "not-allowed"
    both = "<roomname>Mine</roomname><subject>Mine</subject>"
    assert error_of(await configure(omar, both))[0] == "not-allowed"
    assert error_of(await configure(omar, "<subject>Lunch</subject>")) == ("", "")
    assert (await info(nina))[1] == {"roomname": "Untitled", "subject": "Lunch"}
    assert error_of(await configure(omar, "<subject/>")) == ("", ""), "it can be cleared"
    assert (await info(nina))[1] == {"roomname": "Untitled", "subject": ""}


async def test_everybody_configures_where_the_options_say_so() -> None:
    world = await start(all_can_configure=True)
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    assert error_of(await configure(omar, "<roomname>Ours</roomname>")) == ("", "")
    assert (await info(nina))[1]["roomname"] == "Ours"
    await world.stop()


async def test_rooms_have_the_fields_of_the_schema() -> None:
    world = await start(config_schema=SCHEMA)
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"), fields="<beds>6</beds>")
    assert (await info(nina))[1] == {
        "roomname": "Room",
        "beds": "6",
        "degrees": "20.5",
        "open": "true",
        "everybody": "false",
    }
    for fields, text in (
        ("<beds>many</beds>", "beds:type_error"),
        ("<degrees>warm</degrees>", "degrees:type_error"),
        ("<open>yes</open>", "open:type_error"),
        ("<subject>none here</subject>", "subject:not_found"),
        ("<roomname>A</roomname><beds>x</beds>", "beds:type_error"),
    ):
        assert error_of(await configure(nina, fields)) == ("bad-request", text)
    assert error_of(await configure(omar, "<beds>7</beds>"))[0] == "not-allowed"
    await configure(nina, "<everybody>true</everybody>")
    assert error_of(await configure(omar, "<beds>7</beds>")) == ("", "")
    assert (await info(nina))[1]["beds"] == "7"
    assert (await info(nina))[1]["roomname"] == "Room"
    await world.restart()
    [nina] = await people(world, "nina")
    assert (await info(nina))[1]["beds"] == "7"
    await world.stop()


async def test_nothing_and_nonsense_configure_nothing(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina)
    before = await info(nina)
    for fields in (
        "",
        "<prev-version>1</prev-version>",
        "<subject>a</subject><subject>b</subject>",
        f"<subject>{'x' * 5_000}</subject>",
        "<roomname>a</roomname><colour>b</colour>",
    ):
        assert error_of(await configure(nina, fields))[0] == "bad-request"
    assert await info(nina) == before


async def test_two_who_configure_at_once_both_do(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    nina.push(query("set", "configuration", "<roomname>N</roomname>", id_="k1"))
    omar.push(query("set", "configuration", "<subject>O</subject>", id_="k2"))
    await world.settle()
    assert (await info(nina))[1] == {"roomname": "N", "subject": "O"}
    versions = [
        (x.text_of("prev-version"), x.text_of("version"))
        for x in (each.children[0] for each in omar.take("message"))
        if x.namespace.endswith("#configuration")
    ]
    assert versions[0][1] == versions[1][0], "one follows the other"


@pytest.mark.parametrize(
    "options",
    [
        {"field": "x"},
        {"field": "x", "string_value": "", "integer_value": 1},
        {"field": "version", "string_value": ""},
        {"field": "x", "string_value": "", "internal_key": "all_can_invite"},
    ],
)
def test_a_schema_that_means_nothing_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, FieldOptions)
