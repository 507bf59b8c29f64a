"""A second kind of entity, whose messages are one entry and reach all members: mailing lists.

What holds for accounts holds for it without a word about it in the pipeline: repeats, order, `h`, what guard
has read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.harness.archives import archived, unread
from tests.harness.mailing_lists import LISTS, join, kick
from tests.harness.service import RemoteService
from tests.harness.world import World, WorldClient
from tidings.app.compose import FEATURES
from tidings.base.jid import Jid
from tidings.kernel.events import MessageSubmitted
from tidings.kernel.feature import Feature, listens
from tidings.ports.ledger.reading import InboxQuery, PageQuery
from tidings.wire.xmpp import ns

ALL = "all@lists.localhost"
ALICE, BOB, CAROL, DAVE = (f"{name}@localhost" for name in ("alice", "bob", "carol", "dave"))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(("localhost",), services=(LISTS,))
    for account in (ALICE, BOB, CAROL, DAVE):
        await world.register(account)
    for member in (ALICE, BOB, CAROL):
        await join(world, ALL, member)
    yield world
    await world.stop()


def message(text: str, *, to: str = ALL, origin: str = "", id_: str = "1") -> str:
    known = f"<origin-id xmlns='{ns.STANZA_ID}' id='{origin}'/>" if origin else ""
    return f"<message to='{to}' type='chat' id='{id_}'><body>{text}</body>{known}</message>"


def heard(client: WorldClient) -> list[tuple[str | None, str]]:
    return [(each.get("from"), each.text_of("body")) for each in client.take("message")]


async def entries(world: World, archive: str) -> list[bytes]:
    page = await world.stores.ledger.page(Jid(archive), PageQuery())
    return [entry.body for entry in page.entries if b"<body>" in entry.body]


async def inbox(world: World, owner: str) -> dict[str, int]:
    found = await world.stores.ledger.inbox(Jid(owner), InboxQuery())
    return {row.peer: row.unread for row in found.rows}


async def test_a_message_is_one_entry_and_reaches_every_members_devices(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/phone")
    desk, dave = await world.online(f"{BOB}/desk"), await world.online(f"{DAVE}/phone")
    await alice.send(message("hello"))
    for client in (alice, bob, desk):
        [got] = client.take("message")
        assert (got.get("from"), got.get("to")) == (f"{ALL}/alice", client.jid)
        stanza_id = got.find("stanza-id", ns.STANZA_ID)
        assert stanza_id is not None
        assert stanza_id.get("by") == ALL
    assert heard(dave) == []
    assert len(await entries(world, ALL)) == 1
    assert await archived(world, ALICE) == await archived(world, BOB) == []


async def test_every_member_finds_it_in_the_inbox_and_the_sender_has_read_it(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    for number in range(3):
        await alice.send(message(f"text {number}"))
    assert [await inbox(world, owner) for owner in (ALICE, BOB, CAROL)] == [{ALL: 0}, {ALL: 3}, {ALL: 3}]
    assert await inbox(world, DAVE) == {}


async def test_the_same_sent_twice_is_kept_and_delivered_once(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/phone")
    await alice.send(message("hello", origin="a-long-enough-origin-id"))
    await alice.send(message("hello", origin="a-long-enough-origin-id", id_="2"))
    assert heard(bob) == [(f"{ALL}/alice", "hello")]
    assert len(await entries(world, ALL)) == 1


async def test_h_covers_what_is_committed(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await alice.manage()
    await alice.send(message("one"), message("two"), "<r xmlns='urn:xmpp:sm:3'/>")
    assert [answer.get("h") for answer in alice.take("a")][-1] == "2"
    assert len(await entries(world, ALL)) == 2


async def test_all_get_the_messages_in_the_order_of_the_archive(world: World) -> None:
    clients = [await world.online(f"{owner}/phone") for owner in (ALICE, BOB, CAROL)]
    for round_ in range(10):
        for client in clients:
            client.push(message(f"{client.jid.local} {round_}"))
    await world.settle()
    stored = [body.split(b"<body>")[1].split(b"</body>")[0].decode() for body in await entries(world, ALL)]
    assert len(stored) == 30
    for client in clients:
        assert [text for _, text in heard(client)] == stored


async def test_who_has_been_removed_sends_nothing_more_whatever_memory_says(world: World) -> None:
    bob, carol = await world.online(f"{BOB}/phone"), await world.online(f"{CAROL}/phone")
    await bob.send(message("still here"))
    carol.take()
    bob.take()
    await kick(world, ALL, BOB)
    await bob.manage()
    await bob.send(message("gone", id_="2"), "<r xmlns='urn:xmpp:sm:3'/>")
    [error] = bob.take("message")
    assert (error.get("type"), error.get("id")) == ("error", "2")
    assert bob.take("a")[-1].get("h") == "1"  # it was answered
    assert heard(carol) == []
    assert await inbox(world, BOB) == {}


class Hesitates(Feature):
    """Lets the test do something while a message is being decided about."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    @listens(MessageSubmitted)
    async def decide(self, event: MessageSubmitted) -> None:
        self.asked.set()
        await self.go_on.wait()


async def test_who_is_removed_while_the_message_is_decided_about_is_refused() -> None:
    world = await World.start(("localhost",), services=(LISTS,), features=(*FEATURES, Hesitates))
    for member in (ALICE, BOB):
        await world.register(member)
        await join(world, ALL, member)
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/phone")
    alice.push(message("hello"))
    feature = world.server.hosts["localhost"].feature(Hesitates)
    assert feature is not None
    async with asyncio.timeout(5):
        await feature.asked.wait()
    await kick(world, ALL, ALICE)
    feature.go_on.set()
    await world.settle()
    [error] = alice.take("message")
    assert error.get("type") == "error"
    assert heard(bob) == []
    assert await entries(world, ALL) == []
    await world.stop()


async def test_who_is_not_on_the_list_is_refused(world: World) -> None:
    dave = await world.online(f"{DAVE}/phone")
    await dave.send(message("let me in"))
    [error] = dave.take("message")
    assert error.get("type") == "error"
    assert await entries(world, ALL) == []


async def test_another_address_of_it_is_the_same_list(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/phone")
    await alice.send(message("hello", to="all+news@lists.localhost"))
    assert heard(bob) == [(f"{ALL}/alice", "hello")]
    assert len(await entries(world, ALL)) == 1
    assert await entries(world, "all+news@lists.localhost") == []


# --- third parties


async def test_a_private_message_through_it_tells_neither_side_the_others_address(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/phone")
    carol = await world.online(f"{CAROL}/phone")
    await alice.send(message("psst", to=f"{ALL}/bob"))
    assert heard(bob) == [(f"{ALL}/alice", "psst")]
    assert heard(carol) == []
    assert [(each.sender, each.to) for each in await archived(world, BOB)] == [(f"{ALL}/alice", BOB)]
    assert [(each.sender, each.to) for each in await archived(world, ALICE)] == [
        (f"{ALICE}/phone", f"{ALL}/bob")
    ]
    assert (await inbox(world, BOB))[f"{ALL}/alice"] == 1
    assert await entries(world, ALL) == []


async def test_the_person_behind_a_member_is_asked_whether_it_may_pass(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/phone")
    block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block>"
    await bob.request(f"<iq type='set' id='b'>{block}</iq>")
    bob.take()
    await alice.send(message("psst", to=f"{ALL}/bob"))
    [error] = alice.take("message")
    assert error.get("type") == "error"
    assert heard(bob) == []
    assert await archived(world, BOB) == []


async def test_members_elsewhere_get_it_too(world: World) -> None:
    far = RemoteService(world, "far.example")
    await join(world, ALL, "romeo@far.example")
    alice = await world.online(f"{ALICE}/phone")
    await alice.send(message("hello"))
    [got] = far.take("message")
    assert (got.get("from"), got.get("to")) == (f"{ALL}/alice", "romeo@far.example")


async def test_disco_finds_the_service_and_says_what_its_entities_are(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    query = "<iq type='get' to='{}' id='d'><query xmlns='http://jabber.org/protocol/disco#{}'/></iq>"
    items = await alice.request(query.format("localhost", "items"))
    assert [item.get("jid") for item in items.children[0].children] == ["lists.localhost"]
    for address in ("lists.localhost", ALL):
        info = await alice.request(query.format(address, "info"))
        [identity] = info.children[0].find_all("identity")
        assert (identity.get("category"), identity.get("type")) == ("conference", "list")
    nobody = await alice.request(query.format("none@lists.localhost", "info"))
    assert nobody.get("type") == "error"


async def test_what_accounts_say_to_each_other_stays_between_them(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/phone")
    await alice.send(message("hello", to=BOB))
    assert heard(bob) == [(f"{ALICE}/phone", "hello")]
    assert await unread(world, BOB) == {ALICE: 1, ALL: 0}
