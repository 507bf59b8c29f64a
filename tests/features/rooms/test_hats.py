"""Hats of people in rooms, and the commands by which owners give them (XEP-0317, XEP-0050)."""

from __future__ import annotations

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start, world
from tests.features.rooms.test_owners_and_admins import condition, form, owner
from tests.features.rooms.test_room_vcard import told
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.rooms.hat_commands import HatOptions
from tidings.features.rooms.hats import Hat, Hats
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]

TEACHER, PROCTOR = "http://tech.example.edu/hats#Teacher", "urn:example:hats:proctor"


async def command(
    client: WorldClient, name: str, action: str = "", room: str = ROOM, **fields: str
) -> Element:
    """Run a command of a room by its whole name, with what is filled in."""
    values = "".join(f"<field var='{key}'><value>{value}</value></field>" for key, value in fields.items())
    inside = f"<x xmlns='jabber:x:data' type='submit'>{values}</x>" if fields else ""
    action = f" action='{action}'" if action else ""
    return await client.request(
        f"<iq type='set' id='c1' to='{room}'><command xmlns='{ns.COMMANDS}' node='{name}'{action}>{inside}"
        "</command></iq>"
    )


async def hat(client: WorldClient, name: str, **fields: str) -> Element:
    named = {f"hats#{key}": value for key, value in fields.items()}
    return await command(client, f"urn:xmpp:hats:commands:{name}", **named)


def status(answer: Element) -> str | None:
    return answer.find("command", ns.COMMANDS).get("status")


def rows(answer: Element) -> list[list[str | None]]:
    """Give the rows of a table, each with its values in order."""
    table = answer.find("command", ns.COMMANDS).find("x", ns.DATA_FORMS)
    return [[field.text_of("value") for field in item.find_all("field")] for item in table.find_all("item")]


def hats_of(presence: Element) -> list[tuple[str | None, str | None, str | None]]:
    found = presence.find("hats", ns.HATS)
    if found is None:
        return []
    return [(each.get("title"), each.get("uri"), each.get("hue")) for each in found.find_all("hat")]


async def test_hats_are_made_assigned_shown_and_taken_away_again(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await occupant(world, "carol", "Carol")
    for client in (alice, bob, carol):
        client.take()
    assert condition(await hat(bob, "create", uri=TEACHER, title="Teacher")) == "forbidden"
    assert status(await hat(alice, "create", uri=TEACHER, title="Teacher", hue="327.255249")) == "completed"
    assert status(await hat(alice, "create", uri=PROCTOR, title="Proctor")) == "completed"
    assert told(bob) == [("groupchat", ["104"])] * 2
    assert rows(await hat(bob, "list")) == [["Teacher", TEACHER, "327.255249"], ["Proctor", PROCTOR]]
    carol.take()

    assert status(await hat(alice, "assign", jid="bob@localhost", uri=TEACHER)) == "completed"
    [seen] = carol.take()
    assert shown(seen)[0] == "Bob"
    assert hats_of(seen) == [("Teacher", TEACHER, "327.255249")]
    [own] = bob.take()
    assert (shown(own)[4], len(hats_of(own))) == (["110"], 1)
    await hat(alice, "assign", jid=f"{ROOM}/Bob", uri=PROCTOR)
    assert [title for title, _, _ in hats_of(carol.take()[-1])] == ["Teacher", "Proctor"]
    assert rows(await hat(alice, "list-assigned")) == [
        ["bob@localhost", "Teacher", TEACHER, "327.255249"],
        ["bob@localhost", "Proctor", PROCTOR],
    ]
    assert condition(await hat(bob, "list-assigned")) == "forbidden", "he sees no addresses"

    await hat(alice, "unassign", jid="bob@localhost", uri=TEACHER)
    assert [title for title, _, _ in hats_of(carol.take()[-1])] == ["Proctor"]
    await hat(alice, "destroy", uri=PROCTOR)
    *_, seen = carol.take("presence")
    assert hats_of(seen) == []
    assert rows(await hat(alice, "list-assigned")) == []


async def test_a_hat_lasts_and_its_list_has_a_hash(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    assert await hash_of(alice) == []
    await hat(alice, "create", uri=TEACHER, title="Teacher")
    first = await hash_of(alice)
    await hat(alice, "assign", jid="bob@localhost", uri=TEACHER)
    assert await hash_of(alice) == first, "it is of the list, not of who has which"
    await world.restart()
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    alice.take()
    got = await enter(bob, "Bob")
    assert [title for title, _, _ in hats_of(got[1])] == ["Teacher"]
    [seen] = alice.take()
    assert [title for title, _, _ in hats_of(seen)] == ["Teacher"]
    await hat(alice, "create", uri=TEACHER, title="Professor")
    assert [title for title, _, _ in hats_of(alice.take("presence")[-1])] == ["Professor"]
    assert await hash_of(alice) != first


async def hash_of(client: WorldClient) -> list[str | None]:
    got = await client.request(f"<iq type='get' id='d1' to='{ROOM}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    query = got.find("query", ns.DISCO_INFO)
    assert {ns.HATS, ns.COMMANDS} <= {each.get("var") for each in query.find_all("feature")}
    fields = [field for each in query.find_all("x", ns.DATA_FORMS) for field in each.find_all("field")]
    return [field.text_of("value") for field in fields if field.get("var") == "hats#hash"]


async def test_nobody_puts_a_hat_on_himself(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    forged = f"<hats xmlns='{ns.HATS}'><hat title='Teacher' uri='{TEACHER}'/></hats>"
    await bob.send(f"<presence to='{ROOM}/Bob'>{forged}</presence>")
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='1'><body>hi</body>{forged}</message>")
    presence, message = alice.take()
    assert hats_of(presence) == hats_of(message) == []
    assert message.text_of("body") == "hi"


async def test_a_command_asks_with_a_form_and_can_be_given_up(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await hat(alice, "create", uri=TEACHER, title="Teacher")
    asked = (await hat(alice, "assign")).find("command", ns.COMMANDS)
    assert asked.get("status") == "executing"
    assert asked.get("sessionid")
    fields = {each.get("var"): each for each in asked.find("x", ns.DATA_FORMS).find_all("field")}
    assert fields["FORM_TYPE"].text_of("value") == "urn:xmpp:hats:commands"
    assert fields["hats#jid"].find("required") is not None
    assert [each.text_of("value") for each in fields["hats#uri"].find_all("option")] == [TEACHER]
    assert status(await command(alice, "urn:xmpp:hats:commands:assign", "cancel")) == "canceled"
    assert condition(await command(alice, "urn:xmpp:hats:commands:nothing")) == "item-not-found"
    items = f"<iq type='get' id='i1' to='{ROOM}'><query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/></iq>"
    listed = (await alice.request(items)).find("query", ns.DISCO_ITEMS).find_all("item")
    names = [(each.get("node") or "").removeprefix("urn:xmpp:hats:commands:") for each in listed]
    assert {"create", "destroy", "list", "assign", "unassign", "list-assigned"} <= set(names)
    listed = (await bob.request(items)).find("query", ns.DISCO_ITEMS).find_all("item")
    assert [each.get("name") for each in listed] == ["List hats"]


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("create", {"uri": TEACHER}, "not-acceptable"),
        ("create", {"uri": "teacher", "title": "Teacher"}, "not-acceptable"),
        ("create", {"uri": TEACHER, "title": "T" * 129}, "not-acceptable"),
        ("create", {"uri": "u:" + "r" * 255, "title": "T"}, "not-acceptable"),
        ("create", {"uri": "u:new", "title": "T", "hue": "361"}, "not-acceptable"),
        ("create", {"uri": "u:new", "title": "T", "hue": "red"}, "not-acceptable"),
        ("create", {"uri": "u:new", "title": "T"}, "resource-constraint"),
        ("create", {"uri": TEACHER, "title": "Another"}, ""),
        ("assign", {"jid": "bob@localhost", "uri": "u:nothing"}, "bad-request"),
        ("assign", {"jid": "@", "uri": TEACHER}, "jid-malformed"),
        ("assign", {"jid": f"{ROOM}/Nobody", "uri": TEACHER}, "item-not-found"),
        ("unassign", {"jid": "bob@localhost", "uri": TEACHER}, "item-not-found"),
    ],
)
async def test_what_makes_no_sense_is_refused(name: str, fields: dict[str, str], expected: str) -> None:
    world = await start(features={"hats": HatOptions(max_hats=1)})
    alice = await occupant(world, "alice", "Alice")
    await hat(alice, "create", uri=TEACHER, title="Teacher")
    assert condition(await hat(alice, name, **fields)) == expected
    assert [row[1] for row in rows(await hat(alice, "list"))] == [TEACHER]
    await world.stop()


async def test_of_a_hidden_room_only_members_learn_which_hats_there_are(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await hat(alice, "create", uri=TEACHER, title="Teacher")
    await owner(alice, form(membersonly="1", publicroom="0"))
    assert condition(await hat(bob, "list")) == "forbidden"
    await alice.send(say("hello"))
    assert rows(await hat(alice, "list")) == [["Teacher", TEACHER]]


def test_a_hat_that_is_no_more_is_nobody_s() -> None:
    first, second = Hat(uri="u:1", title="One"), Hat(uri="u:2", title="Two")
    hats = Hats().with_hat(first).with_hat(second)
    for jid in ("a@x", "b@x"):
        hats = hats.assigned(Jid(jid), "u:1")
    hats = hats.assigned(Jid("a@x"), "u:2").without_hat("u:1")
    assert hats == Hats(known={"u:2": second}, worn={"a@x": ("u:2",)})
    assert (hats.of(Jid("a@x")), hats.of(Jid("b@x"))) == ((second,), ())
