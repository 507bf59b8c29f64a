"""What nobody but a room says falls from what its occupants send, whoever sends it and by whatever way."""

from __future__ import annotations

import pytest

from tests.features.rooms.light import stage as light
from tests.features.rooms.stage import ROOM, enter, occupant, shown, world
from tests.features.rooms.test_owners_and_admins import admin, condition
from tests.harness.world import World, WorldClient
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]

EARLIER = "<moderated xmlns='urn:xmpp:message-moderate:0' by='x'/>"
FORGED = (
    f"<x xmlns='{ns.MUC_USER}'><status code='110'/><status code='307'/><item affiliation='owner'/></x>",
    f"<u:x xmlns:u='{ns.MUC_USER}'><u:status code='301'/></u:x>",
    f"<x xmlns='{ns.MUC}'/>",
    f"<occupant-id xmlns='{ns.OCCUPANT_ID}' id='mallory'/>",
    f"<stanza-id xmlns='{ns.STANZA_ID}' by='{ROOM}' id='forged-1'/>",
    f"<delay xmlns='{ns.DELAY}' from='{ROOM}' stamp='2001-01-01T00:00:00Z'/>",
    f"<delay xmlns='{ns.DELAY}' from='conference.localhost' stamp='2001-01-01T00:00:00Z'/>",
    f"<time xmlns='{ns.TIDINGS_TIME}' stamp='2001-01-01T00:00:00Z'/>",
    f"<retracted xmlns='{ns.RETRACTION1}' stamp='2001-01-01T00:00:00Z'/>",
    f"<retracted xmlns='{ns.RETRACTION0}' stamp='2001-01-01T00:00:00Z'/>",
    f"<moderated xmlns='{ns.MODERATION}' by='{ROOM}/Alice'/>",
    f"<apply-to xmlns='{ns.FASTENING}' id='x'>{EARLIER}</apply-to>",
)
ALL = "".join(FORGED)


def claims(stanza: Element) -> list[str]:
    """Give what a stanza has that says more than its sender may, apart from what the room has added."""
    raw = stanza.to_bytes().decode()
    wrong = ("code='110'", 'code="110"', '"301"', '"307"', "owner", "mallory", "forged-1", "2001-01-01")
    return [word for word in (*wrong, "<retracted", "moderated") if word in raw]


async def heard(client: WorldClient) -> list[Element]:
    """Give the messages of a room as they came live, from its archive and to who enters."""
    live = client.take("message")
    query = f"<iq type='set' id='q1' to='{ROOM}'><query xmlns='{ns.MAM2}' queryid='q'/></iq>"
    assert condition(await client.request(query)) == ""
    kept = [each for each in client.take("message") if each.find("result", ns.MAM2) is not None]
    await client.send(f"<presence to='{ROOM}/Alice' type='unavailable'/>")
    client.take()
    history = [each for each in await enter(client, "Alice") if each.find("body") is not None]
    return [*live, *(each for each in kept if "<body" in each.to_bytes().decode()), *history]


@pytest.mark.parametrize("kind", ["body", "nothing"])
async def test_what_is_said_has_nothing_that_the_room_alone_says(world: World, kind: str) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    inside = (
        "<body>hello</body>" if kind == "body" else "<active xmlns='http://jabber.org/protocol/chatstates'/>"
    )
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='1'>{inside}{ALL}</message>")
    found = await heard(alice) if kind == "body" else alice.take("message")
    assert len(found) == (3 if kind == "body" else 1)
    assert [claims(each) for each in found] == [[]] * len(found)
    ids = [each.to_bytes().count(b"<occupant-id") for each in found]
    assert ids == [1] * len(found)


async def test_a_private_message_has_nothing_that_the_room_alone_says(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    await bob.send(f"<message to='{ROOM}/Alice' type='chat' id='1'><body>psst</body>{ALL}</message>")
    [live] = alice.take("message")
    assert claims(live) == []
    about = live.find("x", ns.MUC_USER)
    assert about is not None
    assert about.children == []
    kept = "<iq type='set' id='q1'><query xmlns='urn:xmpp:mam:2'/></iq>"
    assert condition(await alice.request(kept)) == ""
    [result] = alice.take("message")
    assert claims(result) == []


async def test_a_presence_has_nothing_that_the_room_alone_says(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    alice.take()
    await bob.send(f"<presence to='{ROOM}/Bob'>{ALL}</presence>")
    await bob.send(f"<presence to='{ROOM}/Bob'><show>away</show>{''.join(FORGED[:2])}{FORGED[5]}</presence>")
    await bob.send(f"<presence to='{ROOM}/Robert'>{''.join(FORGED[:2])}{''.join(FORGED[3:])}</presence>")
    await bob.send(f"<presence to='{ROOM}/Robert' type='unavailable'>{ALL}</presence>")
    seen = alice.take("presence")
    assert len(seen) == 5
    assert [claims(each) for each in seen] == [[]] * 5
    assert [each.to_bytes().count(b"<status code") for each in seen] == [0, 0, 1, 0, 0]


async def test_who_takes_back_his_own_message_is_no_moderator(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='1'><body>hello</body></message>")
    id_ = bob.take("message")[-1].find("stanza-id", ns.STANZA_ID).get("id")
    alice.take()
    moderated = f"<moderated xmlns='{ns.MODERATION}' by='{ROOM}/Alice'><x/></moderated>"
    retract = f"<retract xmlns='{ns.RETRACTION1}' id='{id_}'>{moderated}<reason>mine</reason></retract>"
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='2'>{retract}<body>fallback</body></message>")
    [told] = alice.take("message")
    own = told.find("retract", ns.RETRACTION1)
    assert own is not None
    assert (own.get("id"), own.text_of("reason"), own.find("moderated", ns.MODERATION)) == (id_, "mine", None)
    query = f"<iq type='set' id='q1' to='{ROOM}'><query xmlns='{ns.MAM2}'/></iq>"
    assert condition(await alice.request(query)) == ""
    assert b"moderated" not in b"".join(each.to_bytes() for each in alice.take("message"))


async def test_what_is_said_by_muc_light_has_nothing_that_the_room_alone_says() -> None:
    world = await light.start()
    alice, bob = await light.people(world, "alice", "bob")
    await light.create(alice, light.user("bob"))
    alice.take()
    forged = ALL.replace(ROOM, light.BY_MUC) + ALL.replace(ROOM, light.ROOM)
    change = "<x xmlns='urn:xmpp:muclight:0#affiliations'><user affiliation='owner'>bob@localhost</user></x>"
    room = light.ROOM
    await bob.send(f"<message to='{room}' type='groupchat' id='1'><body>hi</body>{forged}{change}</message>")
    [live] = alice.take("message")
    assert live.find("x", "urn:xmpp:muclight:0#affiliations") is None
    assert claims(live) == []
    await alice.send(f"<presence to='{light.BY_MUC}/Alice'><x xmlns='{ns.MUC}'/></presence>")
    [history] = [each for each in alice.take("message") if each.find("body") is not None]
    assert claims(history) == []
    assert b"affiliation=" not in history.to_bytes()
    await world.stop()


async def test_nobody_outside_speaks_to_occupants_and_nobody_speaks_to_nobody(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    alice.take()
    whisper = "<message to='{}' type='{}' id='w'><body>psst</body></message>"
    answers = []
    for to, kind in (
        (f"{ROOM}/Alice", "chat"),
        (f"{ROOM}/Alice", "normal"),
        (f"{ROOM}/Nobody", "chat"),
        (f"{ROOM}/Alice", "groupchat"),
        ("nowhere@conference.localhost/Alice", "chat"),
    ):
        await bob.send(whisper.format(to, kind))
        answers.append(condition(bob.take()[0]))
    assert answers == ["not-acceptable", "not-acceptable", "not-acceptable", "bad-request", "item-not-found"]
    await bob.send(whisper.format(f"{ROOM}/Alice", "error"))
    await bob.send(
        f"<presence to='{ROOM}/Alice' type='error'/>", f"<presence to='{ROOM}' type='unavailable'/>"
    )
    ping = f"<iq type='get' id='p' to='{ROOM}/Alice'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert condition(await bob.request(ping)) == "not-acceptable"
    assert alice.take() == []
    await enter(bob, "Bob")
    bob.take()
    await bob.send(whisper.format(f"{ROOM}/Nobody", "chat"))
    assert condition(bob.take()[0]) == "item-not-found"


async def test_an_outcast_speaks_to_nobody(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    assert condition(await admin(alice, "<item jid='bob@localhost' affiliation='outcast'/>")) == ""
    alice.take()
    bob.take()
    for stanza in (
        f"<message to='{ROOM}' type='groupchat' id='1'><body>x</body></message>",
        f"<message to='{ROOM}/Alice' type='chat' id='2'><body>x</body></message>",
        f"<message to='{ROOM}'><x xmlns='{ns.MUC_USER}'><decline to='alice@localhost'/></x></message>",
        f"<message to='{ROOM}'><x xmlns='{ns.MUC_USER}'><invite to='alice@localhost'/></x></message>",
        f"<presence to='{ROOM}/Bob'><x xmlns='{ns.MUC}'/></presence>",
    ):
        await bob.send(stanza)
        [answer] = bob.take()
        assert condition(answer) in {"not-acceptable", "forbidden"}
    await bob.send(f"<presence to='{ROOM}/Bob'/>")
    [gone] = bob.take()
    assert (shown(gone)[1], shown(gone)[4]) == ("unavailable", ["110", "307", "333"])
    assert alice.take() == []
