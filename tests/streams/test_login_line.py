"""After a restart: clients are let in at a bounded rate, take turns, and are told when to come."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.harness.clock import VirtualClock, VirtualTimer
from tests.harness.world import World
from tests.streams.stand import AUTH, BIND, HEADER, plain, until
from tests.streams.test_connection import Bench, door, end
from tidings.base.errors import StanzaError
from tidings.streams.listener import ListenerContext
from tidings.streams.login_line import LONGEST, MOST_OF_ONE, PATIENCE, LoginLine, Place
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.retry_after import RetryAfter

RATE = 10
FULL = int(RATE * PATIENCE)
SASL2 = (
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{}</initial-response>"
    "<bind xmlns='urn:xmpp:bind:0'/></authenticate>"
)


class LateClock(VirtualClock):
    """One whose timers fire late, as those of a busy event loop."""

    def call_later(self, seconds: float, function: Callable[[], object]) -> VirtualTimer:
        return super().call_later(seconds + 5, function)


def is_in(place: Place | None) -> bool:
    return place is None or place._turn.done()


def seconds_of(error: StanzaError) -> int:
    assert error.condition == "resource-constraint"
    assert error.kind == "wait"
    told = RetryAfter.decode(decode(error.payload, ns.CLIENT)).seconds
    assert error.text.endswith(f"come back in {told} seconds")
    return told


def turned_away(line: LoginLine, who: str) -> int:
    with pytest.raises(StanzaError) as caught:
        line.enter(who)
    return seconds_of(caught.value)


# --- the line by itself


async def test_as_many_come_in_as_the_rate_says_in_their_order() -> None:
    clock = VirtualClock()
    line = LoginLine(clock, RATE)
    places = [line.enter(f"user{number}@localhost") for number in range(35)]
    assert [is_in(place) for place in places] == [True] * RATE + [False] * 25
    clock.advance(0.01)
    for seconds in range(1, 3):
        clock.advance(1)
        assert [is_in(place) for place in places] == [True] * RATE * (seconds + 1) + [False] * (
            25 - RATE * seconds
        )
    clock.advance(1)
    assert all(map(is_in, places))
    assert clock.is_idle


async def test_without_a_rate_everybody_comes_in() -> None:
    line = LoginLine(VirtualClock(), 0)
    assert [line.enter("alice@localhost") for _ in range(10_000)] == [None] * 10_000
    assert line.refusal() is None


async def test_accounts_take_turns_and_one_has_no_more_than_its_places() -> None:
    clock = VirtualClock()
    line = LoginLine(clock, RATE)
    greedy = [line.enter("mallory@localhost") for _ in range(RATE + MOST_OF_ONE)]
    assert turned_away(line, "mallory@localhost") == 1
    others = [line.enter(f"user{number}@localhost") for number in range(5)]
    clock.advance(0.61)
    assert all(map(is_in, others))
    assert [is_in(place) for place in greedy] == [True] * (RATE + 1) + [False] * (MOST_OF_ONE - 1)


async def test_who_would_wait_for_too_long_is_told_a_time_of_its_own() -> None:
    clock = VirtualClock()
    line = LoginLine(clock, RATE)
    for number in range(RATE + FULL):
        assert line.refusal() is None
        line.enter(f"user{number}@localhost")
    told = [turned_away(line, f"late{number}@localhost") for number in range(100)]
    assert told[0] == PATIENCE + 1
    assert told == sorted(told)
    assert max(told.count(seconds) for seconds in told) <= RATE + 1
    assert line.turned_away == 100
    clock.advance(told[0])
    assert line.enter("late0@localhost") is None


async def test_nobody_is_told_to_come_in_an_hour_however_many_ask() -> None:
    line = LoginLine(VirtualClock(), RATE)
    for number in range(RATE + FULL):
        line.enter(f"user{number}@localhost")
    with capture_logs() as logs:
        told = {turned_away(line, "mallory@localhost") for _ in range(10_000)}
    assert max(told) <= LONGEST + 1
    assert [each["event"] for each in logs] == ["logins_turned_away"]


async def test_who_leaves_makes_room_and_costs_no_turn() -> None:
    clock = VirtualClock()
    line = LoginLine(clock, RATE)
    places = [line.enter(f"user{number}@localhost") for number in range(RATE + FULL)]
    for place in places[RATE:-1]:
        assert place is not None
        place.leave()
    assert len(line) == 1
    assert line.refusal() is None
    clock.advance(1 / RATE)
    assert is_in(places[-1])


async def test_a_busy_event_loop_lets_fewer_in_and_does_not_make_up_for_it() -> None:
    clock = LateClock()
    line = LoginLine(clock, RATE)
    places = [line.enter(f"user{number}@localhost") for number in range(RATE * 3)]
    clock.advance(5.5)
    assert sum(map(is_in, places)) == RATE + 1


# --- on a stream


async def slow_door(world: World, rate: int = 1) -> ListenerContext:
    return msgspec.structs.replace(await door(world), line=LoginLine(world.clock, rate))


def full(door_: ListenerContext) -> None:
    """Fill the line, so that nobody else has a place."""
    names = (f"user{number}@localhost" for number in itertools.count())
    while door_.line.refusal() is None:
        door_.line.enter(next(names))


def told_in(text: str) -> int:
    assert "<resource-constraint" in text
    found = re.search(r"<retry-after xmlns=[\"']urn:tidings:retry:0[\"'] seconds=[\"'](\d+)[\"']/>", text)
    assert found is not None
    assert f"come back in {found[1]} seconds" in text
    return int(found[1])


async def authenticate(bench: Bench, name: str) -> None:
    bench.push(HEADER)
    bench.push(AUTH.format(plain(name)))
    await bench.hear("<success")
    bench.push(HEADER)
    await bench.hear("<bind")


async def test_a_session_waits_for_its_turn(world: World) -> None:
    door_ = await slow_door(world)
    alice, bob = Bench(door_), Bench(door_)
    await alice.log_in("alice")
    await authenticate(bob, "bob")
    bob.push(BIND.format("phone"))
    await until(lambda: len(door_.line) == 1)
    assert not bob.written
    assert world.server.session_count == 1
    world.clock.advance(1)
    await bob.hear("bob@localhost/phone")
    for bench in (alice, bob):
        end(bench)


async def test_one_that_hangs_up_in_the_line_leaves_it_and_gets_no_session(world: World) -> None:
    door_ = await slow_door(world)
    alice, bob = Bench(door_), Bench(door_)
    await alice.log_in("alice")
    await authenticate(bob, "bob")
    bob.push(BIND.format("phone"))
    await until(lambda: len(door_.line) == 1)
    end(bob)
    await world.settle()
    assert not len(door_.line)
    assert world.server.session_count == 1
    end(alice)


async def test_one_that_binds_when_the_line_is_full_is_told_when_to_come_and_may_ask_again(
    world: World,
) -> None:
    door_ = await slow_door(world)
    bob = Bench(door_)
    await authenticate(bob, "bob")
    full(door_)
    with capture_logs() as logs:
        bob.push(BIND.format("phone"))
        answer = await bob.hear("</iq>")
    assert "type='wait'" in answer or 'type="wait"' in answer
    refused = [line for line in logs if line["event"] == "session_refused"]
    assert [(line["account"], line["log_level"]) for line in refused] == [("bob@localhost", "debug")]
    world.clock.advance(told_in(answer))
    bob.push(BIND.format("phone"))
    await bob.hear("bob@localhost/phone")
    end(bob)


async def test_one_that_binds_while_it_logs_in_is_told_by_the_end_of_the_stream(world: World) -> None:
    door_ = await slow_door(world)
    bob = Bench(door_)
    bob.push(HEADER)
    await bob.hear("features>")
    full(door_)
    bob.push(SASL2.format(plain("bob")))
    heard = await bob.hear("</stream:stream>")
    assert told_in(heard) >= PATIENCE
    assert "<success" not in heard
    assert not world.server.session_count
    end(bob)


async def test_a_newcomer_is_turned_away_before_it_costs_anything(world: World) -> None:
    door_ = await slow_door(world)
    policy = msgspec.structs.replace(door_.policy, refusal=door_.line.refusal)
    door_ = msgspec.structs.replace(door_, policy=policy)
    alice = Bench(door_)
    await alice.log_in("alice")
    full(door_)
    bob = Bench(door_)
    bob.push(HEADER)
    heard = await bob.hear("</stream:stream>")
    told = told_in(heard)
    assert "features" not in heard
    assert re.search("from=['\"]localhost['\"]", heard)
    alice.push("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    await alice.hear("result")
    world.clock.advance(told)
    again = Bench(door_)
    await again.log_in("bob")
    for bench in (alice, bob, again):
        end(bench)


# --- another rate while it runs


async def test_a_higher_rate_lets_those_in_who_wait() -> None:
    clock = VirtualClock()
    line = LoginLine(clock, 1)
    places = [line.enter(f"user{number}") for number in range(8)]
    assert sum(map(is_in, places)) == 1
    line.use_rate(100)
    clock.advance(0.2)
    assert all(map(is_in, places))


async def test_without_a_rate_all_who_wait_come_in_and_nobody_waits_any_more() -> None:
    clock = VirtualClock()
    line = LoginLine(clock, 1)
    places = [line.enter(f"user{number}") for number in range(8)]
    line.use_rate(0)
    assert all(map(is_in, places))
    assert len(line) == 0
    assert line.enter("late") is None
    line.use_rate(1)
    assert line.enter("first") is None
    assert not is_in(line.enter("second"))
