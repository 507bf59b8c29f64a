"""Limits of rooms: how large they get, and how fast things happen in them; who does too much pays himself."""

from __future__ import annotations

import pytest

from tests.features.rooms.light import stage as light
from tests.features.rooms.light.test_scale import calls_of
from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start, texts
from tests.features.rooms.test_nicknames import name, register
from tests.features.rooms.test_owners_and_admins import admin, condition, form, owner
from tests.harness.world import World, WorldClient
from tidings.features.rooms.limit_options import RoomLimitsOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

OTHER = "coffee@conference.localhost"


async def limited(**options: int) -> World:
    return await start(features={"room_limits": RoomLimitsOptions(**options)})


def errors(client: WorldClient) -> list[Element]:
    return [each for each in client.take() if each.get("type") == "error"]


def told(stanza: Element) -> tuple[str, str, str, int]:
    """Give the condition of an error, its type, its text, and when to come back."""
    error = stanza.find("error")
    assert error is not None
    retry = error.find("retry-after", ns.TIDINGS_RETRY)
    seconds = 0 if retry is None else int(retry.get("seconds") or "0")
    return condition(stanza), error.get("type") or "", error.text_of("text", ns.STANZA_ERRORS) or "", seconds


async def test_who_floods_a_room_pays_himself_and_the_others_go_on() -> None:
    world = await limited(messages_per_second=2, burst_seconds=5, room_messages_per_second=100)
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await enter(bob, "Bob", room=OTHER)
    for client in (alice, bob):
        client.take()
    await bob.send(*(say(f"{number}", id_=f"{number}") for number in range(500)))
    refused = errors(bob)
    assert len(texts(alice)) == 10
    assert [each.get("id") for each in refused] == [str(number) for number in range(10, 500)]
    assert told(refused[0]) == (
        "resource-constraint",
        "wait",
        "you may send 2 messages a second here: wait 1 second",
        1,
    )
    await alice.send(say("still here"))
    assert texts(bob) == texts(alice) == [("Alice", "still here")]
    await bob.send(say("and elsewhere", room=OTHER))
    assert texts(bob) == [("Bob", "and elsewhere")]
    desk = await world.login("bob@localhost/desk")
    await enter(desk, "Bob")
    desk.take()
    await desk.send(say("by another device"))
    assert condition(errors(desk)[0]) == "resource-constraint"
    await world.advance(1)
    await bob.send(say("one"), say("two"), say("three", id_="3"))
    assert [each.get("id") for each in errors(bob)] == ["3"]
    assert [text for _, text in texts(alice)] == ["one", "two"]
    await world.stop()


async def test_what_is_refused_costs_less_than_what_is_said() -> None:
    world = await limited(messages_per_second=100, burst_seconds=1, room_messages_per_second=0)
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    costs = []
    for kind in ("said", "refused"):
        alice.take()
        costs.append(await calls_of(bob.send(*(say(kind, id_=f"{number}") for number in range(100)))))
        assert len(texts(alice)) == (100 if kind == "said" else 0)
    assert costs[1] < costs[0], costs
    await world.stop()


async def test_a_crowd_does_not_keep_those_from_speaking_who_have_said_little() -> None:
    world = await limited(messages_per_second=2, burst_seconds=10, room_messages_per_second=4)
    alice = await occupant(world, "alice", "Alice")
    crowd = [await occupant(world, f"user{number}", f"User {number}") for number in range(8)]
    for client in crowd:
        await client.send(*(say("noise", id_=f"{number}") for number in range(15)))
    assert len(texts(alice)) <= 40
    refused = [told(each) for client in crowd for each in errors(client)]
    assert refused[-1][:2] == ("resource-constraint", "wait")
    assert refused[-1][2].startswith("the room takes 4 messages a second in all: wait ")
    await alice.send(say("order!"))
    assert texts(alice) == [("Alice", "order!")]
    await world.stop()


async def test_a_large_message_counts_as_several() -> None:
    world = await limited(messages_per_second=1, burst_seconds=5)
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    await bob.send(say("x" * 100_000), say("y"), say("z", id_="3"))
    assert [len(text or "") for _, text in texts(alice)] == [100_000, 1]
    assert [each.get("id") for each in errors(bob)] == ["3"]
    await world.advance(60)
    await bob.send(say("x" * 240_000))  # as many as there can be at once
    assert len(texts(alice)) == 1
    await world.stop()


async def test_private_messages_count_as_others_do() -> None:
    world = await limited(messages_per_second=1, burst_seconds=3)
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    whisper = f"<message to='{ROOM}/Alice' type='chat' id='w'><body>psst</body></message>"
    await bob.send(whisper, whisper, whisper, whisper)
    assert len(alice.take("message")) == 3
    assert [told(each)[0] for each in errors(bob)] == ["resource-constraint"]
    await world.stop()


async def test_somebody_enters_rooms_as_often_as_he_may() -> None:
    world = await limited(joins_per_minute=3, presences_per_minute=100)
    alice = await occupant(world, "alice", "Alice")
    bob = await world.login("bob@localhost/phone")
    for _ in range(3):
        await enter(bob, "Bob")
        await bob.send(f"<presence to='{ROOM}/Bob' type='unavailable'/>")
    bob.take()
    [error] = await enter(bob, "Bob")
    assert told(error)[2:] == ("you may enter 3 rooms a minute: wait 20 seconds", 20)
    assert shown((await enter(await world.login("carol@localhost/phone"), "Carol"))[-2])[0] == "Carol"
    alice.take()
    await world.advance(20)
    assert shown((await enter(bob, "Bob"))[-2])[0] == "Bob"
    await world.stop()


async def test_a_crowd_does_not_keep_members_from_entering() -> None:
    world = await limited(room_joins_per_minute=6)
    alice = await occupant(world, "alice", "Alice")
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    crowd = [await world.login(f"user{number}@localhost/phone") for number in range(4)]
    got = [await enter(client, f"User {number}") for number, client in enumerate(crowd)]
    assert told(got[-1][0])[2] == "the room is entered 6 times a minute at most: wait 10 seconds"
    assert [condition(each[0]) for each in got[:2]] == ["", ""]
    bob = await world.login("bob@localhost/phone")
    assert shown((await enter(bob, "Bob"))[-2])[2] == "member/participant"
    await world.stop()


async def test_passwords_are_not_guessed_fast() -> None:
    world = await limited(presences_per_minute=5)
    alice = await occupant(world, "alice", "Alice")
    await owner(alice, form(passwordprotectedroom="1", roomsecret="open"))
    bob = await world.login("bob@localhost/phone")
    guesses = [(await enter(bob, "Bob", password=f"{number}"))[0] for number in range(6)]
    assert [condition(each) for each in guesses] == ["not-authorized"] * 5 + ["resource-constraint"]
    assert condition((await enter(bob, "Bob", password="open"))[0]) == "resource-constraint"
    await world.advance(12)
    assert shown((await enter(bob, "Bob", password="open"))[-2])[0] == "Bob"
    await world.stop()


async def test_presence_and_names_change_as_often_as_they_may() -> None:
    world = await limited(presences_per_minute=4, nick_changes_per_minute=2)
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    away = f"<presence to='{ROOM}/Bob'><show>away</show></presence>"
    await bob.send(away, away, away, away)
    assert len(alice.take("presence")) == 3
    assert [told(each)[2] for each in errors(bob)] == [
        "you may enter or change your presence here 4 times a minute: wait 15 seconds"
    ]
    await bob.send(*(f"<presence to='{ROOM}/Bob{number}'/>" for number in range(3)))
    assert [told(each)[2] for each in errors(bob)] == [
        "you may change your name 2 times a minute here: wait 30 seconds"
    ]
    names = [shown(each)[0] for each in alice.take("presence") if not each.get("type")]
    assert names == ["Bob0", "Bob1"]
    await world.stop()


async def test_somebody_makes_as_many_rooms_as_he_may_own() -> None:
    world = await limited(max_rooms_owned=2)
    alice, bob = await world.login("alice@localhost/phone"), await world.login("bob@localhost/phone")
    rooms = [f"room{number}@conference.localhost" for number in range(4)]
    await alice.send(*(f"<presence to='{room}/A'><x xmlns='{ns.MUC}'/></presence>" for room in rooms))
    refused = errors(alice)
    assert [told(each)[:3] for each in refused] == [
        ("resource-constraint", "wait", "you would have 3 rooms; 2 are allowed")
    ] * 2
    # Who is given a room by somebody else can make his own all the same, until he enters it.
    await enter(bob, "B", room=rooms[3])
    await admin(bob, "<item jid='carol@localhost' affiliation='owner'/>", room=rooms[3])
    carol = await world.login("carol@localhost/phone")
    for room in ("c1@conference.localhost", "c2@conference.localhost"):
        assert shown((await enter(carol, "C", room=room))[0])[4] == ["110", "201"]
    gone = await owner(alice, "<destroy/>", room=rooms[0])
    assert condition(gone) == ""
    alice.take()
    assert shown((await enter(alice, "A", room="new@conference.localhost"))[0])[4] == ["110", "201"]
    await world.stop()


async def test_somebody_makes_rooms_as_fast_as_he_may() -> None:
    world = await limited(rooms_per_hour=2)
    alice = await world.login("alice@localhost/phone")
    got = [await enter(alice, "A", room=f"room{number}@conference.localhost") for number in range(3)]
    assert told(got[-1][0])[2:] == ("you may make 2 rooms an hour: wait 1800 seconds", 1800)
    await world.stop()


async def test_a_room_has_as_many_members_and_outcasts_as_it_may() -> None:
    world = await limited(max_members=3, max_outcasts=2)
    alice = await occupant(world, "alice", "Alice")
    two = "<item jid='a@localhost' affiliation='member'/><item jid='b@localhost' affiliation='admin'/>"
    one = "<item jid='c@localhost' affiliation='member'/>"
    assert condition(await admin(alice, two, one)) == "resource-constraint"
    assert condition(await admin(alice, two)) == ""
    refused = await admin(alice, one)
    assert told(refused)[2] == "the room would have 4 members; 3 are allowed"
    dave = await world.login("dave@localhost/phone")
    assert condition(await register(dave, name("Dave"))) == "resource-constraint"
    ban = "<item jid='{}@localhost' affiliation='outcast'/>"
    assert condition(await admin(alice, ban.format("x"), ban.format("y"))) == ""
    assert told(await admin(alice, ban.format("z")))[2] == "the room would have 3 outcasts; 2 are allowed"
    assert condition(await admin(alice, "<item jid='a@localhost' affiliation='none'/>", one)) == ""
    await world.stop()


async def test_one_request_changes_as_many_as_it_may() -> None:
    world = await limited(max_changes=3)
    alice = await occupant(world, "alice", "Alice")
    items = [f"<item jid='user{number}@localhost' affiliation='member'/>" for number in range(4)]
    refused = await admin(alice, *items)
    assert told(refused)[:3] == (
        "not-acceptable",
        "modify",
        "the request names 4 people; 3 are allowed: send several requests",
    )
    assert condition(await admin(alice, *items[:3])) == ""
    await world.stop()


@pytest.mark.parametrize(("option", "field"), [("max_room_name", "roomname"), ("max_room_desc", "roomdesc")])
async def test_name_and_description_are_as_long_as_they_may_be(option: str, field: str) -> None:
    world = await limited(**{option: 10})
    alice = await occupant(world, "alice", "Alice")
    assert condition(await owner(alice, form(**{field: "ten octets"}))) == ""
    refused = await owner(alice, form(**{field: "eleven octe"}))
    assert told(refused)[:2] == ("not-acceptable", "modify")
    assert told(refused)[2].endswith("would have 11 octets; 10 are allowed")
    await world.stop()


async def test_a_subject_is_as_long_as_it_may_be() -> None:
    world = await limited(max_subject=30)
    alice = await occupant(world, "alice", "Alice")
    subject = f"<message to='{ROOM}' type='groupchat'><subject>{{}}</subject></message>"
    alice.take()
    await alice.send(subject.format("Tea"), subject.format("Tea " * 10))
    told_all = alice.take("message")
    assert [each.text_of("subject") for each in told_all if each.get("type") == "groupchat"] == ["Tea"]
    assert told(told_all[0])[:3] == (
        "not-acceptable",
        "modify",
        "the subject would have 59 octets; 30 are allowed",
    )
    await world.stop()


async def test_nicknames_are_as_long_as_they_may_be_wherever_they_come_from() -> None:
    world = await limited(max_nick=8)
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    too_long = ("not-acceptable", "modify", "the name has 9 octets; 8 are allowed")
    carol = await world.login("carol@localhost/phone")
    assert told((await enter(carol, "Carolina!"))[0])[:3] == too_long
    bob.take()
    await bob.send(f"<presence to='{ROOM}/Robertson'/>")
    assert told(bob.take()[0])[:3] == too_long
    assert told(await register(bob, name("Robertson")))[:3] == too_long
    item = "<item jid='carol@localhost' affiliation='member' nick='Carolina!'/>"
    assert told(await admin(alice, item))[:3] == too_long
    await world.stop()


async def test_reasons_and_presences_are_as_long_as_they_may_be() -> None:
    world = await limited(max_reason=10, max_presence=100)
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    reason = f"<reason>{'x' * 11}</reason>"
    text = "the reason would have 11 octets; 10 are allowed"
    assert told(await admin(alice, f"<item nick='Bob' role='none'>{reason}</item>"))[2] == text
    assert told(await owner(alice, f"<destroy>{reason}</destroy>"))[2] == text
    alice.take()
    invitation = f"<x xmlns='{ns.MUC_USER}'><invite to='bob@localhost'>{reason}</invite></x>"
    await alice.send(f"<message to='{ROOM}'>{invitation}</message>")
    assert told(alice.take()[0])[2] == text
    bob.take()
    await bob.send(f"<presence to='{ROOM}/Bob'><status>{'x' * 100}</status></presence>")
    [error] = bob.take()
    assert told(error)[:3] == (
        "not-acceptable",
        "modify",
        "your presence would have 117 octets; 100 are allowed",
    )
    alice.take()
    goodbye = f"<status>{'x' * 100}</status>"
    await bob.send(f"<presence to='{ROOM}/Bob' type='unavailable'>{goodbye}</presence>")
    [left] = alice.take()
    assert (shown(left)[1], left.text_of("status")) == ("unavailable", None)  # who leaves is let go
    await world.stop()


async def test_somebody_invites_as_many_as_he_may() -> None:
    world = await limited(max_invitations=2, invitations_per_minute=3)
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await bob.send("<presence/>")
    bob.take()
    alice.take()

    def invite(count: int) -> str:
        each = "<invite to='bob@localhost'/>" * count
        return f"<message to='{ROOM}'><x xmlns='{ns.MUC_USER}'>{each}</x></message>"

    await alice.send(invite(3))
    assert told(alice.take()[0])[2] == "one message invites 2 people at most"
    await alice.send(invite(2), invite(2))
    assert told(alice.take()[0])[2] == "you may invite 3 people a minute: wait 20 seconds"
    assert len(bob.take("message")) == 2
    await world.stop()


async def test_the_limits_are_the_same_through_the_other_door() -> None:
    limits = RoomLimitsOptions(messages_per_second=1, burst_seconds=3, max_rooms_owned=1)
    world = await light.start(room_limits=limits)
    alice, bob = await light.people(world, "alice", "bob")
    assert (await light.create(alice, light.user("bob"))).get("type") == "result"
    refused = await light.create(alice, to="ward8@muclight.localhost")
    assert told(refused)[2] == "you would have 2 rooms; 1 are allowed"
    bob.take()
    alice.take()
    await bob.send(*(say("x", room=light.ROOM, id_=f"{number}") for number in range(5)))
    assert len(alice.take("message")) == 3
    assert [told(each)[0] for each in errors(bob)] == ["resource-constraint"] * 2
    await world.stop()
