"""Resumption over slow commits and over real connections: what was read is dealt with once and counted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.world import World, WorldClient
from tests.messages.slow_ledger import SlowLedger
from tests.messages.slow_world import ledger, slow, turns
from tests.streams.stand import AUTH, BIND, HEADER, Raw, Stand, plain, standing, until
from tidings.features.stream_management import stream_key
from tidings.streams.listener import ConnectionOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.stream_management import Ack, Failed, Resumed

__all__ = ["ledger", "slow"]

R = f"<r xmlns='{ns.SM}'/>"
ENABLE = f"<enable xmlns='{ns.SM}' resume='true'/>"
RESUME = f"<resume xmlns='{ns.SM}' previd='{{}}' h='{{}}'/>"
PHONE, DESK = "alice@localhost/phone", "bob@localhost/desk"
SASL2 = (
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{}</initial-response>"
    "{}<bind xmlns='urn:xmpp:bind:0'><tag>phone</tag>{}</bind></authenticate>"
)
PING = "<iq type='get' id='{}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
ROSTER = "<iq type='get' id='{}'><query xmlns='jabber:iq:roster'/></iq>"


def chat(number: object, to: str = DESK) -> str:
    return f"<message to='{to}' type='chat' id='{number}'><body>{number}</body></message>"


def ids(client: WorldClient) -> list[str | None]:
    return [element.get("id") for element in client.take("message")]


# --- slow commits


async def ready(world: World) -> tuple[WorldClient, WorldClient]:
    alice, bob = await world.login(PHONE), await world.login(DESK)
    await alice.manage()
    return alice, bob


def acks(client: WorldClient) -> list[int]:
    return [Ack.decode(element).handled for element in client.take("a")]


async def test_a_request_is_answered_at_once_and_again_when_more_is_committed(
    slow: World, ledger: SlowLedger
) -> None:
    alice, _ = await ready(slow)
    alice.push(chat(1))
    alice.push(chat(2), R, chat(3))
    await turns()
    assert acks(alice) == [0]
    ledger.accept()
    await turns()
    assert acks(alice) == [1]
    ledger.accept()
    await turns()
    assert acks(alice) == [3]
    alice.push(chat(4))
    await turns()
    ledger.accept()
    await slow.settle()
    assert acks(alice) == []  # nobody has asked for this one


async def test_what_was_read_is_dealt_with_before_the_session_goes_on(
    slow: World, ledger: SlowLedger
) -> None:
    alice, bob = await ready(slow)
    alice.push(chat(1))
    alice.push(chat(2), PING.format("p"), ROSTER.format("r"), chat(3))
    resuming = asyncio.ensure_future(slow.resume(alice))
    await turns()
    assert alice.error is not None
    assert alice.error.condition == "conflict"
    for _ in range(3):
        assert not resuming.done()
        ledger.accept()
        await turns()
    again = await resuming
    assert isinstance(again, WorldClient)
    assert Resumed.decode(again.received[0]).handled == 5
    assert again.received[1].get("id") == "r"
    assert ids(bob) == ["1", "2", "3"]


async def test_every_message_has_its_number_on_the_stream(slow: World, ledger: SlowLedger) -> None:
    alice = await slow.login(PHONE)
    await slow.login(DESK)
    alice.push(chat("before"))
    alice.push(chat("waits"), ENABLE, chat(1), ROSTER.format("r"), chat(3))
    await turns()
    alice.push("<message to='@@' id='bad'><body>x</body></message>", chat(5), PING.format("p"), chat(7))
    while ledger.waiting:
        ledger.accept()
        await turns()
    [enabled] = alice.take("enabled")
    key = stream_key(alice.jid.bare, enabled.get("id") or "")
    appends = [append for batch in ledger.batches for append in batch.appends]
    assert [(append.stream, append.number) for append in appends] == [
        (None, 0),
        (None, 0),
        *((key, number) for number in (1, 3, 5, 7)),
    ]
    assert alice.session.flow.h == 7


async def test_what_is_committed_after_the_end_is_told_too(slow: World, ledger: SlowLedger) -> None:
    alice, bob = await ready(slow)
    await alice.lose()
    again = await slow.resume(alice)
    assert isinstance(again, WorldClient)
    again.push(chat(1))
    again.push(ROSTER.format("r"), chat(2))
    slow.server.abandon(again.session, None)  # the stream is closed before anything is committed
    asking = asyncio.ensure_future(slow.resume(again))
    await turns()
    ledger.accept()
    await turns()
    assert not asking.done()
    ledger.accept()
    failed = await asking
    assert isinstance(failed, Element)
    assert Failed.decode(failed).handled == 3
    assert ids(bob) == ["1", "2"]


async def test_two_who_want_the_same_session_get_it_one_after_the_other(
    slow: World, ledger: SlowLedger
) -> None:
    alice, bob = await ready(slow)
    alice.push(chat(1))
    both = [asyncio.ensure_future(slow.resume(alice)) for _ in range(2)]
    await turns()
    ledger.accept()
    clients = await asyncio.gather(*both)
    await slow.settle()
    assert all(isinstance(client, WorldClient) for client in clients)
    assert sorted(client.closed for client in clients) == [False, True]  # type: ignore[union-attr]
    assert slow.server.session_count == 2
    assert ids(bob) == ["1"]


async def test_a_session_may_end_while_its_client_comes_back(slow: World, ledger: SlowLedger) -> None:
    alice, _ = await ready(slow)
    alice.push(chat(1))
    await alice_lost(slow, alice)
    asking = asyncio.ensure_future(slow.resume(alice))
    await turns()
    slow.clock.advance(301)
    await turns()
    assert alice.session.ended
    ledger.accept()
    failed = await asking
    assert isinstance(failed, Element)
    assert Failed.decode(failed).handled == 1


async def alice_lost(world: World, alice: WorldClient) -> None:
    """Lose the connection, without waiting for commits."""
    from tidings.base.errors import StreamError

    world.server.abandon(alice.session, StreamError("connection-timeout"), is_lost=True)
    await turns()


# --- real connections


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with standing() as stand:
        yield stand


async def enabled(client: Raw) -> str:
    answer = await client.say(ENABLE, until="/>")
    found = re.search(r' id="([^"]+)"', answer)
    assert found is not None, answer
    return found[1]


async def logged_in(stand: Stand, name: str = "alice") -> Raw:
    """Give a client that has logged in and bound nothing."""
    client = await stand.connect()
    await client.say(HEADER, until="</stream:features>")
    await client.say(AUTH.format(plain(name)), until="<success")
    features = await client.say(HEADER, until="</stream:features>")
    assert f'<sm xmlns="{ns.SM}"/>' in features
    return client


def session_of(stand: Stand, jid: str) -> object:
    return next((each for each in stand.server.sessions() if each.jid == jid), None)


async def test_a_connection_is_lost_and_its_session_goes_on(stand: Stand) -> None:
    alice, bob = await stand.log_in(PHONE), await stand.log_in(DESK)
    name = await enabled(alice)
    bob.push(chat(1, PHONE) + chat(2, PHONE))
    await alice.hear('id="2"')
    await alice.hear(R.replace("'", '"'))
    await alice.close()
    await until(lambda: session_of(stand, PHONE).detached)  # type: ignore[attr-defined]
    bob.push(chat(3, PHONE))
    await bob.say(PING.format("p"), until="/>")
    again = await logged_in(stand)
    text = await again.say(RESUME.format(name, 1), until='id="3"')
    assert text.index("<resumed") < text.index('id="2"')
    assert 'id="1"' not in text
    assert 'h="0"' in text
    assert f'previd="{name}"' in text
    again.push(chat(4) + R)
    await again.hear('<a xmlns="urn:xmpp:sm:3" h="1"/>')
    assert 'id="4"' in await bob.hear("</message>")


async def test_the_old_connection_is_closed_with_conflict(stand: Stand) -> None:
    alice = await stand.log_in(PHONE)
    name = await enabled(alice)
    again = await logged_in(stand)
    await again.say(RESUME.format(name, 0), until="<resumed")
    assert "<conflict" in await alice.rest()
    await again.say(PING.format("p"), until='id="p"')
    assert stand.server.session_count == 1


async def test_a_stream_that_cannot_be_resumed_is_bound_anew(stand: Stand) -> None:
    await stand.register("alice@localhost")
    client = await logged_in(stand)
    failed = await client.say(ENABLE, until="</failed>")
    assert "unexpected-request" in failed
    failed = await client.say(RESUME.format("nonsense", 0), until="</failed>")
    assert "item-not-found" in failed
    await client.say(BIND.format("phone"), until="</iq>")
    assert await enabled(client)


async def test_what_cannot_be_counted_ends_the_stream_of_who_says_so(stand: Stand) -> None:
    alice = await stand.log_in(PHONE)
    name = await enabled(alice)
    again = await logged_in(stand)
    again.push(RESUME.format(name, 5))
    assert "handled-count-too-high" in await again.rest()


async def test_goodbye_ends_the_session_although_the_connection_is_lost_before_the_answer() -> None:
    ledger = SlowLedger()
    async with standing(ledger=ledger) as stand:
        alice = await stand.log_in(PHONE)
        await stand.log_in(DESK)
        name = await enabled(alice)
        alice.push(chat(1) + "</stream:stream>")
        await until(lambda: ledger.waiting)
        await alice.close()
        await until(lambda: stand.server.session_count == 1)
        ledger.accept()
        again = await logged_in(stand)
        failed = await again.say(RESUME.format(name, 0), until="</failed>")
        assert 'h="1"' in failed


async def test_a_client_that_leaves_while_it_comes_back_may_come_back_again() -> None:
    ledger = SlowLedger()
    async with standing(ledger=ledger) as stand:
        alice = await stand.log_in(PHONE)
        bob = await stand.log_in(DESK)
        name = await enabled(alice)
        alice.push(chat(1))
        await until(lambda: ledger.waiting)
        hasty = await logged_in(stand)
        hasty.push(RESUME.format(name, 0))
        await until(lambda: session_of(stand, PHONE).detached)  # type: ignore[attr-defined]
        assert "<conflict" in await alice.rest()
        await alice.close()
        await hasty.close()
        await until(lambda: len(stand.server.connections) == 1)
        ledger.accept()
        await bob.hear("</message>")
        again = await logged_in(stand)
        assert 'h="1"' in await again.say(RESUME.format(name, 0), until="/>")


async def test_a_silent_client_is_disconnected_and_may_come_back() -> None:
    async with standing(limits=ConnectionOptions(idle_seconds=30)) as stand:
        alice = await stand.log_in(PHONE)
        name = await enabled(alice)
        stand.clock.advance(31)
        stand.clock.advance(31)
        stand.clock.advance(61)
        assert "<connection-timeout" in await alice.rest()
        again = await logged_in(stand)
        text = await again.say(RESUME.format(name, 0), until="</iq>")
        assert "<resumed" in text
        assert "<ping" in text  # the sign of life that it was asked for


async def test_it_is_resumed_and_enabled_together_with_log_in(stand: Stand) -> None:
    await stand.register("alice@localhost")
    client = await stand.connect()
    features = await client.say(HEADER, until="</stream:features>")
    assert f'<sm xmlns="{ns.SM}"/>' in features
    assert f'<feature var="{ns.SM}"/>' in features
    text = await client.say(SASL2.format(plain("alice"), "", ENABLE), until="</stream:features>")
    bound = re.search(r"<bound.*</bound>", text)
    assert bound is not None, text
    found = re.search(r'<enabled [^>]*id="([^"]+)"', bound[0])
    assert found is not None, text
    jid = re.search(r"<authorization-identifier>([^<]+)<", text)
    await client.say(chat(1, "alice@localhost/nowhere") + R, until='h="1"/>')
    await client.close()
    again = await stand.connect()
    await again.say(HEADER, until="</stream:features>")
    text = await again.say(
        SASL2.format(plain("alice"), RESUME.format(found[1], 0), ENABLE), until="</success>"
    )
    assert jid is not None
    assert jid[0] in text
    assert "<resumed" in text
    assert "<bound" not in text
    text = await again.say(PING.format("p"), until='id="p"')
    assert "<stream:features" not in text  # §9.2: the stream goes on at once
    failing = await stand.connect()
    await failing.say(HEADER, until="</stream:features>")
    text = await failing.say(
        SASL2.format(plain("alice"), RESUME.format("x", 0), ENABLE), until="</stream:features>"
    )
    assert "<failed" in text
    assert text.index("<bound") < text.index("<enabled") < text.index("</bound>")


async def test_a_server_that_stops_says_so(tmp_path: Path) -> None:
    async with standing() as stand:
        alice = await stand.log_in(PHONE)
        await enabled(alice)
        await stand.server.stop(0)
        assert "<system-shutdown" in await alice.rest()
        assert stand.server.session_count == 0
