"""A throttle that cannot be outrun: many guesses at once, names in the log, and who is not slowed down."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tests.streams.stand import AUTH, HEADER, conditions
from tests.streams.test_connection import Bench, Down, Slow, door, end, guess
from tidings.base.jid import Jid
from tidings.streams.listener import ListenerContext
from tidings.streams.login import StoredCredentials
from tidings.streams.login_throttle import Attempt, LoginThrottle, Turn
from tidings.wire.xmpp.negotiation.values import TlsInfo
from tidings.wire.xmpp.sasl.offer import Offer
from tidings.wire.xmpp.sasl.scram import ScramClient

SCRAM = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{}'>{}</auth>"
TOKEN = (
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'>"
    "<initial-response>{}</initial-response>"
    "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><fast xmlns='urn:xmpp:fast:0'/></authenticate>"
)
RESPONSE = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>"


class Counting(StoredCredentials):
    """Counts the passwords that are looked at."""

    looked_at: int

    async def check_password(
        self, account: Jid, password: str, iterations: int = 0
    ) -> tuple[bool, str | None]:
        type(self).looked_at += 1
        await asyncio.sleep(0)
        return password == "secret", None


def coded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


async def scram_client(bench: Bench, password: str = "wrong", name: str = "alice") -> ScramClient:
    """Begin SCRAM, as far as the challenge."""
    bench.push(HEADER)
    offered = (await bench.hear("features>")).partition("</mechanisms>")[0]
    offer = Offer(tuple(re.findall("<mechanism>(.*?)</mechanism>", offered)))
    client = ScramClient("SCRAM-SHA-256", name, password, nonce="n" * 16, offer=offer)
    bench.push(SCRAM.format("SCRAM-SHA-256", coded(client.first())))
    return client


async def proof(bench: Bench, client: ScramClient) -> str:
    heard = await bench.hear("</challenge>")
    challenge = heard.partition("<challenge")[2].partition(">")[2].partition("<")[0]
    return RESPONSE.format(coded(client.receive(base64.b64decode(challenge))))


async def many(door_: ListenerContext, count: int, address: str = "192.0.2.7") -> list[Bench]:
    return [Bench(door_, address) for _ in range(count)]


# --- many at once


async def test_of_many_guesses_at_once_three_are_looked_at(world: World) -> None:
    Counting.looked_at = 0
    benches = await many(await door(world, Counting), 150)
    for number, bench in enumerate(benches):
        bench.push(HEADER)
        await guess(bench, "alice", "secret" if number == 149 else "wrong")
    await world.settle()
    assert Counting.looked_at == 3
    await world.advance(0)
    assert Counting.looked_at == 3
    told = "".join(bench.written for bench in benches)
    assert told.count("<temporary-auth-failure") == 144  # three more wait for their time
    assert "<success" not in told
    for bench in benches:
        end(bench)
    assert not world.server.telemetry.logins


async def test_of_many_proofs_of_scram_at_once_three_are_looked_at(world: World) -> None:
    benches = await many(await door(world), 40)
    proofs = [await proof(bench, await scram_client(bench)) for bench in benches]
    for bench, text in zip(benches, proofs, strict=True):
        bench.push(text)
    await world.settle()
    assert world.server.telemetry.login_failures["not-authorized"] == 3
    await world.advance(0)
    assert world.server.telemetry.login_failures["not-authorized"] == 3
    for bench in benches:
        end(bench)


async def test_of_many_tokens_at_once_three_are_looked_at(world: World) -> None:
    benches = await many(await door(world), 40)
    for bench in benches:
        bench.push(HEADER)
        bench.push(TOKEN.format(coded(b"alice\0" + b"x" * 32)))
    for _ in benches:
        await world.advance(0)
    assert world.server.telemetry.login_failures["not-authorized"] == 3
    for bench in benches:
        end(bench)


async def test_an_office_that_comes_back_at_once_is_let_in_at_once(world: World) -> None:
    benches = await many(await door(world, Counting), 40)
    Counting.looked_at = 0
    for bench in benches:
        bench.push(HEADER)
        await guess(bench, "alice", "secret")
    for _ in benches:
        await world.advance(0)  # no time passes
    await world.settle()
    assert all("<success" in bench.written for bench in benches)
    for bench in benches:
        end(bench)


async def test_who_has_a_challenge_and_is_silent_keeps_nobody_out(world: World) -> None:
    door_ = await door(world)
    silent = await many(door_, 40)
    for bench in silent:
        await scram_client(bench)
        await bench.hear("</challenge>")
    neighbour = Bench(door_)
    neighbour.push(await proof(neighbour, await scram_client(neighbour, "secret", "bob")))
    await neighbour.hear("<success")
    for bench in (*silent, neighbour):
        end(bench)


async def test_hanging_up_while_the_password_is_looked_at_is_a_guess(world: World) -> None:
    Slow.gate = asyncio.Event()
    door_ = await door(world, Slow)
    for _ in range(3):
        bench = Bench(door_)
        bench.push(HEADER)
        await guess(bench, "alice", "wrong")
        await asyncio.sleep(0)
        end(bench)
    Slow.gate.set()
    await world.settle()
    assert door_.throttle.enter("bob", "192.0.2.7", list).turn is Turn.WAITS


async def test_who_leaves_the_line_makes_room(world: World) -> None:
    Slow.gate = asyncio.Event()
    benches = await many(await door(world, Slow), 6)
    for bench in benches:
        bench.push(HEADER)
        await guess(bench, "alice", "secret")
    for bench in benches[3:5]:  # they wait in line, and hang up
        end(bench)
    Slow.gate.set()
    await world.settle()
    await world.advance(0)
    await world.settle()
    assert ["<success" in bench.written for bench in benches] == [True, True, True, False, False, True]
    for bench in benches:
        end(bench)


async def test_a_store_that_is_down_makes_nobody_a_guesser(world: World) -> None:
    door_ = await door(world, Down)
    for _ in range(10):
        bench = Bench(door_)
        bench.push(HEADER)
        await guess(bench, "alice", "secret")
        await bench.hear("<temporary-auth-failure")
        end(bench)
    assert door_.throttle.enter("alice@localhost", "192.0.2.7", list).turn is Turn.HAS_COME


# --- what is no wrong password


def binding_unknown(_: Bench) -> str:
    return SCRAM.format("SCRAM-SHA-256-PLUS", coded("p=tls-unique,,n=alice,r=abcdefgh"))


def binding_denied(_: Bench) -> str:
    return SCRAM.format("SCRAM-SHA-256", coded("y,,n=alice,r=abcdefgh"))


def broken(_: Bench) -> str:
    return AUTH.format(coded("\0alice\0"))


def aborted(bench: Bench) -> str:
    bench.push(SCRAM.format("SCRAM-SHA-256", coded("n,,n=alice,r=abcdefgh")))
    return "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"


@pytest.mark.parametrize("send", [binding_unknown, binding_denied, broken, aborted])
async def test_what_does_not_fit_is_no_wrong_password_and_the_log_names_who_tried(
    world: World, send: Callable[[Bench], str]
) -> None:
    door_ = await door(world, login_failures=3)
    bench = Bench(door_, tls=TlsInfo(version="TLSv1.3", end_point=b"e" * 32))
    bench.push(HEADER)
    with capture_logs() as logs:
        for _ in range(5):
            text = send(bench)
            if "<abort" in text:
                await bench.hear("</challenge>")
            bench.push(text)
            await bench.hear("</failure>")
    assert {line["account"] for line in logs if line["event"] == "login_failed"} == {"alice@localhost"}
    await guess(bench, "alice", "secret")
    await bench.hear("<success")
    end(bench)


async def test_what_does_not_fit_has_a_bound_on_one_stream(world: World) -> None:
    bench = Bench(await door(world, login_failures=3))
    bench.push(HEADER)
    for _ in range(12):
        assert not bench.closed
        bench.push(broken(bench))
    assert conditions(bench.written) == ["policy-violation"]
    assert bench.written.count("<failure") == 12
    end(bench)


async def test_what_does_not_fit_is_told_once_a_minute(world: World) -> None:
    door_ = await door(world, login_failures=3)
    with capture_logs() as logs:
        for seconds in (0, 0, 61):
            world.clock.advance(seconds)
            bench = Bench(door_)
            bench.push(HEADER)
            for _ in range(10):
                bench.push(broken(bench))
            end(bench)
    told = [
        line.get("more", 0) for line in logs if (line["event"], line["log_level"]) == ("login_failed", "info")
    ]
    assert told == [0, 19]


async def test_a_name_that_nobody_can_have_stands_in_the_log(world: World) -> None:
    bench = Bench(await door(world))
    bench.push(HEADER)
    with capture_logs() as logs:
        await guess(bench, "al ice", "wrong")
        await bench.hear("</failure>")
    assert [line["account"] for line in logs if line["event"] == "login_failed"] == ["al ice"]
    end(bench)


# --- the throttle itself


class Asker:
    """Attempts at a throttle, and when their turns came."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.throttle = LoginThrottle(self.clock)

    def waits(self, account: str, address: str) -> float | None:
        """Tell how long an attempt waits; it stays under way. None: it is refused."""
        came: list[float] = []
        began = self.clock.monotonic()
        attempt = self.throttle.enter(account, address, lambda: came.append(self.clock.monotonic() - began))
        if attempt.turn is not Turn.WAITS:
            return None if attempt.turn is Turn.REFUSED else 0
        self.clock.advance(60)
        attempt.leave()
        return came[0]

    def is_held_back(self, account: str, address: str) -> bool:
        attempt = self.throttle.enter(account, address, list)
        is_held_back = attempt.turn is not Turn.HAS_COME
        attempt.leave()
        return is_held_back


def test_the_attempts_of_a_guesser_come_one_after_the_other() -> None:
    asker = Asker()
    for _ in range(50):
        asker.throttle.failed("alice", "192.0.2.1")
    came: list[float] = []

    def enter(account: str) -> Attempt:
        return asker.throttle.enter(account, "192.0.2.1", lambda: came.append(asker.clock.monotonic()))

    turns = [enter("alice").turn for _ in range(7)]
    assert turns[-1] is Turn.REFUSED
    assert enter("bob").turn is Turn.REFUSED  # its other guesses, too
    asker.clock.advance(60)
    assert came == [8, 16, 24]


def test_owners_and_neighbours_are_not_locked_out() -> None:
    asker = Asker()
    for _ in range(50):
        asker.throttle.failed("alice", "192.0.2.1")
    # the owner waits a moment at most, and not at all where it has logged in before
    assert asker.waits("alice", "198.51.100.1") == 2
    for _ in range(50):
        asker.throttle.failed("alice", "192.0.2.1")
    asker.throttle.succeeded("alice", "198.51.100.1")
    assert not asker.is_held_back("alice", "198.51.100.1")
    # others are not concerned
    assert not asker.is_held_back("bob", "198.51.100.2")
    # an own account on the side lifts nothing
    asker.throttle.succeeded("mallory", "192.0.2.1")
    asker.clock.advance(60)
    assert asker.is_held_back("alice", "192.0.2.1")
    asker.clock.advance(600)
    assert not asker.is_held_back("alice", "192.0.2.1")


def test_who_shares_the_owner_s_address_cannot_guess_at_once_either() -> None:
    asker = Asker()
    asker.throttle.succeeded("alice", "192.0.2.1")
    turns = [asker.throttle.enter("alice", "192.0.2.1", list).turn for _ in range(10)]
    assert turns == [Turn.HAS_COME] * 3 + [Turn.WAITS] * 7


def test_networks_are_counted_and_the_oldest_forgotten() -> None:
    asker = Asker()
    for number in range(4):
        asker.throttle.failed("", f"2001:db8::{number}")
    assert asker.is_held_back("", "2001:db8::ffff")
    assert not asker.is_held_back("", "2001:db8:0:1::1")
    for number in range(60_000):
        asker.throttle.failed(f"user{number}" + "x" * 1_000, "192.0.2.1")
    assert len(asker.throttle._records) <= 20_000
    assert max(map(len, asker.throttle._records)) < 200
    for number in range(10):
        asker.throttle.failed(f"user{number}", "127.0.0.1")
    assert not asker.is_held_back("somebody", "127.0.0.1")


def test_nothing_is_kept_of_attempts_that_are_over() -> None:
    asker = Asker()
    attempts = [asker.throttle.enter(f"user{number}", "192.0.2.1", list) for number in range(100)]
    for number, attempt in enumerate(attempts):
        (attempt.failed, attempt.leave, attempt.succeeded)[number % 3]()
        asker.clock.advance(0)
    asker.clock.advance(60)
    assert not asker.throttle._under_way
    assert not asker.throttle._lines
    assert asker.clock.is_idle
