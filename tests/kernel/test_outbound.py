"""What waits for all clients together is bounded: whoever has most goes first, and nobody else notices."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.harness.world import World, WorldClient
from tests.streams.stand import until
from tidings.base.errors import StanzaError, StreamError
from tidings.features.stream_management import StreamManagementOptions
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import PATIENCE_SECONDS, Pacing
from tidings.wire.xmpp.stanza import Stanza

LARGE = 20_000
BUDGET = 2_000_000
READERS = 200
SLACK = 2 * LARGE
"""Room is made when a turn of the event loop has brought too much: here, one message."""


async def deaf(world: World, number: int) -> WorldClient:
    """Log in a client that counts, and never says what it has got."""
    client = await world.online(f"deaf{number}@localhost/x")
    await client.manage()
    client.request_ack = lambda: None  # type: ignore[method-assign]
    return client


def text(to: str, octets: int = LARGE) -> str:
    return f"<message to='{to}' type='chat'><body>{'x' * octets}</body></message>"


async def test_many_that_never_acknowledge_stay_within_the_budget_together() -> None:
    world = await World.start(outbound_octets=BUDGET)
    feeder, carol = await world.online("feeder@localhost/x"), await world.online("carol@localhost/x")
    await carol.manage()
    readers = [await deaf(world, number) for number in range(READERS)]
    largest = readers[7]
    await feeder.send(*[text(largest.jid.bare)] * 10)
    carol_got = 0
    for reader in readers:
        await feeder.send(text(reader.jid.bare))
        await feeder.send(text("carol@localhost", 10))
        carol_got += len(carol.take("message"))
        await carol.send(f"<a xmlns='urn:xmpp:sm:3' h='{carol.counted}'/>")
        assert world.server.outbound.octets <= BUDGET + SLACK
    ended = [reader for reader in readers if reader.session.ended]
    assert largest in ended
    assert 0 < len(ended) < READERS
    assert world.server.outbound.ended == len(ended)
    for reader in ended:
        assert reader.error is not None
        assert reader.error.condition == "resource-constraint"
    assert carol_got == READERS
    assert not carol.session.ended
    assert not feeder.session.ended
    again = await world.login(f"{largest.jid.bare}/x")
    await again.send("<presence/>")
    got = again.take("message")
    while fresh := [each for each in again.take("iq") if each.get("type") == "get"]:  # it says that it has it
        await again.send(f"<iq type='result' id='{fresh[0].get('id')}' to='localhost'/>")
        got += again.take("message")
    assert len(got) == 10 + 1
    await world.stop()


async def test_whoever_has_most_goes_first_and_the_log_says_why() -> None:
    world = await World.start(outbound_octets=BUDGET)
    feeder = await world.online("feeder@localhost/x")
    small, large = await deaf(world, 1), await deaf(world, 2)
    await feeder.send(*[text(small.jid.bare)] * 10)
    with capture_logs() as told:
        while not large.session.ended:
            await feeder.send(text(large.jid.bare))
    assert not small.session.ended
    [line] = [each for each in told if each["event"] == "backlog_dropped"]
    assert line["session"] == large.jid
    assert line["octets"] > BUDGET / 2
    assert line["budget"] == BUDGET
    assert line["reason"]
    await world.stop()


async def test_what_is_acknowledged_or_over_is_counted_no_more() -> None:
    world = await World.start(outbound_octets=BUDGET)
    feeder = await world.online("feeder@localhost/x")
    one, two, three = [await deaf(world, number) for number in range(3)]
    for reader in (one, two, three):
        await feeder.send(text(reader.jid.bare))
    assert world.server.outbound.octets > 3 * LARGE
    await one.send(f"<a xmlns='urn:xmpp:sm:3' h='{one.counted}'/>")
    await two.leave()
    assert LARGE < world.server.outbound.octets < 2 * LARGE
    await three.lose()
    assert world.server.outbound.octets > LARGE
    assert isinstance(await world.resume(three), WorldClient)
    await world.end(three.session, None)
    assert world.server.outbound.octets == 0
    await world.stop()


async def test_a_session_that_waits_for_its_client_holds_less_and_reads_the_rest_later() -> None:
    options = {"stream_management": StreamManagementOptions(detached_window_bytes=3 * LARGE)}
    world = await World.start(options=options)
    feeder = await world.online("feeder@localhost/x")
    present, absent = [await deaf(world, number) for number in range(2)]
    await absent.lose()
    for reader in (present, absent):
        await feeder.send(*[text(reader.jid.bare)] * 4)
    assert present.session.backlog > 4 * LARGE
    assert LARGE < absent.session.backlog < 3 * LARGE
    back = await world.resume(absent)
    assert isinstance(back, WorldClient)
    await back.send(f"<a xmlns='urn:xmpp:sm:3' h='{back.counted}'/>")
    assert len(back.take("message")) == 4
    await world.stop()


async def test_a_session_that_waits_for_its_client_ends_when_it_would_hold_too_much() -> None:
    options = {"stream_management": StreamManagementOptions(detached_window_bytes=3 * LARGE)}
    world = await World.start(options=options)
    feeder = await world.online("feeder@localhost/x")
    present, absent = [await deaf(world, number) for number in range(2)]
    for reader in (present, absent):
        await reader.send("<presence type='unavailable'/>")  # what is for its full address comes all the same
    await absent.lose()
    for reader in (present, absent):
        await feeder.send(*[text(reader.jid)] * 4)
    assert (present.session.ended, absent.session.ended) == (False, True)
    await world.stop()


# --- pacing


async def test_an_answer_waits_for_a_client_that_reads_nothing_and_goes_on_when_it_does() -> None:
    world = await World.start()
    bob = await world.login("bob@localhost/x")
    pacing = Pacing(world.clock)
    parts = [Outgoing(Stanza.build("message", to=bob.jid, id=str(number))) for number in range(3)]
    bob.unread = 1
    task = world.server.supervisor.start("answer", pacing.send(bob.session, parts))
    await until(lambda: world.clock.waiting)
    assert bob.take("message") == []
    world.clock.advance(PATIENCE_SECONDS / 2)
    bob.unread = 0
    while not task.done():
        world.clock.advance(1)
        await asyncio.sleep(0)
    assert [message.get("id") for message in bob.take("message")] == ["0", "1", "2"]
    await world.stop()


async def test_a_client_that_takes_nothing_is_told_so_and_stays() -> None:
    world = await World.start()
    bob = await world.login("bob@localhost/x")
    bob.unread = 1
    bob.push("<iq type='get' id='v'><vCard xmlns='vcard-temp'/></iq>")
    while not (answers := bob.take("iq")):
        world.clock.advance(1)
        for _ in range(5):
            await asyncio.sleep(0)
    [answer] = answers
    assert answer.get("type") == "error"
    assert answer.find("error").get("type") == "wait"  # type: ignore[union-attr]
    assert not bob.closed
    bob.unread = 0
    assert (await bob.request("<iq type='get' id='w'><vCard xmlns='vcard-temp'/></iq>")).get("id") == "w"
    await world.stop()


LARGE_REQUEST = "<iq type='get' id='g{}'><query xmlns='jabber:iq:private'><x xmlns='app:x'/></query></iq>"


async def with_large_answers() -> tuple[World, WorldClient]:
    """Start a server and a client that counts, whose window has room for two answers."""
    options = {"stream_management": StreamManagementOptions(window_bytes=300_000)}
    world = await World.start(options=options)
    bob = await world.login("bob@localhost/x")
    stored = f"<query xmlns='jabber:iq:private'><x xmlns='app:x'>{'x' * 120_000}</x></query>"
    assert (await bob.request(f"<iq type='set' id='s'>{stored}</iq>")).get("type") == "result"
    await bob.manage()
    return world, bob


async def test_answers_that_were_asked_for_at_once_wait_for_the_acknowledgement_of_those_before() -> None:
    world, bob = await with_large_answers()
    bob.push(*(LARGE_REQUEST.format(number) for number in range(6)))
    answers: list[str | None] = []
    for _ in range(200):
        world.clock.advance(0.1)
        await asyncio.sleep(0.001)
        if any(each.name == "r" for each in bob.received):
            answers += [each.get("id") for each in bob.take("iq")]
            bob.take()
            bob.push(f"<a xmlns='urn:xmpp:sm:3' h='{bob.counted}'/>")
        assert world.server.outbound.octets <= 300_000
        if len(answers) == 6:
            break
    assert answers == [f"g{number}" for number in range(6)]
    assert not bob.closed
    await world.stop()


async def test_a_client_that_is_lost_while_answers_wait_can_resume_at_once() -> None:
    world, bob = await with_large_answers()
    bob.request_ack = lambda: None  # type: ignore[method-assign]
    bob.push(*(LARGE_REQUEST.format(number) for number in range(4)))
    await until(lambda: bob.counted == 2)
    bob.closed = True
    world.server.abandon(bob.session, StreamError("connection-timeout"), is_lost=True)
    resuming = asyncio.create_task(world.resume(bob))
    began = world.clock.monotonic()
    await until(lambda: world.clock.advance(0.01) or resuming.done())
    back = await resuming
    assert isinstance(back, WorldClient)
    assert world.clock.monotonic() - began < PATIENCE_SECONDS / 2
    assert [(each.get("id"), each.get("type")) for each in back.take("iq")] == [
        ("g2", "error"),
        ("g3", "error"),
    ]
    await back.send(f"<a xmlns='urn:xmpp:sm:3' h='{back.counted}'/>")
    assert (await back.request(LARGE_REQUEST.format(2))).get("type") == "result"
    await world.stop()


async def test_requests_of_strangers_come_as_fast_as_their_recipient_reads() -> None:
    world = await World.start()
    await world.register("bob@localhost")
    for number in range(3):
        stranger = await world.online(f"stranger{number}@localhost/x")
        await stranger.send("<presence to='bob@localhost' type='subscribe'/>")
    bob = await world.login("bob@localhost/x")
    bob.unread = 1
    bob.push("<presence/>")
    for _ in range(50):
        world.clock.advance(0.1)
        await asyncio.sleep(0)
    assert [each for each in bob.take("presence") if each.get("type") == "subscribe"] == []
    bob.unread = 0
    while world.server.supervisor.busy:
        world.clock.advance(0.1)
        await asyncio.sleep(0)
    assert len([each for each in bob.take("presence") if each.get("type") == "subscribe"]) == 3
    await world.stop()


async def test_an_answer_to_a_session_that_has_ended_waits_for_nobody() -> None:
    world = await World.start()
    bob = await world.login("bob@localhost/x")
    bob.unread = 1
    await bob.leave()
    with pytest.raises(StanzaError):
        await Pacing(world.clock).until_room(bob.session)
    await world.stop()
