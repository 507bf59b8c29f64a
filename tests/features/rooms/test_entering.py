"""Entering rooms, being shown there, going by another name, and leaving (XEP-0045 §7)."""

from __future__ import annotations

import asyncio

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start, texts, world
from tests.harness.world import World
from tidings.wire.xmpp import ns

__all__ = ["world"]


async def test_who_enters_first_makes_the_room_and_owns_it(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    presence, subject = await enter(alice, "Alice")
    assert shown(presence) == ("Alice", "", "owner/moderator", "alice@localhost/phone", ["110", "201"])
    assert (subject.name, subject.get("from"), subject.get("type")) == ("message", ROOM, "groupchat")
    assert subject.text_of("subject") == ""


async def test_who_enters_is_shown_everybody_and_shown_to_everybody(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    bob = await world.login("bob@localhost/phone")
    first, own, subject = await enter(bob, "Bob")
    assert shown(first) == ("Alice", "", "owner/moderator", None, [])
    assert shown(own) == ("Bob", "", "none/participant", None, ["110"])
    assert subject.name == "message"
    [seen] = alice.take()
    assert shown(seen) == ("Bob", "", "none/participant", "bob@localhost/phone", [])
    assert seen.find("occupant-id", ns.OCCUPANT_ID) is not None


async def test_what_is_said_reaches_everybody_with_its_place_in_the_archive(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    await alice.send(say("hello"))
    for client in (alice, bob):
        [message] = client.take()
        assert message.text_of("body") == "hello"
        assert (message.get("from"), message.get("to")) == (f"{ROOM}/Alice", client.jid)
        stanza_id = message.find("stanza-id", ns.STANZA_ID)
        assert stanza_id is not None
        assert stanza_id.get("by") == ROOM


async def test_who_is_not_in_the_room_says_nothing_there(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await bob.send(say("hello"))
    [error] = bob.take()
    assert error.find("error").find("not-acceptable", ns.STANZA_ERRORS) is not None
    assert texts(alice) == []


async def test_who_enters_is_sent_what_was_said_before(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    for number in range(30):
        await alice.send(say(f"text {number}"))
    bob = await world.login("bob@localhost/phone")
    got = await enter(bob, "Bob")
    history = [each for each in got if each.find("body") is not None]
    assert [each.text_of("body") for each in history] == [f"text {number}" for number in range(10, 30)]
    assert {each.find("delay", ns.DELAY).get("from") for each in history} == {ROOM}  # §7.2.13
    assert got[-1].find("subject") is not None
    carol = await world.login("carol@localhost/phone")
    got = await enter(carol, "Carol", history="<history maxstanzas='2'/>")
    assert [each.text_of("body") for each in got if each.find("body") is not None] == ["text 28", "text 29"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_long_messages_fill_neither_the_memory_nor_who_enters(world: World, *, restarts: bool) -> None:
    alice = await occupant(world, "alice", "Alice")
    for number in range(5):
        await alice.send(say(f"{number}{'x' * 100_000}"))
    if restarts:
        await world.restart()
    got = await enter(await world.login("bob@localhost/phone"), "Bob")
    assert [text[0] for each in got if (text := each.text_of("body"))] == ["3", "4"]


async def test_a_name_is_one_persons(world: World) -> None:
    await occupant(world, "alice", "Alice")
    bob = await world.login("bob@localhost/phone")
    [error] = await enter(bob, "Alice")
    assert error.get("type") == "error"
    assert error.find("error").find("conflict", ns.STANZA_ERRORS) is not None


async def test_several_devices_of_a_person_share_a_name(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    desk = await world.login("alice@localhost/desk")
    await enter(desk, "Alice")
    bob = await occupant(world, "bob", "Bob")
    await bob.send(say("hello"))
    assert texts(alice) == texts(desk) == [("Bob", "hello")]
    alice.take()
    bob.take()
    await alice.send(f"<presence to='{ROOM}/Alice' type='unavailable'/>")
    assert [shown(each)[:2] for each in alice.take()] == [("Alice", "unavailable")]
    assert [shown(each)[:2] for each in bob.take()] == [("Alice", "")]
    await bob.send(say("still there?"))
    assert texts(desk) == [("Bob", "still there?")]
    assert texts(alice) == []


async def test_another_name_is_told_to_everybody(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    await bob.send(f"<presence to='{ROOM}/Robert'/>")
    gone, new = alice.take()
    assert shown(gone) == ("Bob", "unavailable", "none/participant", "bob@localhost/phone", ["303"])
    item = gone.find("x", ns.MUC_USER).find("item")
    assert item.get("nick") == "Robert"
    assert shown(new) == ("Robert", "", "none/participant", "bob@localhost/phone", [])
    gone, new = bob.take()
    assert (shown(gone)[4], shown(new)[4]) == (["110", "303"], ["110"])
    await alice.send(say("hello"))
    assert texts(bob) == [("Alice", "hello")]


async def test_who_leaves_is_told_so_and_so_are_the_others(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    await bob.send(f"<presence to='{ROOM}/Bob' type='unavailable'><status>bye</status></presence>")
    [seen] = alice.take()
    assert shown(seen)[:3] == ("Bob", "unavailable", "none/none")
    assert seen.text_of("status") == "bye"
    [own] = bob.take()
    assert shown(own) == ("Bob", "unavailable", "none/none", "bob@localhost/phone", ["110"])


async def test_whose_session_ends_leaves(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    await bob.manage()
    await bob.lose()
    assert alice.take() == []  # it may come back
    await world.advance(3_600)
    await world.settle()
    assert [shown(each)[:2] for each in alice.take()] == [("Bob", "unavailable")]


async def test_a_history_is_limited_by_characters_and_not_by_octets(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await alice.send(say("ä" * 1_000), say("é" * 1_000))
    got = await enter(bob, "Bob", history="<history maxchars='1600'/>")
    assert [text[0] for each in got if (text := each.text_of("body"))] == ["é"]


async def test_who_may_not_make_rooms_is_told_so() -> None:
    world = await start(create="admins")
    [error] = await enter(await world.login("bob@localhost/phone"), "Bob")
    assert error.find("error").find("not-allowed", ns.STANZA_ERRORS) is not None
    await world.stop()


async def test_a_room_of_more_than_it_takes_is_full() -> None:
    world = await start(max_occupants=2)
    for name in ("alice", "bob"):
        await occupant(world, name, name)
    carol = await world.login("carol@localhost/phone")
    [error] = await enter(carol, "Carol")
    assert error.find("error").find("service-unavailable", ns.STANZA_ERRORS) is not None
    await world.stop()


async def test_a_room_outlives_the_server_with_its_history(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("hello"), f"<message to='{ROOM}' type='groupchat'><subject>Tea</subject></message>")
    await world.restart()
    bob = await world.login("bob@localhost/phone")
    got = await enter(bob, "Bob")
    assert [each.text_of("body") for each in got if each.find("body") is not None] == ["hello"]
    assert (got[-1].text_of("subject"), got[-1].get("from")) == ("Tea", f"{ROOM}/Alice")


async def test_a_time_in_the_name_of_the_room_is_the_room_s_own(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    forged = f"<delay xmlns='{ns.DELAY}' from='{ROOM}' stamp='2001-01-01T00:00:00Z'/>"
    await alice.send(f"<message to='{ROOM}' type='groupchat'><body>old</body>{forged}</message>")
    got = await enter(await world.login("bob@localhost/phone"), "Bob")
    [message] = [each for each in got if each.find("body") is not None]
    [delay] = message.find_all("delay", ns.DELAY)
    assert not (delay.get("stamp") or "").startswith("2001")


async def test_who_enters_sees_everybody_as_he_is_now(world: World) -> None:
    """What was written for who came before is not shown when it is not so any more."""
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await world.login("carol@localhost/phone")
    seen = []
    admin = f"<iq type='set' id='1' to='{ROOM}'><query xmlns='{ns.MUC_ADMIN}'>{{}}</query></iq>"
    steps = (
        (bob, f"<presence to='{ROOM}/Bob'><show>away</show></presence>"),
        (alice, admin.format("<item nick='Bob' role='visitor'/>")),
        (alice, admin.format("<item jid='bob@localhost' affiliation='member'/>")),
        (bob, f"<presence to='{ROOM}/Robert'/>"),
    )
    for client, stanza in ((alice, "<presence/>"), *steps):
        await client.send(stanza)
        presences = [each for each in await enter(carol, "Carol") if each.name == "presence"]
        [about] = [each for each in presences if shown(each)[0] in {"Bob", "Robert"}]
        seen.append((*shown(about)[:4], about.text_of("show")))
        await carol.send(f"<presence type='unavailable' to='{ROOM}/Carol'/>")
        carol.take()
    assert seen == [
        ("Bob", "", "none/participant", None, None),
        ("Bob", "", "none/participant", None, "away"),
        ("Bob", "", "none/visitor", None, "away"),
        ("Bob", "", "member/participant", None, "away"),
        ("Robert", "", "member/participant", None, None),
    ]
    await alice.send(admin.format("<item jid='carol@localhost' affiliation='admin'/>"))
    presences = [each for each in await enter(carol, "Carol") if each.name == "presence"]
    assert [shown(each)[3] for each in presences if shown(each)[0] == "Robert"] == ["bob@localhost/phone"]


async def test_who_is_gone_before_it_is_his_turn_is_not_in_the_room(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    clients = [await world.login(f"u{number}@localhost/phone") for number in range(8)]
    for number, client in enumerate(clients):
        client.push(f"<presence to='{ROOM}/u{number}'><x xmlns='{ns.MUC}'/></presence>")
    while not alice.take("presence"):  # the first one is in
        await asyncio.sleep(0)
    await clients[-1].leave()
    alice.take()
    await clients[0].send(say("hello"))
    for client in clients[:-1]:
        assert texts(client) == [("u0", "hello")]
    presences = [each for each in await enter(alice, "Alice") if each.name == "presence"]
    assert {shown(each)[0] for each in presences} == {"Alice", *(f"u{number}" for number in range(7))}
