"""Stories between this server and a domain that answers for itself, which takes its time."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.archives import archived, unread
from tests.harness.service import RemoteService
from tests.harness.world import World
from tests.messages.slow_ledger import SlowLedger
from tests.messages.slow_world import ledger, slow
from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind, Refused, Stale
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["ledger", "slow"]

ROMEO, BOB = "romeo@far.example", "bob@localhost"
HOUR = 3_600


@pytest.fixture
def far(world: World) -> RemoteService:
    return RemoteService(world, "far.example")


def chat(sender: str, to: str, *content: str, kind: str = "chat", id_: str = "1") -> str:
    inside = "".join(content)
    return f"<message from='{sender}' to='{to}' type='{kind}' id='{id_}'><body>hi</body>{inside}</message>"


def conditions(stanzas: list[Element]) -> list[tuple[str | None, str]]:
    """Give id and condition of each error."""
    found = []
    for stanza in stanzas:
        error = stanza.find("error", ns.CLIENT)
        assert error is not None, stanza
        names = [child.name for child in error.children if child.namespace == ns.STANZA_ERRORS]
        found.append((stanza.get("id"), names[0]))
    return found


# --- what is refused to somebody elsewhere


async def test_a_request_that_nobody_knows_is_refused(world: World, far: RemoteService) -> None:
    await far.send(f"<iq from='{ROMEO}/x' to='localhost' type='get' id='1'><query xmlns='urn:nothing'/></iq>")
    assert conditions(far.take()) == [("1", "service-unavailable")]


async def test_a_message_to_nobody_is_refused(world: World, far: RemoteService) -> None:
    await far.send(chat(ROMEO, "nobody@localhost"))
    assert conditions(far.take()) == [("1", "service-unavailable")]


async def test_a_message_from_somebody_blocked_is_refused(world: World, far: RemoteService) -> None:
    bob = await world.online(f"{BOB}/desk")
    await bob.request(
        f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ROMEO}'/></block></iq>"
    )
    await far.send(chat(ROMEO, BOB))
    assert bob.take("message") == []
    assert conditions(far.take()) == [("1", "service-unavailable")]


async def waits(ledger: SlowLedger) -> None:
    """Wait until a message is to be stored."""
    async with asyncio.timeout(5):
        while not ledger.waiting:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("outcome", "condition"),
    [(BackendError("the disk is full"), "resource-constraint"), (Refused("too long"), "not-acceptable")],
)
async def test_a_message_that_cannot_be_stored_is_refused(
    slow: World, ledger: SlowLedger, outcome: BackendError | Refused, condition: str
) -> None:
    far = RemoteService(slow, "far.example")
    await slow.register(BOB)
    sending = asyncio.ensure_future(far.send(chat(ROMEO, BOB)))
    await waits(ledger)
    if isinstance(outcome, Refused):
        ledger.accept(outcome)
    else:
        ledger.fail(outcome)
    await sending
    assert conditions(far.take()) == [("1", condition)]


async def test_a_message_whose_rules_change_all_the_time_is_refused(slow: World, ledger: SlowLedger) -> None:
    far = RemoteService(slow, "far.example")
    await slow.register(BOB)
    sending = asyncio.ensure_future(far.send(chat(ROMEO, BOB)))
    async with asyncio.timeout(5):
        while not sending.done():
            if ledger.waiting:
                ledger.accept(Stale(BOB))
            await asyncio.sleep(0)
    assert conditions(far.take()) == [("1", "resource-constraint")]


# --- what goes there


async def test_a_message_is_handed_over_and_kept_by_its_sender(world: World, far: RemoteService) -> None:
    alice = await world.online("alice@localhost/phone")
    await alice.send(chat(alice.jid, ROMEO))
    [message] = far.take("message")
    assert (message.get("from"), message.text_of("body")) == ("alice@localhost/phone", "hi")
    assert [kept.to for kept in await archived(world, "alice@localhost")] == [ROMEO]
    assert alice.take() == []


@pytest.mark.parametrize("kind", ["chat", "groupchat"])
async def test_what_is_sent_again_is_handed_over_once(world: World, far: RemoteService, kind: str) -> None:
    alice = await world.online("alice@localhost/phone")
    origin = "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
    for id_ in ("1", "2"):
        await alice.send(chat(alice.jid, "room@far.example", origin, kind=kind, id_=id_))
    assert [message.get("id") for message in far.take("message")] == ["1"]


async def test_a_message_that_could_not_be_handed_over_is_not_lost(world: World, far: RemoteService) -> None:
    alice = await world.online("alice@localhost/phone")
    await alice.manage()
    far.fail()
    await alice.send(chat(alice.jid, ROMEO))
    await alice.send("<r xmlns='urn:xmpp:sm:3'/>")
    [answer] = alice.take("a")
    assert answer.get("h") == "1"  # from here on it is the server's to deliver
    for _ in range(24):
        await world.advance(HOUR)
    handed_over = [message.get("id") for message in far.take("message")]
    told = [message.get("id") for message in alice.take("message") if message.get("type") == "error"]
    assert handed_over + told == ["1"]


async def test_a_domain_that_stands_still_holds_up_nobody(world: World, far: RemoteService) -> None:
    alice, carol = await world.online("alice@localhost/phone"), await world.online("carol@localhost/phone")
    bob = await world.online(f"{BOB}/desk")
    far.stall()
    alice.push(chat(alice.jid, ROMEO))
    await far.until_asked()
    alice.push(chat(alice.jid, BOB, id_="2"))
    carol.push(chat(carol.jid, BOB, id_="3"))
    async with asyncio.timeout(5):
        while not any(stanza.get("id") == "3" for stanza in bob.received):
            await asyncio.sleep(0)
    assert [message.get("id") for message in bob.take("message")] == ["2", "3"]
    assert far.take() == []
    far.go_on()
    await world.settle()
    assert [message.get("id") for message in far.take("message")] == ["1"]


async def test_what_can_never_arrive_is_told_to_all_devices_of_its_sender(
    world: World, far: RemoteService
) -> None:
    alice = await world.online("alice@localhost/phone")
    laptop = await world.online("alice@localhost/laptop")
    far.fail(10_000)
    await alice.send(chat(alice.jid, ROMEO, id_="lost"))
    laptop.take()
    for _ in range(5 * 24):
        await world.advance(HOUR)
    for device in (alice, laptop):
        assert conditions(device.take("message")) == [("lost", "remote-server-timeout")]
    later = await world.online("alice@localhost/tablet")
    await world.settle()
    assert far.take("message") == later.take("presence") == []
    page = await world.stores.ledger.page(Jid("alice@localhost"), PageQuery(folded=True))
    sent, failed = page.entries
    assert (failed.kind, failed.target, failed.countable) == (EntryKind.FAILED, sent.id.position, False)
    assert await unread(world, "alice@localhost") == {ROMEO: 0}
    assert await world.stores.ledger.outbox.domains() == ()


async def test_what_the_other_server_refuses_is_told_at_once(world: World, far: RemoteService) -> None:
    alice = await world.online("alice@localhost/phone")
    far.refuse(StanzaError("item-not-found"))
    await alice.send(chat(alice.jid, ROMEO, id_="1"), chat(alice.jid, ROMEO, id_="2"))
    assert conditions(alice.take("message")) == [("1", "item-not-found")]
    assert [message.get("id") for message in far.take("message")] == ["2"]


async def test_each_message_that_could_not_arrive_is_told_though_ids_are_used_again(
    world: World, far: RemoteService
) -> None:
    """A client counts its ids from 1 whenever it starts."""
    for text in ("monday", "tuesday"):
        alice = await world.online("alice@localhost/phone")
        far.refuse(StanzaError("item-not-found"))
        await alice.send(chat(alice.jid, ROMEO, text, id_="1"))
        assert conditions(alice.take("message")) == [("1", "item-not-found")]
        await alice.leave()
    page = await world.stores.ledger.page(Jid("alice@localhost"), PageQuery(folded=True))
    assert [entry.target for entry in page.entries] == [0, 1, 0, 3]
