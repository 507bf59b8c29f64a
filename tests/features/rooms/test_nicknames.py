"""Names in rooms that are somebody's own, and requests between occupants (XEP-0045 §7.10, XEP-0410)."""

from __future__ import annotations

from tests.features.rooms.stage import ROOM, enter, occupant, shown, world
from tests.features.rooms.test_owners_and_admins import admin, condition, form, owner
from tests.harness.world import World, WorldClient
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]


async def register(client: WorldClient, content: str = "", *, kind: str = "set") -> Element:
    query = f"<query xmlns='jabber:iq:register'>{content}</query>"
    return await client.request(f"<iq type='{kind}' id='r1' to='{ROOM}'>{query}</iq>")


def name(nick: str) -> str:
    chosen = f"<field var='muc#register_roomnick'><value>{nick}</value></field>"
    return (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
        f"<value>{ns.MUC}#register</value></field>{chosen}</x>"
    )


async def test_a_registered_name_is_nobody_elses(world: World) -> None:
    await occupant(world, "alice", "Alice")
    bob, carol = await world.login("bob@localhost/phone"), await world.login("carol@localhost/phone")
    assert condition(await register(bob, name("Bob"))) == ""
    assert condition((await enter(carol, "Bob"))[0]) == "conflict"
    assert condition(await register(carol, name("Bob"))) == "conflict"
    assert condition(await register(carol, name("Alice"))) == "conflict"  # who has it now
    assert shown((await enter(bob, "Bob"))[-2])[2] == "member/participant"
    await world.restart()
    carol = await world.login("carol@localhost/phone")
    assert condition((await enter(carol, "Bob"))[0]) == "conflict"
    got = await register(await world.login("bob@localhost/desk"), kind="get")
    assert got.children[0].find("registered") is not None


async def test_who_lets_the_name_go_is_no_member_any_more(world: World) -> None:
    await occupant(world, "alice", "Alice")
    bob, carol = await world.login("bob@localhost/phone"), await world.login("carol@localhost/phone")
    await register(bob, name("Bob"))
    assert condition(await register(bob, "<remove/>")) == ""
    assert condition(await register(bob, "<remove/>")) == "registration-required"
    assert shown((await enter(carol, "Bob"))[-2])[2] == "none/participant"


async def test_nobody_registers_with_a_room_for_members_but_they(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    bob, carol = await world.login("bob@localhost/phone"), await world.login("carol@localhost/phone")
    await owner(alice, form(membersonly="1"))
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    assert condition(await register(bob, name("Bob"))) == ""
    assert condition(await register(carol, name("Carol"))) == "not-allowed"
    assert condition(await register(carol, kind="get")) == "not-allowed"


async def test_a_ping_of_the_own_name_tells_whether_one_is_in_the_room(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    ping = f"<iq type='get' id='p1' to='{ROOM}/{{}}'><ping xmlns='urn:xmpp:ping'/></iq>"
    answer = await alice.request(ping.format("Alice"))
    assert (answer.get("type"), answer.get("from")) == ("result", f"{ROOM}/Alice")
    await alice.send(f"<presence to='{ROOM}/Alice' type='unavailable'/>")
    assert condition(await alice.request(ping.format("Alice"))) == "not-acceptable"


async def test_a_request_to_an_occupant_and_its_answer_have_the_names_of_the_room(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    bob.take()
    await alice.send(f"<iq type='get' id='v1' to='{ROOM}/Bob'><query xmlns='jabber:iq:version'/></iq>")
    [request] = bob.take("iq")
    assert (request.get("from"), request.get("to")) == (f"{ROOM}/Alice", "bob@localhost/phone")
    alice.take()
    answer = "<query xmlns='jabber:iq:version'><name>Bobs client</name></query>"
    carol = await occupant(world, "carol", "Carol")
    forged = f"<iq type='result' id='{request.get('id')}' to='{ROOM}/Alice'>{answer}</iq>"
    await carol.send(forged)
    assert alice.take("iq") == []
    await bob.send(forged)
    [got] = alice.take("iq")
    assert (got.get("from"), got.get("id"), got.get("type")) == (f"{ROOM}/Bob", "v1", "result")
    await bob.send(forged)  # an answer is taken once
    assert alice.take("iq") == []
