"""Registration: making an account before log-in, and changing and cancelling it afterwards."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.harness.world import World, WorldClient
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.registration import (
    Attempts,
    Registration,
    RegistrationOptions,
)
from tidings.kernel.events import AccountRegistered, AccountRemoved, PasswordChanged
from tidings.kernel.feature import Feature, StreamStage, listens
from tidings.kernel.slots import Slotted
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.register import Register
from tidings.wire.xmpp.sasl.keys import verify_password

HOME = "192.0.2.1"


class Witness(Feature):
    """Remembers what the host was told."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @listens(AccountRegistered)
    @listens(AccountRemoved)
    @listens(PasswordChanged)
    def remember(self, event: object) -> None:
        self.seen.append(event)


async def start(**options: object) -> World:
    return await World.start(
        features=(Registration, Witness),
        options={"registration": RegistrationOptions(**{"open": True, **options})},  # type: ignore[arg-type]
        admins=["boss@localhost"],
    )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


def iq(kind: str, *content: str) -> Element:
    query = f"<query xmlns='jabber:iq:register'>{''.join(content)}</query>"
    return decode(f"<iq type='{kind}' id='r' to='localhost'>{query}</iq>".encode(), ns.CLIENT)


def fields(name: str, password: str) -> str:
    return f"<username>{name}</username><password>{password}</password>"


async def ask(world: World, request: Element, address: str = HOME, *, secure: bool = True) -> Element:
    feature = world.server.hosts["localhost"].feature(Registration)
    assert feature is not None
    return await feature.register_before_login(request, address, secure=secure, stream=Slotted())


async def refused(world: World, request: Element, address: str = HOME, *, secure: bool = True) -> str:
    with pytest.raises(StanzaError) as error:
        await ask(world, request, address, secure=secure)
    return error.value.condition


async def has_password(world: World, jid: str, password: str) -> bool:
    record = await world.stores.accounts.get(Jid(jid))
    return record is not None and await asyncio.to_thread(verify_password, password, record.keys)


def seen(world: World) -> list[object]:
    witness = world.server.hosts["localhost"].feature(Witness)
    assert witness is not None
    return witness.seen


# --- before log-in


async def test_the_form(world: World) -> None:  # §3.1
    answer = await ask(world, iq("get"))
    assert (answer.get("type"), answer.get("id"), answer.get("from")) == ("result", "r", "localhost")
    form = Register.decode(answer.children[0])
    assert form.fields == {"username": "", "password": ""}
    assert form.instructions
    assert not form.is_registered


async def test_an_account_is_made(world: World) -> None:  # §3.1
    answer = await ask(world, iq("set", fields("Bill", "Calliope")))
    assert (answer.get("type"), answer.content) == ("result", [])
    assert await has_password(world, "bill@localhost", "Calliope")
    assert seen(world) == [AccountRegistered(Jid("bill@localhost"))]


async def test_a_submitted_form_is_read(world: World) -> None:  # §4
    form = (
        "<x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE'><value>jabber:iq:register</value></field>"
        "<field var='username'><value>bill</value></field><field var='password'><value>pw</value></field></x>"
    )
    await ask(world, iq("set", form))
    assert await has_password(world, "bill@localhost", "pw")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (fields("taken", "pw"), "conflict"),
        (fields("TAKEN", "pw"), "conflict"),
        (fields("admin", "pw"), "conflict"),
        (fields("boss", "pw"), "conflict"),  # an administrator whose account is not made yet
        (fields("", "pw"), "not-acceptable"),
        (fields("bill", ""), "not-acceptable"),
        ("<username>bill</username>", "not-acceptable"),
        (fields("bill@other.test", "pw"), "not-acceptable"),
        (fields("bill/x", "pw"), "not-acceptable"),
        (fields("b ill", "pw"), "not-acceptable"),
        (fields("b" * 1_024, "pw"), "not-acceptable"),
        (fields("bill\u202e", "pw"), "not-acceptable"),  # right-to-left override
        (fields("bi\u200bll", "pw"), "not-acceptable"),  # zero-width space
        (fields("bill", "p" * 2_000), "not-acceptable"),
        (fields("bill", "a\u0000b".replace("\u0000", "\u007f")), "not-acceptable"),
        ("<remove/>", "unexpected-request"),
        ("<remove/><username>taken</username>", "bad-request"),
    ],
)
async def test_registrations_that_are_refused(world: World, content: str, expected: str) -> None:
    await world.register("taken@localhost")
    assert await refused(world, iq("set", content)) == expected
    assert await world.stores.accounts.count("localhost") == 1


async def test_a_password_is_not_sent_in_the_clear(world: World) -> None:
    request = iq("set", fields("bill", "pw"))
    assert await refused(world, request, secure=False) == "not-authorized"
    assert (await ask(world, request, "127.0.0.1", secure=False)).get("type") == "result"


async def test_registration_is_closed_unless_it_is_opened() -> None:
    world = await start(open=False, invitations=False)
    feature = world.server.hosts["localhost"].feature(Registration)
    assert feature is not None
    assert list(feature.stream_features(StreamStage.BEFORE_LOGIN)) == []
    for request in (iq("get"), iq("set", fields("bill", "pw"))):
        assert await refused(world, request) == "service-unavailable"
    await world.stop()


async def test_it_is_offered_where_it_is_open(world: World) -> None:  # §8
    feature = world.server.hosts["localhost"].feature(Registration)
    assert feature is not None
    offered = list(feature.stream_features(StreamStage.BEFORE_LOGIN))
    assert Element("register", ns.REGISTER_FEATURE) in offered
    assert list(feature.stream_features(StreamStage.AFTER_LOGIN)) == []


async def test_one_network_does_not_register_without_end() -> None:
    world = await start(attempts_per_hour=2)
    await ask(world, iq("set", fields("a", "pw")))
    assert await refused(world, iq("set", fields("a", "pw"))) == "conflict"
    assert await refused(world, iq("set", fields("b", "pw"))) == "resource-constraint"
    await ask(world, iq("set", fields("c", "pw")), "192.0.2.2")
    await world.advance(3_600)
    await ask(world, iq("set", fields("b", "pw")))
    await world.stop()


def test_attempts_are_counted_in_bounded_memory() -> None:
    attempts = Attempts(1, 60.0)
    assert attempts.allow("victim", 0.0)
    for number in range(Attempts.MOST_NETWORKS + 50):
        attempts.allow(str(number), 1.0)
    assert len(attempts._times) == Attempts.MOST_NETWORKS
    assert not attempts.allow(str(Attempts.MOST_NETWORKS), 2.0)
    assert all(Attempts(0, 60.0).allow("x", 0.0) for _ in range(100))


async def test_nobody_registers_where_accounts_do_not_last() -> None:
    options = {"registration": RegistrationOptions(open=True)}
    world = await World.start(features=(Registration, Witness), options=options, anonymous=["localhost"])
    [host] = [host for host in world.server.hosts.values() if host.domain == "localhost"]
    assert not [feature for feature in host.features if isinstance(feature, Registration)]
    guest = await world.login("guest@localhost/x")
    before = await world.stores.accounts.count("localhost")
    for request in (own("get"), own("set", fields("dora", "pw")), own("set", "<remove/>")):
        assert condition(await guest.request(request)) == "service-unavailable"  # §3.1.1
    assert await world.stores.accounts.count("localhost") == before
    await world.stop()


# --- after log-in


def own(kind: str, *content: str, to: str = "") -> str:
    address = f" to='{to}'" if to else ""
    return (
        f"<iq type='{kind}' id='r'{address}><query xmlns='jabber:iq:register'>{''.join(content)}</query></iq>"
    )


def condition(answer: Element) -> str:
    assert answer.get("type") == "error", answer
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return error.children[0].name


async def bill(world: World, resource: str = "globe") -> WorldClient:
    if not await world.stores.accounts.exists(Jid("bill@localhost")):
        await ask(world, iq("set", fields("bill", "old")), "192.0.2.99")
    return await world.login(f"bill@localhost/{resource}")


@pytest.mark.parametrize("to", ["", "localhost", "bill@localhost"])
async def test_one_is_registered(world: World, to: str) -> None:  # §3.1, example 3
    answer = Register.decode((await (await bill(world)).request(own("get", to=to))).children[0])
    assert (answer.is_registered, answer.get("username"), answer.get("password")) == (True, "bill", "")


@pytest.mark.parametrize(
    ("name", "to"), [("bill", "localhost"), ("BILL", ""), ("bill@localhost", "localhost")]
)
async def test_the_password_is_changed(world: World, name: str, to: str) -> None:  # §3.3
    client, other = await bill(world), await bill(world, "desk")
    assert (await client.request(own("set", fields(name, "new"), to=to))).get("type") == "result"
    assert await has_password(world, "bill@localhost", "new")
    assert not await has_password(world, "bill@localhost", "old")
    assert not client.closed
    assert other.error is not None
    assert other.error.condition == "not-authorized"
    assert PasswordChanged(Jid("bill@localhost")) in seen(world)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (fields("bill", ""), "bad-request"),
        (fields("", "new"), "bad-request"),
        (fields("romeo", "new"), "bad-request"),
        (fields("bill", "\u0007"), "not-acceptable"),
        ("<password>new</password>", "bad-request"),
    ],
)
async def test_changes_that_are_refused(world: World, content: str, expected: str) -> None:
    if "\u0007" in content:
        content = content.replace("\u0007", "&#127;")
    client = await bill(world)
    assert condition(await client.request(own("set", content, to="localhost"))) == expected
    assert await has_password(world, "bill@localhost", "old")


async def test_nobody_changes_somebody_elses_password(world: World) -> None:
    await bill(world)
    for stranger in (await world.login("mallory@localhost"), await world.login("bill@other.test")):
        for content in (fields("bill", "new"), "<remove/>"):
            await stranger.request(own("set", content, to="bill@localhost"))
    foreign = await world.login("carol@other.test")
    assert condition(await foreign.request(own("set", fields("bill", "new"), to="localhost"))) == "forbidden"
    assert condition(await foreign.request(own("set", "<remove/>", to="localhost"))) == "forbidden"
    assert await has_password(world, "bill@localhost", "old")


async def test_an_account_is_cancelled(world: World) -> None:  # §3.2
    client, other = await bill(world), await bill(world, "desk")
    assert (await client.request(own("set", "<remove/>"))).get("type") == "result"
    for each in (client, other):
        assert each.error is not None
        assert each.error.condition == "not-authorized"
        await each.leave()
    assert not await world.stores.accounts.exists(Jid("bill@localhost"))
    assert AccountRemoved(Jid("bill@localhost")) in seen(world)
    account = await world.server.hosts["localhost"].directory.load(Jid("bill@localhost"))
    assert not account.exists


async def test_what_an_administrator_has_switched_off() -> None:
    world = await start(change_password=False, cancel=False)
    client = await bill(world)
    assert condition(await client.request(own("set", fields("bill", "new")))) == "not-allowed"
    assert condition(await client.request(own("set", "<remove/>"))) == "not-allowed"
    await world.stop()


async def test_what_people_do_to_their_own_accounts_is_told_in_the_log(world: World) -> None:
    with capture_logs() as logs:
        assert (await ask(world, iq("set", fields("bill", "old")), HOME)).get("type") == "result"
        client = await world.login("bill@localhost/home")
        assert (await client.request(own("set", fields("bill", "new")))).get("type") == "result"
        assert (await client.request(own("set", "<remove/>"))).get("type") == "result"
    told = [
        line
        for line in logs
        if line["event"] in {"account_registered", "password_changed", "account_removed"}
    ]
    assert [line["event"] for line in told] == ["account_registered", "password_changed", "account_removed"]
    assert {line["account"] for line in told} == {"bill@localhost"}
    assert told[0]["address"] == HOME
    assert told[1]["session"] == told[2]["session"] == "bill@localhost/home"
    assert "new" not in str(told)


async def test_changing_a_password_again_and_again_does_not_fill_the_log(world: World) -> None:
    client = await bill(world)
    with capture_logs() as logs:
        for number in range(15):
            await client.request(own("set", fields("bill", f"pw{number}")))
        assert len([line for line in logs if line["event"] == "password_changed"]) == 10
        await world.advance(61)
        await client.request(own("set", fields("bill", "last")))
    assert [line for line in logs if line["event"] == "password_changed"][-1]["more"] == 5
