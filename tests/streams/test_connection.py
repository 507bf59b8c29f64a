"""The life of a connection: deadlines, silence, floods before log-in, guessing, ends at awkward moments."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from tests.harness.world import World
from tests.streams.stand import AUTH, BIND, HEADER, KEYS, SECRET, conditions, plain, until
from tidings.base.errors import BackendError, StreamError
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.kernel.events import SessionBound, SessionEnded
from tidings.kernel.feature import Feature, listens
from tidings.kernel.session import Client
from tidings.streams.connection import Connection
from tidings.streams.listener import ConnectionOptions, ListenerContext
from tidings.streams.login import StoredCredentials
from tidings.streams.login_line import LoginLine
from tidings.streams.login_throttle import LoginThrottle
from tidings.streams.negotiator import Negotiator
from tidings.wire.xml.fragment import StreamHead
from tidings.wire.xml.parser import StreamParser
from tidings.wire.xmpp.framing import TcpFraming, stream_header
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.negotiation.values import TlsInfo
from tidings.wire.xmpp.stanza import Stanza


class Bench:
    """A transport in memory, and the client that holds its other end."""

    def __init__(self, door: ListenerContext, address: str = "192.0.2.7", tls: TlsInfo | None = None) -> None:
        self.written = ""
        self.closed = self.aborted = self.paused = False
        self.unread = 0
        self._parser = StreamParser(XmlLimits())
        client = Client(transport="tcp", address=address, secure=True, since=0)
        self.connection = Connection(door, self, TcpFraming(), client, tls)

    # --- the kernel's Transport

    def write(self, pieces: list[bytes]) -> None:
        self.written += b"".join(pieces).decode()

    def backlog(self) -> int:
        return self.unread

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def start_tls(self) -> None:
        raise AssertionError("not offered")

    def logged_in(self) -> None:
        pass

    def rest(self) -> None:
        pass

    # --- the client

    def push(self, text: str) -> None:
        """Send it in one piece."""
        events: list[Any] = list(self._parser.feed(text.encode()))
        items = [stream_header(event) if isinstance(event, StreamHead) else event for event in events]
        self.connection.receive(items)

    async def hear(self, text: str) -> str:
        await until(lambda: text in self.written)
        heard, self.written = self.written, ""
        return heard

    async def log_in(self, name: str = "alice", resource: str = "phone") -> None:
        self.push(HEADER)
        self.push(AUTH.format(plain(name)))
        await self.hear("<success")
        self.push(HEADER)
        self.push(BIND.format(resource))
        await self.hear("</iq>")


class Slow(StoredCredentials):
    """Credentials that a test gives away when it wants to."""

    gate: asyncio.Event

    async def check_password(
        self, account: Jid, password: str, iterations: int = 0
    ) -> tuple[bool, str | None]:
        await self.gate.wait()
        return password == "secret", None


class Down(StoredCredentials):
    async def check_password(
        self, account: Jid, password: str, iterations: int = 0
    ) -> tuple[bool, str | None]:
        raise BackendError("the database is gone")


class Buggy(StoredCredentials):
    async def check_password(
        self, account: Jid, password: str, iterations: int = 0
    ) -> tuple[bool, str | None]:
        raise ZeroDivisionError


async def door(
    world: World, kind: type[StoredCredentials] = StoredCredentials, login_failures: int = 50, **limits: float
) -> ListenerContext:
    await world.stores.accounts.create(Jid("alice@localhost"), KEYS, 0)
    await world.stores.accounts.create(Jid("bob@localhost"), KEYS, 0)
    policy = HostPolicy(
        domain="localhost", plain_without_tls=True, tls_required=False, tls_available=False, iterations=4096
    )
    credentials = kind(world.stores.accounts, world.clock, SECRET)
    return ListenerContext(
        server=world.server,
        policy=StreamPolicy(host={"localhost": policy}.get, secret=SECRET, max_login_attempts=login_failures),
        credentials=lambda _: credentials,
        throttle=LoginThrottle(world.clock),
        line=LoginLine(world.clock, 0),
        negotiator=Negotiator,
        options=ConnectionOptions(**limits),
    )


def end(bench: Bench) -> None:
    bench.connection.lost()


# --- deadlines


@pytest.mark.parametrize("said", ["", HEADER, "<?xml version='1.0'?><stream:str"])
async def test_who_does_not_log_in_in_time_is_sent_away(world: World, said: str) -> None:
    bench = Bench(await door(world, login_seconds=30))
    if said:
        bench.push(said)
    await world.advance(29)
    assert not bench.closed
    await world.advance(1)
    assert conditions(bench.written) == ["policy-violation"]
    assert bench.closed
    await world.advance(5)
    assert bench.aborted  # it does not close either
    end(bench)
    assert not world.server.connections


async def test_the_time_to_log_in_is_longer_once_tls_stands(world: World) -> None:
    """A person may be reading the certificate that the client does not know."""
    bench = Bench(await door(world, login_seconds=30, tls_login_seconds=120))
    await world.advance(29)
    bench.connection.tls_established(TlsInfo(version="TLSv1.3"))
    bench.push(HEADER)
    await world.advance(119)
    assert not bench.closed
    await world.advance(1)
    assert conditions(bench.written) == ["policy-violation"]
    end(bench)


async def test_encryption_never_shortens_the_time_to_log_in(world: World) -> None:
    bench = Bench(await door(world, login_seconds=300, tls_login_seconds=120))
    bench.connection.tls_established(TlsInfo(version="TLSv1.3"))
    await world.advance(299)
    assert not bench.closed
    await world.advance(1)
    assert bench.closed
    end(bench)


async def test_a_silent_client_is_asked_and_then_given_up(world: World) -> None:
    bench = Bench(await door(world, idle_seconds=100))
    await bench.log_in()
    await world.advance(99)
    assert "urn:xmpp:ping" not in bench.written
    await world.advance(1)
    assert "urn:xmpp:ping" in await bench.hear("<iq")
    await world.advance(59)
    assert not bench.closed
    await world.advance(1)
    assert conditions(bench.written) == ["connection-timeout"]
    end(bench)
    assert world.server.session_count == 0


@pytest.mark.parametrize("is_white_space", [True, False])
async def test_a_sign_of_life_is_enough(world: World, is_white_space: bool) -> None:
    bench = Bench(await door(world, idle_seconds=100))
    await bench.log_in()
    await world.advance(100)
    await bench.hear("urn:xmpp:ping")
    if is_white_space:
        bench.connection.heard()
    else:
        bench.push("<iq type='result' id='1' to='localhost'/>")
    await world.advance(60)
    assert not bench.closed
    end(bench)


async def test_no_timer_is_left_behind() -> None:
    world = await World.start(features=())  # some features do something every while
    before = world.clock.waiting
    bench = Bench(await door(world))
    await bench.log_in()
    end(bench)
    await world.advance(5)
    assert world.clock.waiting == before
    await world.stop()


# --- before log-in


async def test_what_arrives_while_the_negotiation_waits_is_kept_in_order(world: World) -> None:
    Slow.gate = asyncio.Event()
    bench = Bench(await door(world, Slow))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    bench.push(HEADER + BIND.format("phone") + "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert "<success" not in bench.written
    Slow.gate.set()
    heard = await bench.hear('id="1"')
    assert heard.index("<success") < heard.index('id="bind"') < heard.index('id="1"')
    end(bench)


async def test_a_flood_before_log_in_pauses_reading_and_resumes(world: World) -> None:
    Slow.gate = asyncio.Event()
    bench = Bench(await door(world, Slow))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    pings = "".join(f"<iq type='get' id='p{n}'><ping xmlns='urn:xmpp:ping'/></iq>" for n in range(30))
    bench.push(HEADER + BIND.format("phone") + pings)
    assert bench.paused
    Slow.gate.set()
    await bench.hear('id="p29"')
    assert not bench.paused
    end(bench)


async def test_a_large_flood_before_log_in_ends_the_stream(world: World) -> None:
    Slow.gate = asyncio.Event()
    bench = Bench(await door(world, Slow))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    negotiator = bench.connection._negotiator
    bench.push("<a/>" * 10_000)
    assert conditions(bench.written) == ["policy-violation"]
    assert not negotiator._items
    assert bench.connection._negotiator is None
    Slow.gate.set()
    end(bench)


async def test_a_store_that_is_down_is_told_and_tried_again(world: World) -> None:
    bench = Bench(await door(world, Down))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    assert "temporary-auth-failure" in await bench.hear("</failure>")
    assert not bench.closed
    end(bench)


async def test_a_bug_ends_the_stream_at_once(world: World) -> None:
    bench = Bench(await door(world, Buggy))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    assert conditions(await bench.hear("</stream:stream>")) == ["internal-server-error"]
    assert world.server.telemetry.bugs["negotiation"] == 1
    end(bench)


async def test_a_client_that_leaves_while_its_password_is_checked(world: World) -> None:
    Slow.gate = asyncio.Event()
    bench = Bench(await door(world, Slow))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    end(bench)
    Slow.gate.set()
    await world.settle()
    assert not world.server.connections
    assert not world.server.telemetry.bugs


# --- guessing


async def guess(bench: Bench, name: str, password: str) -> None:
    bench.push(AUTH.format(base64.b64encode(f"\0{name}\0{password}".encode()).decode()))


async def test_who_guesses_passwords_is_slowed_down_and_the_right_one_waits_too(world: World) -> None:
    door_ = await door(world)
    bench = Bench(door_)
    bench.push(HEADER)
    for _ in range(3):
        await guess(bench, "alice", "wrong")
        await bench.hear("</failure>")
    await guess(bench, "alice", "secret")
    await asyncio.sleep(0)
    assert bench.written == ""
    await world.advance(1)
    await bench.hear("<success")
    end(bench)


async def test_hanging_up_or_breaking_the_stream_does_not_skip_the_wait(world: World) -> None:
    door_ = await door(world)
    for _ in range(3):
        door_.throttle.failed("alice@localhost", "192.0.2.7")
    bench = Bench(door_)
    bench.push(HEADER)
    await guess(bench, "alice", "secret")
    bench.connection.fail(StreamError("not-well-formed"))
    assert "<success" not in bench.written
    assert "<failure" not in bench.written
    assert conditions(bench.written) == ["not-well-formed"]
    end(bench)
    await world.advance(60)
    assert not world.server.telemetry.logins
    assert not world.server.telemetry.login_failures


# --- binding


class Dawdling(Feature):
    """Makes binding take as long as a test wants, and counts ends."""

    gate: asyncio.Event
    ended: list[str]
    error: Exception | None = None

    @listens(SessionBound)
    async def wait(self, event: SessionBound) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error

    @listens(SessionEnded)
    def note(self, event: SessionEnded) -> None:
        self.ended.append(event.session.jid)


@pytest.fixture
async def dawdling() -> Any:
    Dawdling.gate, Dawdling.ended, Dawdling.error = asyncio.Event(), [], None
    world = await World.start(features=[Dawdling])
    yield world
    Dawdling.gate.set()
    await world.stop()


@pytest.mark.parametrize("is_withdrawn", [False, True])
async def test_a_domain_that_is_closed_between_log_in_and_binding(world: World, is_withdrawn: bool) -> None:
    bench = Bench(await door(world))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    await bench.hear("<success")
    world.server.hosts["localhost"].takes_logins = False
    if is_withdrawn:
        world.router.withdraw("localhost")
    bench.push(HEADER + BIND.format("phone"))
    assert "<host-gone" in await bench.hear("</stream:stream>")
    assert world.server.session_count == 0
    assert not world.server.telemetry.bugs


async def binding(world: World, bench: Bench) -> None:
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    await bench.hear("<success")
    count = world.server.session_count
    bench.push(HEADER + BIND.format("phone"))
    await until(lambda: world.server.session_count > count or Dawdling.ended)


async def test_a_client_that_disappears_while_its_session_is_made(dawdling: World) -> None:
    bench = Bench(await door(dawdling))
    await binding(dawdling, bench)
    end(bench)
    Dawdling.gate.set()
    await dawdling.settle()
    assert dawdling.server.session_count == 0
    assert Dawdling.ended == ["alice@localhost/phone"]


async def test_what_is_sent_to_a_session_before_its_client_knows_of_it_comes_after(dawdling: World) -> None:
    bench = Bench(await door(dawdling))
    await binding(dawdling, bench)
    [session] = dawdling.server.sessions()
    session.send(Stanza.build("message", to=session.jid, id="early"))
    await asyncio.sleep(0)
    assert "early" not in bench.written
    Dawdling.gate.set()
    heard = await bench.hear("early")
    assert heard.index('id="bind"') < heard.index("early")
    end(bench)


async def test_two_clients_bind_the_same_resource_at_the_same_time(dawdling: World) -> None:
    door_ = await door(dawdling)
    first, second = Bench(door_), Bench(door_)
    await binding(dawdling, first)
    second.push(HEADER)
    second.push(AUTH.format(plain("alice")))
    await second.hear("<success")
    second.push(HEADER + BIND.format("phone"))
    await until(lambda: first.closed)
    assert conditions(first.written) == ["conflict"]
    Dawdling.gate.set()
    await second.hear('id="bind"')
    assert dawdling.server.session_count == 1
    assert Dawdling.ended == ["alice@localhost/phone"]
    [session] = dawdling.server.sessions()
    assert session.link is second.connection
    end(first)
    assert dawdling.server.session_count == 1
    end(second)
    await dawdling.settle()
    assert dawdling.server.session_count == 0
    assert len(Dawdling.ended) == 2


async def test_a_store_that_fails_while_a_session_is_made_leaves_none(dawdling: World) -> None:
    bench = Bench(await door(dawdling))
    await binding(dawdling, bench)
    Dawdling.error = BackendError("gone")
    Dawdling.gate.set()
    assert "resource-constraint" in await bench.hear("</iq>")
    await dawdling.settle()
    assert dawdling.server.session_count == 0
    Dawdling.error = None
    bench.push(BIND.format("phone"))
    await bench.hear("<jid>")
    end(bench)


async def test_an_account_that_is_removed_during_log_in(dawdling: World) -> None:
    bench = Bench(await door(dawdling))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    await bench.hear("<success")
    await dawdling.stores.accounts.remove(Jid("alice@localhost"))
    bench.push(HEADER + BIND.format("phone"))
    assert "not-authorized" in await bench.hear("</iq>")
    assert dawdling.server.session_count == 0
    end(bench)


async def test_the_number_of_sessions_is_limited() -> None:
    world = await World.start(sessions_per_account=1)
    door_ = await door(world)
    first, second = Bench(door_), Bench(door_)
    await first.log_in()
    second.push(HEADER)
    second.push(AUTH.format(plain("alice")))
    await second.hear("<success")
    second.push(HEADER + BIND.format("desk"))
    answer = await second.hear("</iq>")
    assert "resource-constraint" in answer
    assert 'type="wait"' in answer
    assert not second.closed
    second.push(BIND.format("phone"))  # takes the place of the first
    await second.hear("<jid>")
    assert conditions(first.written) == ["conflict"]
    end(first)
    end(second)
    await world.stop()


# --- writing and ending


async def test_a_slow_reader_is_cut(world: World) -> None:
    bench = Bench(await door(world, outbound_bytes=1000))
    await bench.log_in()
    bench.unread = 1001
    [session] = world.server.sessions()
    session.send(Stanza.build("message", to=session.jid))
    await world.settle()
    assert not bench.aborted  # one stanza may be larger alone
    bench.unread = 2000
    session.send(Stanza.build("message", to=session.jid))
    await world.settle()
    assert bench.aborted
    assert world.server.session_count == 0
    end(bench)


async def test_what_waits_in_all_connections_together_is_bounded_and_the_largest_goes_first() -> None:
    world = await World.start(outbound_octets=1_000_000)
    doorway = await door(world)
    benches = {name: Bench(doorway) for name in ("alice", "bob")}
    for name, bench in benches.items():
        await bench.log_in(name)
    alice, bob = benches.values()
    for session in world.server.sessions():
        benches[session.jid.local].unread = 400_000
        session.send(Stanza.build("message", to=session.jid))
    await world.settle()
    assert world.server.outbound.octets == 800_000
    alice.unread, bob.unread = 100_000, 700_000
    [of_bob] = [session for session in world.server.sessions() if session.jid.local == "bob"]
    of_bob.send(Stanza.build("message", to=of_bob.jid))
    await world.settle()
    assert not bob.aborted  # alice has read meanwhile
    assert world.server.outbound.octets == 800_000
    bob.unread = 950_000
    of_bob.send(Stanza.build("message", to=of_bob.jid))
    await world.settle()
    assert bob.aborted
    assert conditions(bob.written) == ["resource-constraint"]
    assert not alice.aborted
    assert world.server.session_count == 1
    assert world.server.outbound.octets == 100_000
    end(alice)
    end(bob)
    assert world.server.outbound.octets == 0
    await world.stop()


async def test_every_end_after_the_first_does_nothing(world: World) -> None:
    bench = Bench(await door(world))
    await bench.log_in()
    bench.connection.close(StreamError("conflict"))
    bench.connection.close(StreamError("reset"))
    bench.connection.fail(StreamError("reset"))
    end(bench)
    end(bench)
    bench.push("</stream:stream>")
    await world.settle()
    assert conditions(bench.written) == ["conflict"]
    assert world.server.session_count == 0
    assert world.server.telemetry.stream_errors == {"conflict": 1}
