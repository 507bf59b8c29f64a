"""Traces of messages as a collector gets them: the steps, the refusals, and nobody's secrets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog.testing

from tests.harness.clock import VirtualClock
from tests.harness.collector import Collector, collecting
from tests.harness.ports import HOST, free_port
from tests.harness.world import World
from tests.streams.stand import until
from tidings.adapters.otlp import OtlpTracer
from tidings.messages.message_spans import Addresses, MessageSpans

BATCH = 512  # as many spans as are sent at once
CHAT = "<message to='{to}' type='chat' id='m{id}'><body>the secret word</body></message>"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@contextlib.asynccontextmanager
async def traced(endpoint: str, *, ratio: float = 1.0, addresses: Addresses = "none") -> AsyncIterator[World]:
    """A server that sends traces; what is over is sent when it stops."""
    clock = VirtualClock()
    spans = MessageSpans(OtlpTracer(endpoint, clock), clock, ratio, addresses)
    world = await World.start(clock=clock, spans=spans)
    try:
        yield world
    finally:
        await world.stop()


async def test_each_step_of_a_message_is_told_with_its_time(collector: Collector) -> None:
    async with traced(collector.endpoint) as world:
        alice = await world.online("alice@localhost/phone")
        await world.online("bob@localhost/desk")
        await world.online("bob@localhost/phone")
        started = world.clock.now()
        await alice.send(CHAT.format(to="bob@localhost", id=1))
    [span] = collector.spans(1)
    assert span.name == "message"
    assert span.service == "tidings"
    assert not span.is_error
    assert span.steps == ["planned", "committed", "delivered", "delivered"]
    assert span.event("planned")["tidings.reason"] == "both sides keep it"
    assert span.event("committed") == {"tidings.archives": 2}
    assert [event.attributes["tidings.device"] for event in span.events[2:]] == [1, 2]
    assert span.attributes["tidings.via"] == "session"
    assert span.start == pytest.approx(started * 1e9, abs=1e6)
    assert span.end >= span.events[-1].time >= span.start


async def test_its_id_is_that_by_which_the_server_explains_it(collector: Collector) -> None:
    async with traced(collector.endpoint) as world:
        alice = await world.online("alice@localhost/phone")
        await alice.send(CHAT.format(to="alice@localhost", id=1))
        [trace] = world.router.traces.recent
    [span] = collector.spans(1)
    assert span.attributes["tidings.trace"] == trace.id


async def test_what_a_client_acknowledges_is_a_span_below(collector: Collector) -> None:
    async with traced(collector.endpoint) as world:
        alice = await world.online("alice@localhost/phone")
        bob = await world.online("bob@localhost/desk")
        await bob.manage()
        await alice.send(CHAT.format(to="bob@localhost", id=1), CHAT.format(to="bob@localhost", id=2))
        await world.advance(3)
        await bob.send(f"<a xmlns='urn:xmpp:sm:3' h='{bob.counted}'/>")
    spans = collector.spans(4)
    messages = {span.id: span for span in spans if span.name == "message"}
    acknowledged = [span for span in spans if span.name == "acknowledged"]
    assert len(messages) == len(acknowledged) == 2
    assert {span.parent for span in acknowledged} == set(messages)
    for span in acknowledged:
        assert span.trace == messages[span.parent].trace
        assert span.end - span.start == pytest.approx(3e9, abs=1e6)


async def test_a_message_that_is_never_acknowledged_has_no_such_span(collector: Collector) -> None:
    async with traced(collector.endpoint) as world:
        alice = await world.online("alice@localhost/phone")
        bob = await world.online("bob@localhost/desk")
        await bob.manage()
        await alice.send(CHAT.format(to="bob@localhost", id=1))
    assert [span.name for span in collector.spans(1)] == ["message"]


async def test_a_refusal_is_an_error_with_its_reason(collector: Collector) -> None:
    async with traced(collector.endpoint) as world:
        alice = await world.online("alice@localhost/phone")
        await alice.send(CHAT.format(to="x@elsewhere.example", id=1))
        [refusal] = alice.take("message")
        assert refusal.get("type") == "error"
    [span] = collector.spans(1)
    assert span.is_error
    assert span.steps[-1] == "refused"
    assert span.event("refused")["tidings.condition"] == "remote-server-not-found"
    assert span.event("refused")["tidings.reason"] == "nobody answers for that domain"


async def test_a_repeat_is_told_as_one(collector: Collector) -> None:
    async with traced(collector.endpoint) as world:
        alice = await world.online("alice@localhost/phone")
        await world.register("bob@localhost")
        same = (
            "<message to='bob@localhost' type='chat'><body>x</body>"
            "<origin-id xmlns='urn:xmpp:sid:0' id='0123456789abcdef'/></message>"
        )
        await alice.send(same)
        await alice.send(same)
    first, second = collector.spans(2)
    assert first.steps == ["planned", "committed"]
    assert second.steps == ["planned", "repeated"]


@pytest.mark.parametrize(
    ("addresses", "told", "kept"),
    [
        ("none", (), (b"alice", b"bob", b"other.test")),
        ("domains", (b"localhost", b"other.test"), (b"alice", b"bob")),
        ("full", (b"alice@localhost/phone", b"bob@other.test", b"bob@other.test/desk"), ()),
    ],
)
async def test_addresses_are_told_as_far_as_the_option_says(
    collector: Collector, addresses: Addresses, told: tuple[bytes, ...], kept: tuple[bytes, ...]
) -> None:
    async with traced(collector.endpoint, addresses=addresses) as world:
        alice = await world.online("alice@localhost/phone")
        await world.online("bob@other.test/desk")
        await alice.send(CHAT.format(to="bob@other.test", id=1))
        await alice.send(
            CHAT.format(to="bob@localhost", id=2)
        )  # nobody, and refused or kept by its sender alone
    collector.spans(2)
    assert all(each in collector.octets for each in told)
    assert not any(each in collector.octets for each in kept)
    assert b"secret" not in collector.octets


async def test_some_messages_are_chosen_and_the_others_cost_nothing(collector: Collector) -> None:
    async with traced(collector.endpoint, ratio=0.2) as world:
        alice = await world.online("alice@localhost/phone")
        for number in range(500):
            await alice.send(CHAT.format(to="bob@localhost", id=number))
    found = len(collector.spans(1))
    assert 50 <= found <= 160  # 100, and six standard deviations


async def test_none_are_chosen_where_the_ratio_is_zero(collector: Collector) -> None:
    async with traced(collector.endpoint, ratio=0.0) as world:
        alice = await world.online("alice@localhost/phone")
        await alice.send(CHAT.format(to="bob@localhost", id=1))
    assert not collector.requests


async def test_a_collector_that_is_down_holds_nothing_up(collector: Collector) -> None:
    collector.is_broken = True
    async with traced(collector.endpoint) as world:
        alice = await world.online("alice@localhost/phone")
        bob = await world.online("bob@localhost/desk")
        for number in range(3_000):
            alice.push(CHAT.format(to="bob@localhost", id=number))
        await world.settle()
        assert len(bob.take("message")) == 3_000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("Otel", "close"))]


async def test_a_collector_that_is_down_is_told_once_and_when_it_is_back() -> None:
    port = free_port()
    tracer = OtlpTracer(f"http://{HOST}:{port}", VirtualClock(), patience=0.1)

    def tell_of(messages: int) -> None:
        for _ in range(messages):
            tracer.begin("message", {}).end()

    with structlog.testing.capture_logs() as lines:
        tell_of(BATCH)
        await until(lambda: lines)
        with collecting(port) as collector:
            collector.is_broken = True
            for number in (1, 2):
                tell_of(BATCH)
                await asyncio.to_thread(collector.wait_for_requests, number)
            collector.is_broken = False
            tell_of(BATCH)
            await until(lambda: len(lines) > 1)
            await tracer.close()
    assert [line["event"] for line in lines] == ["collector_unreachable", "collector_reached"]
