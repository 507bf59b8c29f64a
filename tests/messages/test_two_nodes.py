"""A server of two nodes over one PostgreSQL: nobody can tell on which node somebody is."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.databases import Server, postgresql_server
from tests.harness.nodes import Nodes
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["postgresql_server"]

STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def url(postgresql_server: Server) -> Iterator[str]:
    """One database for all of these tests; each has people of its own."""
    made = postgresql_server.create_database()
    yield made
    postgresql_server.drop_database(made)


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[Nodes]:
    started = await Nodes.start(url)
    yield started
    await started.stop()


class People:
    """Alice and Bob of one test."""

    def __init__(self) -> None:
        number = next(_NUMBERS)
        self.alice = f"alice{number}@localhost"
        self.bob = f"bob{number}@localhost"


@pytest.fixture
def people() -> People:
    return People()


def chat(to: str, text: str, *, id_: str = "") -> str:
    return f"<message to='{to}' type='chat' id='{id_ or text}'><body>{text}</body></message>"


def bodies(elements: list[Element]) -> list[str]:
    found = [element.find("body", ns.CLIENT) for element in elements if element.name == "message"]
    return [body.text for body in found if body is not None]


def carbon_bodies(elements: list[Element], direction: str) -> list[str]:
    found = []
    for element in elements:
        wrapper = element.find(direction, ns.CARBONS)
        forwarded = None if wrapper is None else wrapper.find("forwarded", ns.FORWARD)
        message = None if forwarded is None else forwarded.find("message", ns.CLIENT)
        body = None if message is None else message.find("body", ns.CLIENT)
        if body is not None:
            found.append(body.text)
    return found


async def with_carbons(world: World, jid: str) -> WorldClient:
    client = await world.online(jid)
    await client.request("<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    client.take()
    return client


async def unread_of(world: World, owner: str, peer: str) -> int:
    assert world.stores.ledger is not None
    row = await world.stores.ledger.conversation(Jid(owner), Jid(peer))
    return 0 if row is None else row.unread


# --- messages


async def test_people_on_different_nodes_chat(nodes: Nodes, people: People) -> None:
    alice = await nodes.one.online(f"{people.alice}/phone")
    bob = await nodes.two.online(f"{people.bob}/desk")
    await alice.send(chat(people.bob, "hi"))
    await bob.send(chat(f"{people.alice}/phone", "hello"))
    await alice.send(chat(f"{people.bob}/desk", "how are you?"))
    assert bodies(bob.take()) == ["hi", "how are you?"]
    assert bodies(alice.take()) == ["hello"]


async def test_devices_on_both_nodes_see_both_sides(nodes: Nodes, people: People) -> None:
    alice = await nodes.one.online(f"{people.alice}/phone")
    phone = await with_carbons(nodes.one, f"{people.bob}/phone")
    desk = await with_carbons(nodes.two, f"{people.bob}/desk")
    await alice.send(chat(people.bob, "for all"), chat(f"{people.bob}/desk", "for the desk"))
    await desk.send(chat(people.alice, "from the desk"))
    await phone.send(chat(people.alice, "from the phone"))
    at_phone, at_desk = phone.take(), desk.take()
    assert bodies(at_phone) == ["for all"]
    assert carbon_bodies(at_phone, "received") == ["for the desk"]
    assert carbon_bodies(at_phone, "sent") == ["from the desk"]
    assert bodies(at_desk) == ["for all", "for the desk"]
    assert carbon_bodies(at_desk, "received") == []
    assert carbon_bodies(at_desk, "sent") == ["from the phone"]
    assert bodies(alice.take()) == ["from the desk", "from the phone"]


async def test_what_one_device_reads_is_read_on_both_nodes(nodes: Nodes, people: People) -> None:
    alice = await nodes.one.online(f"{people.alice}/phone")
    phone = await nodes.one.online(f"{people.bob}/phone")
    desk = await nodes.two.online(f"{people.bob}/desk")
    for device in (phone, desk):
        await device.send("<iq type='set' id='box'><inbox xmlns='erlang-solutions.com:xmpp:inbox:0'/></iq>")
        device.take()
    await alice.send(chat(people.bob, "one", id_="m1"), chat(people.bob, "two", id_="m2"))
    assert await unread_of(nodes.two, people.bob, people.alice) == 2
    phone.take()
    await desk.send(
        f"<message to='{people.alice}' type='chat' id='r1'>"
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='m2'/></message>"
    )
    assert await unread_of(nodes.one, people.bob, people.alice) == 0
    pushed = [element for element in phone.take("message") if element.find("x", ns.INBOX_CONVERSATION)]
    assert len(pushed) == 1


async def test_who_is_typing_is_seen_on_the_other_node_and_kept_nowhere(nodes: Nodes, people: People) -> None:
    alice = await nodes.one.online(f"{people.alice}/phone")
    bob = await nodes.two.online(f"{people.bob}/desk")
    await alice.send(
        f"<message to='{people.bob}' type='chat'><composing xmlns='{ns.CHAT_STATES}'/></message>"
    )
    [typing] = bob.take("message")
    assert typing.find("composing", ns.CHAT_STATES) is not None
    assert alice.take() == []
    await bob.leave()
    await alice.send(f"<message to='{people.bob}/desk' type='headline'><body>news</body></message>")
    assert alice.take() == []


# --- sessions


async def test_a_resource_has_one_session_on_all_nodes(nodes: Nodes, people: People) -> None:
    before = await nodes.one.online(f"{people.bob}/desk")
    alice = await nodes.one.online(f"{people.alice}/phone")
    after = await nodes.two.online(f"{people.bob}/desk")
    assert before.error is not None
    assert before.error.condition == "conflict"
    assert before.session.ended
    assert not after.session.ended
    await alice.send(chat(f"{people.bob}/desk", "who is there?"))
    assert bodies(after.take()) == ["who is there?"]
    assert bodies(before.take()) == []


async def test_a_request_for_a_device_reaches_it_on_the_other_node(nodes: Nodes, people: People) -> None:
    alice = await nodes.one.online(f"{people.alice}/phone")
    bob = await nodes.two.online(f"{people.bob}/desk")
    await alice.send(f"<iq type='get' id='v1' to='{people.bob}/desk'><query xmlns='jabber:iq:version'/></iq>")
    [asked] = bob.take("iq")
    assert asked.get("from") == f"{people.alice}/phone"
    await bob.send(
        f"<iq type='result' id='v1' to='{people.alice}/phone'><query xmlns='jabber:iq:version'/></iq>"
    )
    [answer] = alice.take("iq")
    assert (answer.get("type"), answer.get("from")) == ("result", f"{people.bob}/desk")
    refused = await alice.request(
        f"<iq type='get' id='v2' to='{people.bob}/gone'><query xmlns='jabber:iq:version'/></iq>"
    )
    assert refused.get("type") == "error"
    assert refused.find("error", ns.CLIENT).find("service-unavailable", STANZA_ERRORS) is not None


async def test_contacts_see_each_other_come_and_go_across_nodes(nodes: Nodes, people: People) -> None:
    alice = await nodes.one.online(f"{people.alice}/phone")
    bob = await nodes.two.online(f"{people.bob}/desk")
    await alice.request("<iq type='get' id='r0'><query xmlns='jabber:iq:roster'/></iq>")
    await alice.send(f"<presence type='subscribe' to='{people.bob}'/>")
    assert [each.get("type") for each in bob.take("presence")] == ["subscribe"]
    await bob.send(f"<presence type='subscribed' to='{people.alice}'/>")
    shown = {each.get("from"): each.get("type") for each in alice.take("presence")}
    assert shown == {people.bob: "subscribed", f"{people.bob}/desk": None}
    phone = await nodes.one.online(f"{people.bob}/phone")
    assert [each.get("from") for each in alice.take("presence")] == [f"{people.bob}/phone"]
    assert [each.get("from") for each in bob.take("presence")] == [f"{people.bob}/phone"]
    again = await nodes.two.login(f"{people.alice}/tablet")
    await again.send("<presence/>")
    senders = {each.get("from") for each in again.take("presence")}
    assert senders >= {f"{people.bob}/phone", f"{people.bob}/desk", f"{people.alice}/phone"}
    alice.take()
    await bob.leave()
    assert [(each.get("from"), each.get("type")) for each in alice.take("presence")] == [
        (f"{people.bob}/desk", "unavailable")
    ]
    assert [each.get("type") for each in phone.take("presence")] == ["unavailable"]


# --- what is cached of the stores


async def test_a_block_list_that_changes_on_one_node_holds_on_the_other(nodes: Nodes, people: People) -> None:
    alice = await nodes.one.online(f"{people.alice}/phone")
    phone = await nodes.one.online(f"{people.bob}/phone")
    desk = await nodes.two.online(f"{people.bob}/desk")
    await phone.request("<iq type='get' id='b0'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
    await desk.request(
        f"<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='{people.alice}'/></block></iq>"
    )
    [push] = phone.take("iq")
    assert push.find("block", "urn:xmpp:blocking") is not None
    typing = f"<message to='{people.bob}' type='chat'><composing xmlns='{ns.CHAT_STATES}'/></message>"
    await alice.send(typing, chat(people.bob, "hello?"))
    assert phone.take("message") == []
    assert desk.take("message") == []
    assert {each.get("type") for each in alice.take("message")} == {"error"}
    await phone.request("<iq type='set' id='b2'><unblock xmlns='urn:xmpp:blocking'/></iq>")
    await alice.send(chat(people.bob, "again"))
    assert bodies(phone.take()) == bodies(desk.take()) == ["again"]


async def test_a_roster_that_changes_on_one_node_is_the_same_on_the_other(
    nodes: Nodes, people: People
) -> None:
    phone = await nodes.one.online(f"{people.bob}/phone")
    desk = await nodes.two.online(f"{people.bob}/desk")
    await phone.request("<iq type='get' id='r0'><query xmlns='jabber:iq:roster'/></iq>")
    book = phone.session.account
    await desk.request(
        "<iq type='set' id='r1'><query xmlns='jabber:iq:roster'>"
        f"<item jid='{people.alice}' name='Alice'/></query></iq>"
    )
    [push] = phone.take("iq")
    assert push.find("query", ns.ROSTER).children[0].get("name") == "Alice"
    roster = await phone.request("<iq type='get' id='r2'><query xmlns='jabber:iq:roster'/></iq>")
    [item] = roster.find("query", ns.ROSTER).children
    assert item.get("jid") == people.alice
    assert phone.session.account is book


# --- a bus that loses, delays and reorders


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_bus_does_every_device_gets_every_message_once_in_order(
    url: str, people: People, seed: int
) -> None:
    nodes = await Nodes.start(url, loss=0.3, delay=0.3, seed=seed)
    alice_one = await with_carbons(nodes.one, f"{people.alice}/one")
    alice_two = await with_carbons(nodes.two, f"{people.alice}/two")
    phone = await with_carbons(nodes.one, f"{people.bob}/phone")
    desk = await with_carbons(nodes.two, f"{people.bob}/desk")
    await nodes.run(3)
    for device in (alice_one, alice_two, phone, desk):
        device.take()
    sent = []
    for number in range(12):
        sender = (alice_one, alice_two)[(number * 7 + seed) % 2]
        sent.append(f"message {number}")
        await sender.send(chat(people.bob, sent[-1]))
        if number % 3 == 0:
            await nodes.run(0.1)
    await nodes.run(8)
    assert nodes.hub.lost
    assert bodies(phone.take()) == sent
    assert bodies(desk.take()) == sent
    copied = [carbon_bodies(each.take(), "sent") for each in (alice_one, alice_two)]
    assert sorted(copied[0] + copied[1], key=sent.index) == sent
    assert copied[0] == sorted(copied[0], key=sent.index)
    assert copied[1] == sorted(copied[1], key=sent.index)
    assert await unread_of(nodes.one, people.bob, people.alice) == len(sent)
    assert nodes.hub.hub.nodes["one"].waiting == nodes.hub.hub.nodes["two"].waiting == 0
    await nodes.stop()


async def test_a_device_that_binds_while_nobody_has_heard_of_it_misses_nothing(
    url: str, people: People
) -> None:
    nodes = await Nodes.start(url, loss=1.0)
    desk = await nodes.two.online(f"{people.bob}/desk")
    await nodes.run(2)
    alice = await nodes.one.online(f"{people.alice}/phone")
    await alice.send(chat(people.bob, "lost on the way"))
    await nodes.run(1)
    assert bodies(desk.take()) == []
    nodes.hub.loss = 0.0
    await nodes.run(4)
    assert bodies(desk.take()) == ["lost on the way"]
    await nodes.stop()
