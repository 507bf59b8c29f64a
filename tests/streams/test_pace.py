"""A client that sends too fast is read from more slowly; nothing of that is lost, and nothing ends."""

from __future__ import annotations

import asyncio

from tests.harness.clock import VirtualClock
from tests.streams.stand import standing, until
from tidings.streams.listener import ConnectionOptions
from tidings.streams.pace import UNPACED, PacedReading, PaceLimits

PING = "<iq type='get' id='{}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"


class Source:
    """What is read from: it is, or is not."""

    def __init__(self) -> None:
        self.is_read = True

    def pause(self) -> None:
        self.is_read = False

    def resume(self) -> None:
        self.is_read = True


def reading(**limits: float) -> tuple[PacedReading, Source, VirtualClock]:
    source, clock = Source(), VirtualClock()
    return PacedReading(source, clock, PaceLimits(**limits)), source, clock


# --- the buckets


def test_a_burst_is_free_and_what_exceeds_it_costs_time() -> None:
    paced, source, clock = reading(stanzas=10, octets=0, burst_seconds=2)
    paced.came(20, 0)
    assert source.is_read
    paced.came(5, 0)
    assert not source.is_read
    clock.advance(0.4)
    assert not source.is_read
    clock.advance(0.2)
    assert source.is_read


def test_octets_cost_time_likewise() -> None:
    paced, source, clock = reading(stanzas=0, octets=1_000, burst_seconds=1)
    paced.came(1, 3_000)
    clock.advance(1.9)
    assert not source.is_read
    clock.advance(0.2)
    assert source.is_read


def test_the_buckets_fill_up_to_one_burst_and_no_more() -> None:
    paced, source, clock = reading(stanzas=10, octets=0, burst_seconds=2)
    paced.came(20, 0)
    clock.advance(1_000)
    paced.came(20, 0)
    assert source.is_read
    paced.came(1, 0)
    assert not source.is_read


def test_who_sends_evenly_below_the_rate_is_never_slowed() -> None:
    paced, source, clock = reading(stanzas=10, octets=0, burst_seconds=1)
    for _ in range(1_000):
        clock.advance(0.11)
        paced.came(1, 100)
        assert source.is_read


def test_both_reasons_for_a_pause_have_to_be_over() -> None:
    paced, source, clock = reading(stanzas=10, octets=0, burst_seconds=1)
    paced.came(15, 0)
    paced.pause()
    clock.advance(1)
    assert not source.is_read
    paced.resume()
    assert source.is_read
    paced.came(15, 0)
    paced.pause()
    paced.resume()
    assert not source.is_read
    clock.advance(2)
    assert source.is_read


def test_no_limit_is_no_limit_and_whoever_stops_is_left_alone() -> None:
    source, clock = Source(), VirtualClock()
    PacedReading(source, clock, UNPACED).came(10**9, 10**12)
    assert source.is_read
    paced, source, clock = reading(stanzas=1, burst_seconds=1)
    paced.came(100, 0)
    paced.stop()
    assert clock.is_idle


# --- over a socket


async def test_who_sends_too_much_is_answered_later_and_nobody_else_is() -> None:
    limits = ConnectionOptions(pace=PaceLimits(stanzas=100, octets=0, burst_seconds=0.2))
    async with standing(limits=limits) as stand:
        alice = await stand.log_in("alice@localhost/phone")
        bob = await stand.log_in("bob@localhost/desk")
        begin = stand.clock.monotonic()
        alice.push("".join(PING.format(f"p{number}") for number in range(200)))
        await bob.say(PING.format("b"), until='id="b"')
        assert stand.clock.monotonic() == begin
        hearing = asyncio.create_task(alice.hear('id="p199"'))
        await until(lambda: stand.clock.advance(0.01) or hearing.done())
        answers = await hearing
        assert answers.count("<iq ") == 200
        alice.push(PING.format("q"))
        hearing = asyncio.create_task(alice.hear('id="q"'))
        await until(lambda: stand.clock.advance(0.01) or hearing.done())
        assert stand.clock.monotonic() - begin > (200 - 20) / 100 - 0.05
        assert stand.server.session_count == 2
