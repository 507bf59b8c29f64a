"""Invitations into rooms, voice requests, private messages, and what is told of rooms (XEP-0045 §6, §7)."""

from __future__ import annotations

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, texts, world
from tests.features.rooms.test_owners_and_admins import admin, condition, form, owner
from tests.harness.world import World
from tidings.wire.xmpp import ns

__all__ = ["world"]


def invite(to: str, name: str = "invite") -> str:
    return (
        f"<message to='{ROOM}' id='i1'><x xmlns='{ns.MUC_USER}'>"
        f"<{name} to='{to}'><reason>tea time</reason></{name}></x></message>"
    )


async def test_an_invitation_comes_from_the_room(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.online("bob@localhost/phone")
    await alice.send(invite("bob@localhost"))
    [message] = bob.take("message")
    assert (message.get("from"), message.get("to")) == (ROOM, "bob@localhost")
    invited = message.find("x", ns.MUC_USER).find("invite")
    assert invited.get("from") == "alice@localhost/phone"
    assert invited.text_of("reason") == "tea time"
    alice.take()
    await bob.send(invite("alice@localhost/phone", "decline"))
    [message] = alice.take("message")
    assert message.find("x", ns.MUC_USER).find("decline").get("from") == "bob@localhost/phone"


async def test_who_is_away_finds_the_invitation_later(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    bob = await world.online("bob@localhost/phone")
    await bob.leave()
    await alice.send(invite("bob@localhost"))
    bob = await world.login("bob@localhost/phone")
    await bob.send("<presence/>")
    [message] = bob.take("message")
    assert message.find("x", ns.MUC_USER).find("invite") is not None


async def test_who_is_invited_into_a_room_for_members_is_one(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.online("bob@localhost/phone")
    await owner(alice, form(membersonly="1"))
    assert condition((await enter(bob, "Bob"))[0]) == "registration-required"
    await alice.send(invite("bob@localhost"))
    bob.take()
    assert shown((await enter(bob, "Bob"))[-2])[2] == "member/participant"


async def test_who_is_not_in_the_room_invites_nobody(world: World) -> None:
    await occupant(world, "alice", "Alice")
    bob, carol = await world.online("bob@localhost/phone"), await world.online("carol@localhost/phone")
    await bob.send(invite("carol@localhost"))
    assert condition(bob.take("message")[0]) == "not-acceptable"
    await bob.send(invite("carol@localhost", "decline"))  # nor does a refusal bring a text to anybody
    assert condition(bob.take("message")[0]) == "item-not-found"
    assert carol.take("message") == []


async def test_a_visitor_asks_for_a_voice_and_gets_it(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await owner(alice, form(moderatedroom="1"))
    await admin(alice, "<item nick='Bob' role='visitor'/>")
    alice.take()
    asked = (
        f"<message to='{ROOM}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
        f"<value>{ns.MUC}#request</value></field>{{}}</x></message>"
    )
    await bob.send(asked.format("<field var='muc#role'><value>participant</value></field>"))
    [request] = alice.take("message")
    fields = {each.get("var"): each.text_of("value") for each in request.find("x", ns.DATA_FORMS).children}
    assert (fields["muc#roomnick"], fields["muc#jid"]) == ("Bob", "bob@localhost/phone")
    granted = (
        "<field var='muc#roomnick'><value>Bob</value></field>"
        "<field var='muc#request_allow'><value>1</value></field>"
    )
    bob.take()
    await bob.send(asked.format(granted))  # nobody grants it to himself
    assert [each for each in bob.take() if each.name == "presence"] == []
    await alice.send(asked.format(granted))
    await bob.send(say("thanks"))
    assert texts(alice) == [("Bob", "thanks")]


async def test_a_private_message_is_between_two(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await occupant(world, "carol", "Carol")
    for client in (alice, bob, carol):
        client.take()
    await alice.send(f"<message to='{ROOM}/Bob' type='chat' id='p1'><body>psst</body></message>")
    [message] = bob.take("message")
    assert (message.get("from"), message.get("to"), message.text_of("body")) == (
        f"{ROOM}/Alice",
        "bob@localhost/phone",
        "psst",
    )
    assert message.find("x", ns.MUC_USER) is not None
    assert carol.take() == alice.take("message") == []
    await world.online("dave@localhost/phone")
    dave = await world.online("dave@localhost/desk")
    await dave.send(f"<message to='{ROOM}/Bob' type='chat' id='p2'><body>psst</body></message>")
    assert condition(dave.take("message")[0]) == "not-acceptable"


async def test_public_rooms_are_listed_and_tell_what_they_are(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.online("bob@localhost/phone")
    items = "<iq type='get' id='d1' to='conference.localhost'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    info = f"<iq type='get' id='d2' to='{ROOM}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    await owner(alice, form(roomname="Tea room", membersonly="1"))
    [item] = (await bob.request(items)).children[0].children
    assert (item.get("jid"), item.get("name")) == (ROOM, "Tea room")
    told = (await bob.request(info)).children[0]
    assert [each.get("name") for each in told.find_all("identity")] == ["Tea room"]
    features = {each.get("var") for each in told.find_all("feature")}
    assert {ns.MUC, "muc_membersonly", "muc_semianonymous", "muc_persistent", "muc_public"} <= features
    await owner(alice, form(publicroom="0"))
    assert (await bob.request(items)).children[0].children == []
