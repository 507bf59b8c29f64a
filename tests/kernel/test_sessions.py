"""Sessions and accounts: slots, detaching, ends, the directory, hosts beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.base.errors import BackendError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.account import Account, admit, dismiss, sessions_of
from tidings.kernel.directory import Directory
from tidings.kernel.events import SessionEnded, StanzaSubmitted
from tidings.kernel.feature import Addressee, Feature, handles, listens, loads
from tidings.kernel.hooks import Hooks, Stage
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Client, Session
from tidings.kernel.slots import Slot
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.acks import SentWindow, WindowLimits
from tidings.wire.xmpp.payloads.ping import Ping
from tidings.wire.xmpp.stanza import Stanza

ALICE = Jid("alice@localhost")


class Link:
    """A connection that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.error: StreamError | None = None
        self.closed = False

    def send(self, out: Outgoing) -> None:
        self.sent.append(out.to_bytes())

    def send_nonza(self, raw: bytes) -> None:
        self.sent.append(raw)

    def request_ack(self) -> None:
        pass

    def backlog(self) -> int:
        return 0

    @property
    def rests_since(self) -> float | None:
        return None

    def has_room(self) -> bool:
        return True

    def close(self, error: StreamError | None) -> None:
        self.closed, self.error = True, error

    def abort(self) -> None:
        raise AssertionError("nobody asked for it")

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


class Ends(Feature):
    """Counts the ends of sessions; the first of its two handlers fails."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    @listens(SessionEnded, stage=Stage.DELIVER)
    def fail(self, event: SessionEnded) -> None:
        raise BackendError("gone")

    @listens(SessionEnded)
    async def note(self, event: SessionEnded) -> None:
        self.ended.append(event.session.jid)


def message(number: int, session: Session) -> Stanza:
    return Stanza.build("message", id=str(number), to=session.jid)


# --- slots


def test_slots_have_defaults_and_factories() -> None:
    number, names = Slot("number", default=3), Slot[list[str]]("names", factory=list)
    one, two = Account(ALICE, exists=True), Account(ALICE, exists=True)
    assert one[number] == 3
    one[names].append("x")
    assert one[names] == ["x"]
    assert two[names] == []
    one[number] = 4
    assert (one[number], two[number]) == (4, 3)
    del one[number]
    del one[number]
    assert one[number] == 3
    assert Slot("number", default=5) is not number
    assert one[Slot("number", default=5)] == 5  # the slot is the key, not its name


# --- detaching


def manage(session: Session, **limits: int) -> None:
    """Let it be resumed, as stream management does."""
    session.flow.count(SentWindow(WindowLimits(**limits)))
    session.flow.resume_seconds = 60


def back(world: World, session: Session) -> Link:
    """Let its client come back over a new connection."""
    link = Link()
    world.server.resume(session, way(), link)
    return link


def way() -> Client:
    return Client(transport="websocket", address="::1", secure=True, since=1.0)


async def test_a_detached_session_keeps_what_it_is_sent_and_gives_it_to_the_next_connection(
    world: World,
) -> None:
    alice = await world.login("alice@localhost/phone")
    session = alice.session
    manage(session)
    session.send(message(0, session))
    alice.take()
    await alice.lose()
    assert session.detached
    assert not session.ended
    for number in range(1, 5):
        session.send(message(number, session))
    assert alice.received == []
    link = back(world, session)
    session.send(message(5, session))
    assert [f'id="{number}"'.encode() in raw for number, raw in enumerate(link.sent)] == [True] * 6
    assert session.flow.sent == 6
    assert (session.transport, session.address) == ("websocket", "::1")
    await world.advance(100)
    assert not session.ended


async def test_what_is_acknowledged_is_not_sent_again(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    session = alice.session
    session.send(message(0, session))
    manage(session)
    for number in range(1, 4):
        session.send(message(number, session))
    assert session.flow.window is not None
    session.flow.window.acknowledge(2)
    await alice.lose()
    link = back(world, session)
    assert [b'id="3"' in raw for raw in link.sent] == [True]


async def test_who_comes_back_is_the_same_device(world: World) -> None:
    alice = await world.login("alice@localhost/phone", device="d4565a47-8f0b-4b5b-9c3a-5c9f4d6c3b1e")
    manage(alice.session)
    await alice.lose()
    back(world, alice.session)
    assert alice.session.client.device == "d4565a47-8f0b-4b5b-9c3a-5c9f4d6c3b1e"


async def test_releasing_takes_a_session_from_the_connection_that_still_has_it(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    manage(alice.session)
    world.server.release(alice.session)
    world.server.release(alice.session)
    assert alice.error is not None
    assert alice.error.condition == "conflict"
    assert alice.session.detached
    assert world.server.session_count == 1
    await world.advance(61)
    assert alice.session.ended


async def test_a_session_that_is_not_counted_ends_with_its_connection(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    await alice.lose()
    assert alice.session.ended


@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_session_that_is_sent_more_than_its_window_holds_ends(is_lost: bool) -> None:
    world = await World.start(features=[Ends], archives=False)
    alice = await world.login("alice@localhost/phone")
    bob = await world.login("bob@localhost/desk")
    manage(alice.session, octets=1_000)
    if is_lost:
        await alice.lose()
    for _ in range(50):
        await bob.send("<message to='alice@localhost/phone' type='chat'><body>0123456789</body></message>")
    assert alice.session.ended
    assert alice.session.flow.window is None
    assert alice.closed
    assert world.server.hosts["localhost"].feature(Ends).ended == [alice.jid]
    assert world.server.session_count == 1
    assert bob.take("message")[-1].get("type") == "error"  # nobody is there any more
    await world.stop()


async def test_a_detached_session_can_be_closed() -> None:
    world = await World.start(features=[Ends])
    alice = await world.login("alice@localhost/phone")
    manage(alice.session)
    await alice.lose()
    alice.session.close(StreamError("not-authorized"))
    alice.session.close(StreamError("not-authorized"))
    await world.settle()
    assert alice.session.ended
    assert world.server.hosts["localhost"].feature(Ends).ended == [alice.jid]
    await world.advance(100)
    assert world.server.hosts["localhost"].feature(Ends).ended == [alice.jid]
    await world.stop()


# --- ends


async def test_a_handler_that_fails_does_not_keep_the_end_from_the_others() -> None:
    world = await World.start(features=[Ends])
    alice = await world.login("alice@localhost/phone")
    await alice.leave()
    await alice.lose()
    assert world.server.hosts["localhost"].feature(Ends).ended == [alice.jid]
    assert world.server.session_count == 0
    assert not world.server.telemetry.bugs
    await world.stop()


async def test_a_second_bind_closes_the_first_with_conflict() -> None:
    world = await World.start(features=[Ends])
    first = await world.login("alice@localhost/phone")
    second = await world.login("alice@localhost/phone")
    assert first.error is not None
    assert first.error.condition == "conflict"
    assert first.session.ended
    assert second.session.account.sessions == {"phone": second.session}
    assert world.server.hosts["localhost"].feature(Ends).ended == [first.jid]
    await first.leave()
    assert second.session.account.sessions == {"phone": second.session}
    await world.stop()


async def test_many_binds_of_one_resource_at_once_leave_one_session() -> None:
    world = await World.start(features=[Ends])
    clients = await asyncio.gather(*(world.login("alice@localhost/phone") for _ in range(10)))
    await world.settle()
    alive = [client for client in clients if not client.session.ended]
    assert len(alive) == 1
    assert world.server.session_count == 1
    assert list(world.server.sessions()) == [alive[0].session]
    assert len(world.server.hosts["localhost"].feature(Ends).ended) == 9
    assert sum(client.closed for client in clients) == 9
    await world.stop()


async def test_stop_ends_every_session_once() -> None:
    world = await World.start(features=[Ends])
    await world.login("alice@localhost/phone")
    bob = await world.login("bob@localhost/desk")
    manage(bob.session)
    await bob.lose()
    await world.stop()
    assert sorted(world.server.hosts["localhost"].feature(Ends).ended) == [
        "alice@localhost/phone",
        "bob@localhost/desk",
    ]


# --- the directory


class Store:
    """Says who exists, when the test lets it."""

    def __init__(self) -> None:
        self.known = {ALICE}
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    name = "account"

    def make(self, jid: Jid, *, exists: bool) -> Account:
        return Account(jid, exists=exists)

    async def exists(self, jid: Jid) -> bool:
        self.asked += 1
        known = jid in self.known
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return known


def session(account: Account, directory: Directory[Account]) -> Session:
    client = Client(transport="tcp", address="", secure=True, since=0)
    host = Host("localhost", Store(), directory, Hooks(Supervisor(Telemetry()), VirtualClock()))
    return Session(account.jid.with_resource("r"), account, host, client, Link())


async def waiting(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_concurrent_loads_make_one_account() -> None:
    store = Store()
    directory = Directory(store, 10)
    accounts = await asyncio.gather(*(directory.load(ALICE) for _ in range(5)))
    assert len(set(map(id, accounts))) == 1
    assert store.asked == 1


async def test_a_load_that_fails_fails_all_and_can_be_tried_again() -> None:
    store = Store()
    store.error = BackendError("gone")
    directory = Directory(store, 10)
    results = await asyncio.gather(*(directory.load(ALICE) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [BackendError] * 3
    store.error = None
    assert (await directory.load(ALICE)).exists


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_who_gives_up_a_load_takes_it_from_nobody(cancelled: int) -> None:
    store = Store()
    store.gate.clear()
    directory = Directory(store, 10)
    loads_ = [asyncio.ensure_future(directory.load(ALICE)) for _ in range(3)]
    await waiting(lambda: store.asked == 1)
    loads_[cancelled].cancel()
    await asyncio.sleep(0)
    store.gate.set()
    results = await asyncio.gather(*loads_, return_exceptions=True)
    assert [type(result) for result in results].count(Account) == 2
    assert len({id(result) for result in results if type(result) is Account}) == 1


async def test_what_changes_while_it_is_loaded_is_loaded_again() -> None:
    store = Store()
    store.gate.clear()
    directory = Directory(store, 10)
    nina = Jid("nina@localhost")
    load = asyncio.ensure_future(directory.load(nina))
    await waiting(lambda: store.asked == 1)
    store.known.add(nina)  # registered after the store was asked
    directory.forget(nina)
    store.gate.set()
    assert (await load).exists
    assert directory.get(nina).exists  # type: ignore[union-attr]


async def test_accounts_without_sessions_are_forgotten_oldest_first_and_others_never() -> None:
    store = Store()
    store.known |= {Jid(f"user{number}@localhost") for number in range(10)}
    directory = Directory(store, 2)
    alice = await directory.load(ALICE)
    own = session(alice, directory)
    admit(own)
    for number in range(10):
        await directory.load(Jid(f"user{number}@localhost"))
    assert directory.get(ALICE) is alice
    assert directory.get(Jid("user7@localhost")) is None
    assert directory.get(Jid("user9@localhost")) is not None
    dismiss(own)
    assert list(directory.pinned()) == []
    assert directory.get(ALICE) is alice
    directory.forget(ALICE)
    assert directory.get(ALICE) is None


async def test_an_account_that_was_removed_is_not_kept_after_its_last_session() -> None:
    directory = Directory(Store(), 10)
    alice = await directory.load(ALICE)
    own = session(alice, directory)
    admit(own)
    alice.exists = False
    directory.forget(ALICE)
    assert directory.get(ALICE) is alice
    dismiss(own)
    assert directory.get(ALICE) is None


async def test_anonymous_accounts_last_as_long_as_their_sessions() -> None:
    world = await World.start(domains=("anon.test",), anonymous=("anon.test",))
    guest = await world.login("guest@anon.test/x")
    assert guest.session.account.exists
    await guest.leave()
    assert not guest.session.account.exists
    assert world.server.hosts["anon.test"].directory.get(guest.jid.bare) is None
    await world.stop()


# --- hosts beside each other

SEEN = Slot("seen", default="")


class Local(Feature):
    """Everything that a feature can do, with what it has seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @handles(Ping, kind="get", at=Addressee.SERVER)
    def ping(self, request: Iq[Ping]) -> Element:
        self.seen.append(f"iq {request.sender}")
        return Element("pong", "urn:test")

    @listens(StanzaSubmitted)
    def out(self, event: StanzaSubmitted) -> None:
        self.seen.append(f"out {event.session.jid}")

    @loads(SEEN)
    async def load(self, account: Jid) -> str:
        self.seen.append(f"load {account}")
        return account


async def test_nothing_crosses_over_between_hosts() -> None:
    world = await World.start(features=[Local])
    here, there = (world.server.hosts[name].feature(Local) for name in ("localhost", "other.test"))
    assert here is not there
    one = await world.login("alice@localhost/x")
    two = await world.login("alice@other.test/x")
    assert one.session.account is not two.session.account
    assert (one.session.account[SEEN], two.session.account[SEEN]) == ("alice@localhost", "alice@other.test")
    assert there.seen == ["load alice@other.test"]
    await one.request("<iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    await one.send("<message to='alice@localhost' type='chat'><body>me</body></message>")
    assert two.take() == []
    assert there.seen == ["load alice@other.test"]
    assert list(sessions_of(world.server.hosts["other.test"])) == [two.session]
    await world.stop()
