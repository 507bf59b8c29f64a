"""The life cycle of accounts: whoever asks for a change, the same follows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.registration import Registration, RegistrationOptions
from tidings.features.retention import Retention
from tidings.kernel.accounts import CLEANING_INTERVAL, FIRST_CLEANING, Accounts, make_first_accounts
from tidings.kernel.events import AccountRegistered, AccountRemoved, AccountWanted, PasswordChanged
from tidings.kernel.feature import Feature, listens
from tidings.kernel.slots import Slotted
from tidings.operations.all import CATALOGUE
from tidings.ports.accounts import FastToken
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns

BILL = Jid("bill@localhost")


class Witness(Feature):
    """Remembers what the host was told, and whether the account existed for it."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.seen: list[str] = []

    @listens(AccountWanted)
    @listens(AccountRegistered)
    @listens(AccountRemoved)
    @listens(PasswordChanged)
    def remember(self, event: AccountWanted | AccountRegistered | AccountRemoved | PasswordChanged) -> None:
        assert event.account == BILL
        self.seen.append(type(event).__name__)


FEATURES = (Rosters, Subscriptions, Presences, Registration, Retention, Witness)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    options = {"registration": RegistrationOptions(open=True)}
    world = await World.start(features=FEATURES, options=options)
    yield world
    await world.stop()


def witness(world: World) -> Witness:
    found = world.server.hosts["localhost"].feature(Witness)
    assert found is not None
    return found


def query(content: str) -> str:
    return f"<iq type='set' id='r' to='localhost'><query xmlns='jabber:iq:register'>{content}</query></iq>"


# --- the ways to do it


async def register_by_operation(world: World) -> None:
    arguments = {"user": BILL, "password": "old"}
    await CATALOGUE.call(world.context, "account", "register", arguments)


async def register_by_client(world: World) -> None:
    feature = world.server.hosts["localhost"].feature(Registration)
    assert feature is not None
    iq = decode(query("<username>bill</username><password>old</password>").encode(), ns.CLIENT)
    await feature.register_before_login(iq, "192.0.2.1", secure=True, stream=Slotted())


async def register_by_configuration(world: World) -> None:
    await make_first_accounts(world.context.accounts, [(BILL, "old")])


async def remove_by_operation(world: World, client: WorldClient) -> None:
    await CATALOGUE.call(world.context, "account", "remove", {"user": BILL})


async def remove_by_client(world: World, client: WorldClient) -> None:
    assert (await client.request(query("<remove/>"))).get("type") == "result"


async def change_by_operation(world: World, client: WorldClient) -> None:
    await CATALOGUE.call(world.context, "account", "change-password", {"user": BILL, "password": "new"})


async def change_by_client(world: World, client: WorldClient) -> None:
    changed = query("<username>bill</username><password>new</password>")
    assert (await client.request(changed)).get("type") == "result"


Register = Callable[[World], Awaitable[None]]
Change = Callable[[World, WorldClient], Awaitable[None]]
REGISTER = pytest.mark.parametrize(
    "register", [register_by_operation, register_by_client, register_by_configuration]
)
REMOVE = pytest.mark.parametrize("remove", [remove_by_operation, remove_by_client])
CHANGE = pytest.mark.parametrize("change", [change_by_operation, change_by_client])


async def befriend(world: World, bill: WorldClient, carol: WorldClient) -> None:
    """Let Carol see when Bill is there; both show their rosters."""
    for client in (bill, carol):
        await client.request("<iq type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>")
    await carol.send(f"<presence to='{BILL}' type='subscribe'/>")
    await bill.send("<presence to='carol@other.test' type='subscribed'/>")
    for client in (bill, carol):
        client.take()


@REGISTER
async def test_an_account_is_made(world: World, register: Register) -> None:
    directory = world.server.hosts["localhost"].directory
    assert not (await directory.load(BILL)).exists
    await register(world)
    assert (await directory.load(BILL)).exists
    assert witness(world).seen == ["AccountWanted", "AccountRegistered"]
    assert await world.context.accounts.has_password(BILL, "old")


@REGISTER
async def test_it_begins_with_nothing(world: World, register: Register) -> None:
    """An earlier owner's messages are still there: the server stopped before it had forgotten them."""
    await world.register(BILL)
    carol = await world.online("carol@other.test/x")
    await carol.send(f"<message to='{BILL}' type='chat'><body>secret</body></message>")
    await world.stores.accounts.remove(BILL)
    assert await world.stores.ledger.ends(BILL) is not None
    await register(world)
    assert await world.stores.ledger.ends(BILL) is None


@REGISTER
async def test_it_does_not_touch_one_that_is_there(world: World, register: Register) -> None:
    await world.context.accounts.create(BILL, "mine")
    before = list(witness(world).seen)
    if register is register_by_configuration:
        await register(world)
    else:
        with pytest.raises(Exception, match="the account bill@localhost exists already"):
            await register(world)
    assert witness(world).seen == before
    assert await world.context.accounts.has_password(BILL, "mine")


@REMOVE
async def test_an_account_is_removed(world: World, remove: Change) -> None:
    await register_by_operation(world)
    client, other = await world.online(f"{BILL}/globe"), await world.online(f"{BILL}/desk")
    carol = await world.online("carol@other.test/x")
    await befriend(world, client, carol)
    witness(world).seen.clear()
    await remove(world, client)
    await world.settle()
    assert witness(world).seen == ["AccountRemoved"]
    for each in (client, other):
        assert each.error is not None
        assert (each.error.condition, each.error.text) == ("not-authorized", "the account has been removed")
        await each.leave()
    assert not (await world.server.hosts["localhost"].directory.load(BILL)).exists
    assert [presence.get("type") for presence in carol.take("presence")].count("unsubscribed") == 1


async def test_contacts_of_a_removed_account_are_told_though_it_was_not_there(world: World) -> None:
    await register_by_operation(world)
    client, carol = await world.online(f"{BILL}/globe"), await world.online("carol@other.test/x")
    await befriend(world, client, carol)
    await client.leave()
    world.server.hosts["localhost"].directory.forget(BILL)
    carol.take()
    await remove_by_operation(world, client)
    await world.settle()
    assert "unsubscribed" in [presence.get("type") for presence in carol.take("presence")]


@CHANGE
async def test_a_new_password_ends_the_other_sessions(world: World, change: Change) -> None:
    await register_by_operation(world)
    client, other = await world.online(f"{BILL}/globe"), await world.online(f"{BILL}/desk")
    token = FastToken(device="d", mechanism="HT-SHA-256-NONE", digest=b"x" * 32, expires=1e12)
    await world.stores.accounts.store_token(BILL, token)
    witness(world).seen.clear()
    await change(world, client)
    await world.settle()
    assert witness(world).seen == ["PasswordChanged"]
    assert other.error is not None
    assert (other.error.condition, other.error.text) == ("not-authorized", "the password has been changed")
    assert client.closed == (change is change_by_operation)
    assert await world.context.accounts.has_password(BILL, "new")
    assert await world.stores.accounts.tokens(BILL, "d") == ()


async def test_guests_have_no_lasting_accounts_whoever_asks() -> None:
    options = {"registration": RegistrationOptions(open=True)}
    world = await World.start(features=FEATURES, options=options, anonymous=["localhost"])
    assert world.server.hosts["localhost"].feature(Registration) is None  # no client is offered any
    with pytest.raises(Exception, match="localhost is for anonymous guests"):
        await make_first_accounts(witness(world).accounts, [(BILL, "old")])
    with pytest.raises(Exception, match="localhost is for anonymous guests"):
        await register_by_operation(world)
    assert not await world.stores.accounts.exists(BILL)
    await world.stop()


async def test_tokens_that_have_run_out_are_removed(world: World) -> None:
    await world.register(BILL)
    begin = world.clock.now()
    for device, lasts in (("a", FIRST_CLEANING - 1), ("b", CLEANING_INTERVAL), ("c", 90 * 86_400)):
        token = FastToken(device=device, mechanism="HT-SHA-256-NONE", digest=b"x", expires=begin + lasts)
        await world.stores.accounts.store_token(BILL, token)

    async def held() -> list[str]:
        return [device for device in "abc" if await world.stores.accounts.tokens(BILL, device)]

    assert await held() == ["a", "b", "c"]
    await world.advance(FIRST_CLEANING)
    assert await held() == ["b", "c"]
    await world.advance(CLEANING_INTERVAL)
    assert await held() == ["c"]
    await asyncio.sleep(0)
