"""Multicast: who gets a copy and sees what, who may not send, and when it counts as accepted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.archives import archived
from tests.harness.service import RemoteService
from tests.harness.world import World, WorldClient
from tests.messages.slow_ledger import SlowLedger
from tests.messages.slow_world import turns
from tidings.app.multicast import MULTICAST
from tidings.features.multicast import MulticastOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"
ORIGIN = f"<origin-id xmlns='{ns.STANZA_ID}' id='4e1c7a8f-0c55-4b0e-9d55-e7f3a0b1c2d3'/>"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(services=[MULTICAST], options={"multicast": MulticastOptions(max_addresses=3)})
    yield world
    await world.stop()


@pytest.fixture
async def alice(world: World) -> WorldClient:
    return await world.online(f"{ALICE}/phone")


def to(*jids: str, kind: str = "to", more: str = "") -> str:
    return "".join(f"<address type='{kind}' jid='{jid}'{more}/>" for jid in jids)


def message(addresses: str, *more: str, kind: str = "chat", body: str = "hello") -> str:
    inside = f"<addresses xmlns='{ns.ADDRESS}'>{addresses}</addresses>{''.join(more)}"
    return f"<message to='multicast.localhost' type='{kind}' id='m1'><body>{body}</body>{inside}</message>"


def condition(client: WorldClient) -> tuple[str, str]:
    [answer] = client.take("message")
    error = answer.find("error")
    assert error is not None, answer
    return error.children[0].name, answer.get("from") or ""


def seen(received: Element) -> list[tuple[str, str]]:
    [addresses] = received.find_all("addresses", ns.ADDRESS)
    return [(each.get("type") or "", each.get("jid") or "") for each in addresses.children]


async def test_both_sides_keep_each_copy_and_other_devices_have_it(world: World, alice: WorldClient) -> None:
    bob, carol = await world.online(f"{BOB}/desk"), await world.online(f"{CAROL}/desk")
    tablet = await world.online(f"{ALICE}/tablet")
    await tablet.request("<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    tablet.take()
    await alice.send(message(to(BOB, CAROL, BOB)))
    for client in (bob, carol):
        [received] = client.take("message")
        assert received.get("from") == f"{ALICE}/phone"
        assert received.text_of("body") == "hello"
    assert len(tablet.take("message")) == 2
    assert [each.text for each in await archived(world, ALICE)] == ["hello", "hello"]
    assert [each.text for each in await archived(world, BOB)] == ["hello"]
    assert alice.take("message") == []


async def test_a_blind_copy_is_seen_by_whoever_gets_it_alone(world: World, alice: WorldClient) -> None:
    bob, carol = await world.online(f"{BOB}/desk"), await world.online(f"{CAROL}/desk")
    dave = await world.online("dave@localhost/desk")
    await alice.send(message(to(BOB) + to(CAROL, "dave@localhost", kind="bcc")))
    for client, own in ((bob, []), (carol, [("bcc", CAROL)]), (dave, [("bcc", "dave@localhost")])):
        [received] = client.take("message")
        assert seen(received) == [("to", BOB), *own]


async def test_what_has_been_delivered_is_not_delivered_again(world: World, alice: WorldClient) -> None:
    bob, carol = await world.online(f"{BOB}/desk"), await world.online(f"{CAROL}/desk")
    await alice.send(message(to(BOB, more=" delivered='true'") + to(CAROL)))
    assert bob.take("message") == []
    assert len(carol.take("message")) == 1
    await alice.send(message(to(BOB, more=" delivered='true'")))
    assert condition(alice) == ("bad-request", "multicast.localhost")


async def test_the_same_message_again_is_the_same(world: World, alice: WorldClient) -> None:
    bob = await world.online(f"{BOB}/desk")
    await world.register(CAROL)
    for _ in range(2):
        await alice.send(message(to(BOB, CAROL), ORIGIN))
    assert len(bob.take("message")) == 1
    assert len(await archived(world, ALICE)) == 2


async def test_nobody_from_elsewhere_sends_through_it(world: World) -> None:
    bob = await world.online(f"{BOB}/desk")
    stranger = await world.online("eve@other.test/phone")
    await stranger.send(message(to(BOB)))
    assert condition(stranger) == ("forbidden", "multicast.localhost")
    far = RemoteService(world, "far.example")
    await far.send(
        message(to(BOB, "mallory@far.example")).replace("<message ", "<message from='eve@far.example' ")
    )
    [answer] = far.take("message")
    assert answer.get("type") == "error"
    assert bob.take("message") == []


async def test_people_elsewhere_get_copies_of_their_own(world: World, alice: WorldClient) -> None:
    far = RemoteService(world, "far.example")
    await alice.send(message(to("romeo@far.example", "juliet@far.example")))
    assert [each.get("to") for each in far.take("message")] == ["romeo@far.example", "juliet@far.example"]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (message(""), "bad-request"),
        (message(to(ALICE, kind="replyto")), "bad-request"),
        (message(to(*(f"{name}@localhost" for name in "abcd"))), "not-acceptable"),
        (message("<address type='to' desc='Bob'/>"), "jid-malformed"),
        (message(to(BOB) + "<address type='cc' uri='im:x@y'/>"), "jid-malformed"),
        (message(to(BOB, "@@")), "jid-malformed"),
        (message(to(BOB) + f"<address jid='{CAROL}'/>"), "bad-request"),
        (message(to(BOB, "multicast.localhost")), "bad-request"),
        (message(to(BOB, "x@multicast.localhost/y")), "bad-request"),
        (message(to(BOB), kind="groupchat"), "bad-request"),
    ],
)
async def test_what_cannot_go_to_all_goes_to_nobody(
    world: World, alice: WorldClient, text: str, refused: str
) -> None:
    bob = await world.online(f"{BOB}/desk")
    await alice.send(text)
    assert condition(alice) == (refused, "multicast.localhost")
    assert bob.take("message") == []
    assert await archived(world, ALICE) == []


async def test_who_blocks_the_sender_refuses_for_himself_alone(world: World, alice: WorldClient) -> None:
    bob, carol = await world.online(f"{BOB}/desk"), await world.online(f"{CAROL}/desk")
    await bob.request(
        f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block></iq>"
    )
    bob.take()
    await alice.send(message(to(BOB, CAROL)))
    assert condition(alice)[1] == BOB
    assert bob.take("message") == []
    assert len(carol.take("message")) == 1


async def test_it_is_accepted_when_all_copies_are_durable_which_one_commit_makes() -> None:
    ledger = SlowLedger()
    world = await World.start(ledger=ledger, services=[MULTICAST])
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await world.register(CAROL)
    await alice.manage()
    handled = alice.session.flow.handled
    alice.push(message(to(BOB, CAROL)))
    await turns(200)
    [batch] = ledger.batches
    assert len(batch.appends) == 2
    assert alice.session.flow.handled == handled
    assert bob.take("message") == []
    ledger.accept()
    await world.settle()
    assert alice.session.flow.handled == handled + 1
    assert len(bob.take("message")) == 1
    await world.stop()
