"""Rooms of a server of two nodes over one PostgreSQL: nobody can tell on which node somebody is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from tests.features.rooms.light import stage as light
from tests.features.rooms.stage import enter, say, shown, texts
from tests.harness.databases import Server, postgresql_server
from tests.harness.nodes import Nodes
from tests.harness.world import World, WorldClient
from tidings.app.rooms import MUC_LIGHT, ROOMS
from tidings.base.jid import Jid
from tidings.features.rooms.entrance import EntranceOptions
from tidings.messages.origin import Via
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

__all__ = ["postgresql_server"]

OPTIONS: dict[str, msgspec.Struct] = {"muc": msgspec.convert({"locks_new": False}, EntranceOptions)}
SERVICES = (ROOMS, MUC_LIGHT)
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def url(postgresql_server: Server) -> Iterator[str]:
    """One database for all of these tests; each has a room of its own."""
    made = postgresql_server.create_database()
    yield made
    postgresql_server.drop_database(made)


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[Nodes]:
    started = await Nodes.start(url, services=SERVICES, options=OPTIONS)
    yield started
    await started.stop()


@pytest.fixture
def room() -> str:
    return f"tea{next(_NUMBERS)}@conference.localhost"


async def occupant(world: World, name: str, nick: str, room: str) -> WorldClient:
    client = await world.online(f"{name}@localhost/phone")
    got = await enter(client, nick, room=room)
    assert [each.get("type") for each in got if each.name == "presence" and each.get("type")] == []
    return client


def presences(client: WorldClient) -> list[tuple[str, str, list[str]]]:
    """Give of whom presences are, of what type, and their status codes, since this was asked last."""
    found = [shown(each) for each in client.take("presence")]
    return [(nick, type_, codes) for nick, type_, _, _, codes in found]


async def test_occupants_of_both_nodes_see_each_other(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await nodes.two.online("omar@localhost/desk")
    got = await enter(omar, "Omar", room=room)
    assert [shown(each)[0] for each in got if each.name == "presence"] == ["Nina", "Omar"]
    assert shown(got[1])[4] == ["110"]
    assert presences(nina) == [("Omar", "", [])]
    await omar.send(f"<presence to='{room}/Omar'><show>away</show></presence>")
    [away] = nina.take("presence")
    assert away.text_of("show") == "away"
    await omar.send(f"<presence to='{room}/Oz'/>")
    assert presences(nina) == [("Omar", "unavailable", ["303"]), ("Oz", "", [])]
    omar.take()
    await nina.leave()
    assert presences(omar) == [("Nina", "unavailable", [])]


async def test_what_one_says_both_hear_once_in_one_order(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    nina.take()
    omar.take()
    nina.push(*(say(f"n{number}", room=room, id_=f"n{number}") for number in range(5)))
    omar.push(*(say(f"o{number}", room=room, id_=f"o{number}") for number in range(5)))
    await nodes.settle()
    ids = [
        [message.find("stanza-id", ns.STANZA_ID).get("id") for message in client.received]  # type: ignore[union-attr]
        for client in (nina, omar)
    ]
    heard = texts(nina)
    assert texts(omar) == heard
    assert ids[0] == ids[1]
    assert [text for nick, text in heard if nick == "Nina"] == [f"n{number}" for number in range(5)]
    assert [text for nick, text in heard if nick == "Omar"] == [f"o{number}" for number in range(5)]
    assert nodes.one.stores.ledger is not None
    page = await nodes.one.stores.ledger.page(Jid(room), PageQuery(limit=50))
    kept = [str(entry.id) for entry in page.entries if entry.body is not None and b"<body" in entry.body]
    assert kept == ids[0]


async def test_who_enters_on_the_other_node_is_shown_what_was_said(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await nina.send(say("before", room=room))
    omar = await nodes.two.online("omar@localhost/desk")
    got = await enter(omar, "Omar", room=room)
    assert [message.text_of("body") for message in got if message.find("body") is not None] == ["before"]
    answer = await omar.request(f"<iq type='set' id='q' to='{room}'><query xmlns='{ns.MAM2}'/></iq>")
    assert answer.get("type") == "result"
    assert len(omar.take("message")) == 1


async def test_private_messages_reach_the_other_node_and_both_archives(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    nina.take()
    await omar.send(f"<message to='{room}/Nina' type='chat' id='p1'><body>psst</body></message>")
    await nina.send(f"<message to='{room}/Omar' type='chat' id='p2'><body>yes?</body></message>")
    [to_nina] = nina.take("message")
    [to_omar] = omar.take("message")
    assert (to_nina.get("from"), to_nina.text_of("body")) == (f"{room}/Omar", "psst")
    assert (to_omar.get("from"), to_omar.text_of("body")) == (f"{room}/Nina", "yes?")
    await nina.send("<message to='omar@localhost' type='chat' id='p3'><body>by the way</body></message>")
    assert [each.text_of("body") for each in omar.take("message")] == ["by the way"]
    assert nodes.one.stores.ledger is not None
    for name in ("nina", "omar"):
        page = await nodes.one.stores.ledger.page(Jid(f"{name}@localhost"), PageQuery(limit=9, newest=True))
        bodies = [entry.body or b"" for entry in page.entries]
        assert any(b"psst" in body for body in bodies)
        assert any(b"yes?" in body for body in bodies)


async def test_a_request_to_an_occupant_finds_him_and_comes_back(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    nina.take()
    pong = await omar.request(f"<iq type='get' id='s' to='{room}/Omar'><ping xmlns='{ns.PING}'/></iq>")
    assert pong.get("type") == "result"
    nina.push(f"<iq type='get' id='v' to='{room}/Omar'><query xmlns='jabber:iq:version'/></iq>")
    await nodes.settle()
    [asked] = omar.take("iq")
    assert asked.get("from") == f"{room}/Nina"
    await omar.send(
        f"<iq type='result' id='{asked.get('id')}' to='{room}/Nina'><query xmlns='jabber:iq:version'/></iq>"
    )
    [answer] = nina.take("iq")
    assert (answer.get("from"), answer.get("id"), answer.get("type")) == (f"{room}/Omar", "v", "result")


async def test_a_kick_reaches_the_other_node_and_he_is_not_heard_any_more(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    await nina.send(
        f"<iq type='set' id='k' to='{room}'><query xmlns='{ns.MUC_ADMIN}'>"
        "<item nick='Omar' role='none'><reason>out</reason></item></query></iq>"
    )
    [(nick, type_, codes)] = presences(omar)
    assert (nick, type_, codes) == ("Omar", "unavailable", ["110", "307"])
    nina.take()
    await omar.send(say("still here?", room=room))
    [refused] = omar.take("message")
    assert refused.find("error").children[0].name == "not-acceptable"  # type: ignore[union-attr]
    assert texts(nina) == []


async def test_who_is_connected_elsewhere_administers_and_configures(nodes: Nodes, room: str) -> None:
    omar = await occupant(nodes.one, "omar", "Omar", room)
    nina = await occupant(nodes.two, "nina", "Nina", room)
    await omar.send(
        f"<iq type='set' id='a' to='{room}'><query xmlns='{ns.MUC_ADMIN}'>"
        "<item jid='nina@localhost' affiliation='owner'/></query></iq>"
    )
    assert shown(nina.take("presence")[-1])[2] == "owner/moderator"
    omar.take()
    answer = await nina.request(
        f"<iq type='set' id='c' to='{room}'><query xmlns='{ns.MUC_OWNER}'><x xmlns='jabber:x:data' "
        "type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
        "<field var='muc#roomconfig_roomname'><value>Tea</value></field></x></query></iq>"
    )
    assert answer.get("type") == "result"
    for client in (omar, nina):
        [told] = client.take("message")
        assert told.find("x", ns.MUC_USER).find("status").get("code") == "104"  # type: ignore[union-attr]
    info = await omar.request(
        f"<iq type='get' id='d' to='{room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    )
    assert info.children[0].find("identity").get("name") == "Tea"  # type: ignore[union-attr]
    refused = await nina.request(
        f"<iq type='set' id='b' to='{room}'><query xmlns='{ns.MUC_ADMIN}'>"
        "<item jid='nina@localhost' affiliation='outcast'/></query></iq>"
    )
    assert refused.get("type") == "error"


async def test_who_was_put_out_reads_the_archive_on_no_node(nodes: Nodes, room: str) -> None:
    """Whatever the bus loses: a node that has not heard of it looks before it answers."""
    address = room.replace("conference", "muclight")
    nina = await nodes.one.online("nina@localhost/phone")
    omar = await nodes.two.online("omar@localhost/desk")
    await light.create(nina, light.user("omar"), to=address)
    await nina.send(light.say("hello", to=address))
    omar.take()
    query = f"<iq type='set' id='q' to='{address}'><query xmlns='{ns.MAM2}'/></iq>"
    answer = await omar.request(query)
    assert answer.get("type") == "result"
    assert any(b"hello" in each.to_bytes(ns.CLIENT) for each in omar.take("message"))
    nodes.hub.loss = 1.0
    nina.push(light.query("set", "affiliations", light.user("omar", "none"), to=address))
    await nodes.settle()
    refused = await omar.request(query)
    assert refused.get("type") == "error"
    nodes.hub.loss = 0.0
    await nodes.run(3)


async def test_an_operation_hears_what_became_of_what_it_sends(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await nodes.two.online("omar@localhost/desk")
    router = nodes.two.router
    message = Stanza.build(
        "message",
        kind="groupchat",
        sender=Jid("omar@localhost/desk"),
        to=Jid(room),
        content=(Element("body", ns.CLIENT, None, "hi"),),
    )
    work = asyncio.get_running_loop().create_task(
        router.send(router.origin_of(Jid("omar@localhost"), Via.OPERATION), [message])
    )
    await nodes.settle()
    [outcome] = work.result()
    assert outcome.error is not None
    assert outcome.error.condition == "not-acceptable"
    assert texts(nina) == []


async def test_who_loses_his_node_leaves_the_room(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await occupant(nodes.two, "omar", "Omar", room)
    nina.take()
    await nodes.kill(nodes.two)
    await nodes.run(2)
    assert presences(nina) == [("Omar", "unavailable", ["333"])]


async def test_a_room_moves_when_its_node_dies(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    await nina.send(say("kept", room=room))
    omar.take()
    await nodes.kill(nodes.one)
    [(nick, type_, codes)] = presences(omar)
    assert (nick, type_, codes) == ("Omar", "unavailable", ["110", "332"])
    got = await enter(omar, "Omar", room=room)
    assert [shown(each)[0] for each in got if each.name == "presence"] == ["Omar"]
    assert [message.text_of("body") for message in got if message.find("body") is not None] == ["kept"]
    await omar.send(say("goes on", room=room))
    assert texts(omar) == [("Omar", "goes on")]


async def test_a_node_that_stops_gives_its_rooms_up(nodes: Nodes, room: str) -> None:
    await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    await nodes.one.server.stop(0)
    await nodes.settle()
    assert presences(omar)[-1] == ("Omar", "unavailable", ["110", "332"])
    await enter(omar, "Omar", room=room)
    await omar.send(say("goes on", room=room))
    assert texts(omar) == [("Omar", "goes on")]


async def test_an_owner_who_has_lost_its_seat_says_nothing_more(nodes: Nodes, room: str) -> None:
    """A node that was paused does not know that its claims have run out, until it looks."""
    nina = await occupant(nodes.one, "nina", "Nina", room)
    omar = await occupant(nodes.two, "omar", "Omar", room)
    deaf, told = nodes.table.nodes["one"], nodes.table.nodes["one"].on_change
    deaf.on_change = None
    claim = nodes.table.bound[Jid(room)][""]
    assert nodes.table.nodes["two"].release(Jid(room), "", claim.id)
    nodes.table.tell(Jid(room), deaf)
    await nodes.settle()
    assert presences(omar)[-1] == ("Omar", "unavailable", ["110", "332"])
    await enter(omar, "Omar", room=room)
    omar.take()
    await nina.send(say("am I still the owner?", room=room))
    assert texts(omar) == []
    assert [each.get("type") for each in nina.take("message")] == ["error"]
    assert presences(nina)[-1] == ("Nina", "unavailable", ["110", "332"])
    deaf.on_change = told
    got = await enter(nina, "Nina", room=room)
    assert [shown(each)[0] for each in got if each.name == "presence"] == ["Omar", "Nina"]
    await nina.send(say("no", room=room))
    assert texts(omar) == [("Nina", "no")]


async def test_a_room_that_nobody_needs_is_given_up(nodes: Nodes, room: str) -> None:
    nina = await occupant(nodes.one, "nina", "Nina", room)
    await nodes.run(150)
    assert nodes.table.bound[Jid(room)][""].node == "one"
    await nina.send(f"<presence type='unavailable' to='{room}/Nina'/>")
    await nodes.run(150)
    assert Jid(room) not in nodes.table.bound
    omar = await occupant(nodes.two, "omar", "Omar", room)
    assert nodes.table.bound[Jid(room)][""].node == "two"
    await omar.send(say("alone", room=room))
    assert texts(omar) == [("Omar", "alone")]


async def test_members_by_muc_light_get_live_copies_on_every_node(nodes: Nodes, room: str) -> None:
    address = room.replace("conference", "muclight")
    nina = await nodes.one.online("nina@localhost/phone")
    omar = await nodes.two.online("omar@localhost/desk")
    answer = await light.create(nina, light.user("omar"), to=address)
    assert answer.get("type") == "result"
    [added] = omar.take("message")
    assert added.get("from") == address
    nina.take()
    await nina.send(light.say("hello", to=address))
    await omar.send(light.say("hi", to=address, id_="m2"))
    expected = [(f"{address}/nina@localhost", "hello"), (f"{address}/omar@localhost", "hi")]
    assert light.texts(nina) == expected
    assert light.texts(omar) == expected
    await light.change(nina, light.user("omar", "none"), to=address)
    assert len(omar.take("message")) == 1
    await nina.send(light.say("alone", to=address, id_="m3"))
    assert light.texts(omar) == []
    await omar.send(light.say("me too?", to=address, id_="m4"))
    assert [each.get("type") for each in omar.take("message")] == ["error"]


async def test_both_doors_are_open_on_both_nodes(nodes: Nodes, room: str) -> None:
    address = room.replace("conference", "muclight")
    nina = await nodes.one.online("nina@localhost/phone")
    omar = await nodes.two.online("omar@localhost/desk")
    tablet = await nodes.one.online("omar@localhost/tablet")
    await light.create(nina, light.user("omar"), to=address)
    await enter(omar, "Omar", room=room)
    for client in (nina, omar, tablet):
        client.take()
    await nina.send(light.say("to all", to=address))
    assert light.texts(nina) == [(f"{address}/nina@localhost", "to all")]
    assert light.texts(omar) == [(f"{room}/nina@localhost", "to all")]
    assert light.texts(tablet) == [(f"{address}/nina@localhost", "to all")]
