"""Domains that come and go while the server runs."""

import asyncio
from typing import ClassVar

import pytest

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.adapters.memory import MemoryStores
from tidings.adapters.sql.ledger import open_memory_ledger
from tidings.app.compose import FEATURES, HostSettings, ServiceKind, build_server
from tidings.base.errors import BackendError, StreamError
from tidings.base.jid import Jid
from tidings.features.disco import ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.kernel.domains import DomainChanged
from tidings.kernel.feature import Feature
from tidings.kernel.host import Host
from tidings.messages.account_kind import AccountKind
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.ports.domains import DomainState
from tidings.ports.ledger.batch import Append, Entry, LedgerBatch

NEW, ALICE, CAROL = "new.test", Jid("alice@new.test"), Jid("carol@localhost")


async def call(context, name, **arguments):
    return await CATALOGUE.call(context, "domain", name, arguments)


async def refused(context, name, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code, caught.value.text


async def states(context):
    return {item.domain: item.state for item in (await call(context, "list")).items}


@pytest.fixture
async def added(world, live):
    """A server to which a domain has been added."""
    await call(live, "add", domain=NEW, administrators=["boss@new.test"])
    return world


async def test_a_domain_is_like_any_other_at_once(added, live):
    await CATALOGUE.call(live, "account", "register", {"user": ALICE, "password": "x"})
    alice, carol = await added.online(f"{ALICE}/phone"), await added.online(f"{CAROL}/desk")
    await carol.send(f"<message to='{ALICE}' type='chat'><body>welcome</body></message>")
    [message] = alice.take("message")
    assert (message.get("from"), message.text_of("body")) == (f"{CAROL}/desk", "welcome")
    ping = f"<iq type='get' id='p' to='{NEW}'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert (await carol.request(ping)).get("type") == "result"
    assert await added.stores.ledger.ends(ALICE) is not None
    assert (await CATALOGUE.call(live, "account", "count", {"domain": NEW})).count == 1


async def test_it_is_listed_with_those_of_the_configuration(added, live):
    [local, new, _] = (await call(live, "list")).items
    assert (local.domain, local.source, new.domain, new.source) == (
        "localhost", "configuration", NEW, "database"
    )  # fmt: skip
    assert (new.state, new.administrators, new.services) == ("enabled", ("boss@new.test",), ())
    page = await call(live, "list", limit=1)
    assert (page.items[0].domain, page.next) == ("localhost", "localhost")
    assert [item.domain for item in (await call(live, "list", after=page.next)).items] == [NEW, "other.test"]


@pytest.mark.parametrize("domain", ["localhost", NEW])
async def test_what_is_there_cannot_be_added(added, live, domain):
    assert await refused(live, "add", domain=domain) == ("conflict", f"the domain {domain} exists already")


@pytest.mark.parametrize("domain", ["alice@new.test", "new.test/x", "a b", ""])
async def test_what_is_no_domain_cannot_be_added(live, domain):
    assert (await refused(live, "add", domain=domain))[0] == "invalid"


@pytest.mark.parametrize("name", ["enable", "disable", "remove"])
async def test_the_configuration_has_the_last_word(live, name):
    code, text = await refused(live, name, domain="localhost")
    assert (code, text.partition(";")[0]) == ("conflict", "localhost is named in the configuration")
    assert (await refused(live, name, domain="nowhere.test"))[0] == "not-found"


async def test_nobody_logs_in_to_a_disabled_domain(added, live):
    alice, lost = await added.online(f"{ALICE}/phone"), await added.online(f"{ALICE}/train")
    await lost.manage()
    await lost.lose()
    carol = await added.online(f"{CAROL}/desk")
    assert (await call(live, "disable", domain=NEW)).sessions_ended == 2
    assert alice.error is not None
    assert alice.error.condition == "host-gone"
    assert lost.session.ended
    assert not carol.closed
    with pytest.raises(StreamError, match="not served here any more"):
        await added.login(f"{ALICE}/phone")
    await carol.send(f"<message to='{ALICE}' type='chat'><body>for later</body></message>")
    assert carol.take("message") == []
    assert (await states(live))[NEW] == "disabled"
    await call(live, "enable", domain=NEW)
    alice = await added.online(f"{ALICE}/phone")
    assert (await added.stores.ledger.head(ALICE)).position == 1


async def test_all_that_a_removed_domain_had_goes_and_nothing_else(added, live):
    carol = await added.online(f"{CAROL}/desk")
    for number in range(250):
        await added.register(f"user{number}@{NEW}")
    everybody = {"domain": NEW, "group": "all", "everybody": True}
    assert (await CATALOGUE.call(live, "group", "create", everybody)).members == 250
    alice = await added.online(f"{ALICE}/phone")
    for number in range(3):
        await carol.send(f"<message to='{ALICE}' type='chat'><body>{number}</body></message>")
    assert (await call(live, "remove", domain=NEW)).sessions_ended == 1
    assert alice.error is not None
    assert alice.error.condition == "host-gone"
    assert NEW not in added.server.hosts
    assert await refused(live, "add", domain=NEW) == (
        "conflict", "the domain new.test is still being removed"
    )  # fmt: skip
    assert (await states(live))[NEW] == "removing"
    assert (await refused(live, "enable", domain=NEW))[0] == "not-found"
    await carol.send(f"<message to='{ALICE}' type='chat' id='late'><body>late</body></message>")
    [error] = carol.take("message")
    assert (error.get("id"), error.get("type")) == ("late", "error")
    await run_removal(added)
    assert NEW not in await states(live)
    assert await added.stores.accounts.count(NEW) == 0
    assert await added.stores.ledger.ends(ALICE) is None
    assert (await added.stores.ledger.head(CAROL)).position == 3  # her side of the conversation
    assert await added.stores.accounts.exists(CAROL)
    await call(live, "add", domain=NEW)
    assert await added.stores.accounts.count(NEW) == 0
    assert (await CATALOGUE.call(live, "group", "list", {"domain": NEW})).items == ()
    assert not added.server.telemetry.bugs


async def run_removal(world):
    """Let time pass until nothing is being removed any more."""
    for _ in range(200):
        await world.advance(0.1)
        if all(record.state is not DomainState.REMOVING for record in await world.stores.domains.list()):
            return
    raise AssertionError("it is still being removed")


async def test_a_removal_survives_a_restart(added, live):
    for number in range(150):
        await added.register(f"user{number}@{NEW}")
    await call(live, "remove", domain=NEW)
    await added.advance(0)
    left = await added.stores.accounts.count(NEW)
    assert left > 0
    await added.restart()
    await added.context.live.hosting.restore()
    assert NEW not in added.server.hosts
    await run_removal(added)
    assert await added.stores.accounts.count(NEW) == 0


async def test_domains_survive_a_restart(added, live):
    await call(live, "add", domain="resting.test")
    await call(live, "disable", domain="resting.test")
    await added.restart()
    await added.context.live.hosting.restore()
    assert await states(added.context) == {
        "localhost": "enabled", NEW: "enabled", "other.test": "enabled", "resting.test": "disabled",
    }  # fmt: skip
    await added.login(f"{ALICE}/phone")
    with pytest.raises(StreamError):
        await added.login("bob@resting.test/x")


async def test_legal_hold_keeps_the_domain_until_it_is_released(added, live):
    await added.register(ALICE)
    carol = await added.online(f"{CAROL}/desk")
    await carol.send(f"<message to='{ALICE}' type='chat'><body>evidence</body></message>")
    await added.stores.ledger.hold(ALICE, (1,))
    await call(live, "remove", domain=NEW)
    await added.advance(10)
    assert (await states(live))[NEW] == "removing"
    assert await added.stores.ledger.ends(ALICE) is not None
    await added.stores.ledger.hold(ALICE, (1,), is_held=False)
    await added.advance(3_600)
    await run_removal(added)
    assert await added.stores.ledger.ends(ALICE) is None


async def test_its_administrators_have_power_over_it_alone(added, live):
    boss = live.acting_for(Caller.administrator(Jid("boss@new.test"), NEW))
    assert (await states(boss)) == {NEW: "enabled"}
    await CATALOGUE.call(boss, "account", "register", {"user": ALICE, "password": "x"})
    for name in ("add", "enable", "disable", "remove"):
        assert (await refused(boss, name, domain=NEW))[0] == "not-allowed"
    with pytest.raises(OperationError, match="may not administer localhost"):
        await CATALOGUE.call(boss, "account", "count", {"domain": "localhost"})
    assert added.server.hosts[NEW].admins == {"boss@new.test"}


async def test_whoever_must_know_is_told_in_one_place(added, live):
    told = []
    live.domains.listen(told.append)
    await call(live, "disable", domain=NEW)
    await call(live, "enable", domain=NEW)
    await call(live, "remove", domain=NEW)
    assert all(isinstance(change, DomainChanged) and change.domain == NEW for change in told)
    assert [change.now and change.now.state.value for change in told] == [
        "disabled", "enabled", "removing", None
    ]  # fmt: skip


async def test_without_a_server_the_database_is_changed(context):
    await call(context, "add", domain=NEW)
    assert (await context.stores.domains.get(NEW)).state is DomainState.ENABLED
    assert (await call(context, "disable", domain=NEW)).state == "disabled"
    await call(context, "remove", domain=NEW)
    assert (await context.stores.domains.get(NEW)).state is DomainState.REMOVING


async def test_changes_come_one_after_another(world, live):
    answers = await asyncio.gather(
        call(live, "add", domain=NEW),
        call(live, "add", domain=NEW),
        call(live, "disable", domain=NEW),
        call(live, "remove", domain=NEW),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, OperationError) for answer in answers) == 1
    assert NEW not in world.server.hosts
    await run_removal(world)
    assert NEW not in await states(live)


class Broken(Feature):
    """Cannot begin where it is wanted."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def start(self) -> None:
        if self.host.domain == NEW:
            raise BackendError("the disk is full")


async def test_a_domain_that_cannot_begin_is_not_added():
    world = await World.start(features=(XmppPing, Broken))
    assert await refused(world.context, "add", domain=NEW) == ("unavailable", "the disk is full")
    assert NEW not in world.server.hosts
    assert await world.stores.domains.list() == ()
    await world.stop()


async def test_more_domains_need_no_more_timers(added, live):
    before = added.clock.waiting
    for number in range(20):
        await call(live, "add", domain=f"d{number}.test")
    assert added.clock.waiting == before
    await added.advance(86_400)
    assert added.clock.waiting == before


# --- services


async def exists(jid: Jid) -> bool:
    return jid.local == "lobby"


class Announcer(Feature):
    """Says when it begins and ends."""

    running: ClassVar[set[str]] = set()

    def __init__(self, host: Host) -> None:
        self.host = host

    async def start(self) -> None:
        self.running.add(self.host.domain)

    async def stop(self) -> None:
        self.running.discard(self.host.domain)


class LobbyKind(AccountKind):
    """Hosts with a lobby and nothing else."""

    name = "lobby"


SERVICE = ServiceKind(
    prefix="conference",
    make_kind=lambda _domain, router, _stores, _clock: LobbyKind(exists, router),
    features=(ServiceDiscovery, XmppPing, Announcer),
)


@pytest.fixture
async def with_services():
    clock = VirtualClock()
    ledger = await open_memory_ledger(now=lambda: round(clock.now() * 1_000_000))
    plans = [
        HostSettings(domain="localhost", admins=(Jid("boss@localhost"),)),
        HostSettings(domain="guests.test", anonymous=True),
    ]
    world = World(
        MemoryStores(ledger, ledger.close),
        clock,
        lambda stores: build_server(plans, stores, clock, features=FEATURES, services=[SERVICE]),
    )
    await world.server.start()
    yield world
    await world.stop()
    Announcer.running.clear()


async def test_services_come_and_go_with_their_domain(with_services):
    world, context = with_services, with_services.context
    assert Announcer.running == {"conference.localhost"}
    await call(context, "add", domain=NEW)
    assert Announcer.running == {"conference.localhost", "conference.new.test"}
    [_, new] = [each for each in (await call(context, "list")).items if each.services]
    assert (new.domain, new.services) == (NEW, ("conference.new.test",))
    alice = await world.online(f"{ALICE}/phone")
    ping = "<iq type='get' id='p' to='conference.new.test'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert (await alice.request(ping)).get("type") == "result"
    assert await refused(context, "add", domain="conference.new.test") == (
        "conflict", "the domain conference.new.test exists already"
    )  # fmt: skip
    told = await refused(context, "remove", domain="conference.new.test")
    assert told == ("conflict", "conference.new.test is a service of new.test, and comes and goes with it")
    for name in ("register", "remove"):
        user = {"user": "bob@conference.new.test", "password": "x"}
        with pytest.raises(OperationError, match=r"conference\.new\.test has no accounts"):
            await CATALOGUE.call(context, "account", name, user)
    with pytest.raises(StreamError):
        await world.login("lobby@conference.new.test/x")
    await call(context, "remove", domain=NEW)
    assert Announcer.running == {"conference.localhost"}
    assert set(world.server.hosts) == {"localhost", "guests.test", "conference.localhost"}
    carol = await world.online(f"{CAROL}/desk")
    assert (await carol.request(ping)).get("type") == "error"


async def test_archives_of_services_go_with_their_domain(with_services):
    world, context = with_services, with_services.context
    await call(context, "add", domain=NEW)
    rooms = [Jid("lobby@conference.new.test"), Jid("lobby@conference.localhost")]
    for room in rooms:
        entry = Entry(archive=room, peer=room, countable=True)
        body = b"<message type='groupchat'><body>in a room</body></message>"
        await world.stores.ledger.commit(LedgerBatch(appends=(Append(body=body, entries=(entry,)),)))
    await call(context, "remove", domain=NEW)
    await run_removal(world)
    assert [await world.stores.ledger.ends(room) is None for room in rooms] == [True, False]


async def test_the_administrators_of_a_domain_administer_its_services(with_services):
    context = with_services.context
    await call(context, "add", domain=NEW)
    boss = context.acting_for(Caller.administrator(Jid("boss@localhost"), "localhost"))
    await CATALOGUE.call(boss, "retention", "erase-archive", {"user": "lobby@conference.localhost"})
    with pytest.raises(OperationError, match="may not administer"):
        await CATALOGUE.call(boss, "retention", "erase-archive", {"user": "lobby@conference.new.test"})
    assert with_services.server.hosts["conference.localhost"].admins == {"boss@localhost"}
