"""Names of removed accounts rest, whichever way the account went and whichever way somebody wants it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.harness.world import World
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.registration import Registration, RegistrationOptions
from tidings.kernel.accounts import make_first_accounts
from tidings.kernel.former_names import FormerNames
from tidings.kernel.slots import Slotted
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError
from tidings.portable.account import PastMessage, PortableAccount
from tidings.portable.importing import Importer
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.preauth import Preauth

BILL = Jid("bill@localhost")
DAY = 86_400
DAYS = 30


@pytest.fixture
async def world() -> AsyncIterator[World]:
    options = {"registration": RegistrationOptions(open=True)}
    world = await World.start(options=options, name_rest_days=DAYS)
    yield world
    await world.stop()


async def call(world: World, category: str, verb: str, **arguments: object) -> Any:
    return await CATALOGUE.call(world.context, category, verb, arguments)


async def ask(world: World, content: str, stream: Slotted | None = None) -> Element:
    """Send an iq before log-in and give the answer; raises `StanzaError`."""
    feature = world.server.hosts["localhost"].feature(Registration)
    assert feature is not None
    iq = decode(f"<iq type='set' id='r' to='localhost'>{content}</iq>".encode(), ns.CLIENT)
    return await feature.register_before_login(iq, "192.0.2.1", secure=True, stream=stream or Slotted())


def registration(content: str) -> str:
    return f"<query xmlns='jabber:iq:register'>{content}</query>"


# --- the ways to go


async def gone_by_operation(world: World) -> None:
    await world.register(BILL)
    await call(world, "account", "remove", user=BILL)


async def gone_by_client(world: World) -> None:
    client = await world.login(BILL.with_resource("phone"))
    request = f"<iq type='set' id='x' to='localhost'>{registration('<remove/>')}</iq>"
    assert (await client.request(request)).get("type") == "result"


async def gone_as_inactive(world: World) -> None:
    await world.register(BILL)
    await world.advance(2 * DAY)
    arguments = {"idle_days": 1, "never_connected": True}
    stream = CATALOGUE.stream(world.context, "account", "remove-inactive", arguments)
    assert [each.outcome async for each in stream] == ["removed"]


async def gone_by_itself(world: World) -> None:
    await world.register(BILL)
    await call(world, "account", "remove", user=BILL, after_days=3)
    await world.advance(3 * DAY)


GONE = pytest.mark.parametrize("leave", [gone_by_operation, gone_by_client, gone_as_inactive, gone_by_itself])


# --- the ways to want a name; each raises what its door answers


async def by_operation(world: World) -> None:
    await call(world, "account", "register", user=BILL, password="new")


async def by_client(world: World) -> None:
    await ask(world, registration("<username>bill</username><password>new</password>"))


async def by_invitation(world: World) -> None:
    created = await call(world, "invitation", "create", domain="localhost")
    stream, token = Slotted(), created.uri.partition("preauth=")[2]
    await ask(world, Preauth(token).encode().to_bytes().decode(), stream)
    await ask(world, registration("<username>bill</username><password>new</password>"), stream)


async def by_invitation_for_the_name(world: World) -> None:
    await call(world, "invitation", "create", domain="localhost", name="Bill")


async def by_import(world: World) -> None:
    report = await call(world, "account", "import", accounts=[{"user": "bill@localhost", "password": "new"}])
    [result] = report.results
    if result.outcome == "failed":
        raise OperationError("conflict", result.reason)


Want = Callable[[World], Awaitable[None]]
WANTED = pytest.mark.parametrize(
    "want", [by_operation, by_client, by_invitation, by_invitation_for_the_name, by_import]
)


async def refusal(world: World, want: Want) -> str | None:
    """Give the condition with which somebody is refused a name, or None."""
    try:
        await want(world)
    except StanzaError as error:
        return error.condition
    except OperationError as error:
        return error.code
    return None


async def exists(world: World) -> bool:
    return await world.stores.accounts.exists(BILL)


@GONE
async def test_however_an_account_went_its_name_rests_for_its_time(
    world: World, leave: Callable[[World], Awaitable[None]]
) -> None:
    await leave(world)
    assert not await exists(world)
    assert await refusal(world, by_client) == "conflict"
    await world.advance(DAYS * DAY - 1)
    assert await refusal(world, by_client) == "conflict"
    assert not await exists(world)
    await world.advance(1)
    assert await refusal(world, by_client) is None
    assert await exists(world)


@WANTED
async def test_however_somebody_wants_a_name_that_rests_it_is_a_conflict(world: World, want: Want) -> None:
    await gone_by_operation(world)
    assert await refusal(world, want) == "conflict"
    assert not await exists(world)
    await world.advance(DAYS * DAY)
    assert await refusal(world, want) is None


async def test_an_invitation_that_was_tried_for_a_name_that_rests_is_not_used_up(world: World) -> None:
    await gone_by_operation(world)
    assert await refusal(world, by_invitation) == "conflict"
    [invitation] = (await call(world, "invitation", "list", domain="localhost")).items
    assert invitation.used == 0


async def test_a_stranger_is_told_no_more_than_of_any_name_that_is_taken(world: World) -> None:
    await gone_by_operation(world)
    await world.register("ada@localhost")
    for name in ("bill", "ada"):
        with pytest.raises(StanzaError) as caught:
            await ask(world, registration(f"<username>{name}</username><password>new</password>"))
        assert caught.value.condition == "conflict"
        assert "removed" not in str(caught.value)


async def test_the_configuration_makes_no_account_of_a_name_that_rests(world: World) -> None:
    await gone_by_operation(world)
    await make_first_accounts(world.context.accounts, [(BILL, "old"), (Jid("ada@localhost"), "pw")])
    assert not await exists(world)
    assert await world.stores.accounts.exists(Jid("ada@localhost"))


class Elsewhere:
    """Another server, with one account."""

    def accounts(self) -> Iterator[PortableAccount]:
        yield PortableAccount(jid=BILL, password="old")

    def history(self, account: Jid) -> Iterator[PastMessage]:
        return iter(())


async def test_a_name_that_rests_is_not_taken_over_from_another_server(world: World) -> None:
    await gone_by_operation(world)
    for dry in (True, False):
        importer = Importer(world.stores, ["localhost"], world.clock, is_dry=dry, names=world.context.names)
        report = await importer.run(Elsewhere(), "elsewhere")
        assert report.accounts == 0
        assert "rests until 2026-01-31T00:00:00Z" in report.problems[0]
        assert not await exists(world)
    report = await Importer(world.stores, ["localhost"], world.clock).run(Elsewhere(), "elsewhere")
    assert (report.accounts, report.problems) == (1, [])
    assert await exists(world)


async def test_an_operator_is_told_since_when_and_may_take_it_anyway(world: World) -> None:
    await gone_by_operation(world)
    with pytest.raises(OperationError) as caught:
        await by_operation(world)
    assert caught.value.text == (
        "an account bill@localhost was removed or renamed at 2026-01-01T00:00:00Z, and its name rests until "
        "2026-01-31T00:00:00Z (`name_rest_days` in [server]); `reuse_name` takes it anyway"
    )
    await call(world, "account", "register", user=BILL, password="new", reuse_name=True)
    assert await exists(world)
    await call(world, "account", "remove", user=BILL)
    assert await refusal(world, by_client) == "conflict"


async def test_an_import_tells_of_names_that_rest_beforehand_and_may_take_them(world: World) -> None:
    await gone_by_operation(world)
    accounts = [{"user": "bill@localhost", "password": "a"}, {"user": "ada@localhost", "password": "b"}]

    async def imported(**options: bool) -> list[str]:
        report = await call(world, "account", "import", accounts=accounts, **options)
        return [result.outcome for result in report.results]

    assert await imported(dry_run=True) == ["failed", "made"]
    assert await imported() == ["failed", "made"]
    assert await imported(dry_run=True, reuse_names=True) == ["made", "skipped"]
    assert await imported(reuse_names=True) == ["made", "skipped"]


async def test_names_are_free_at_once_where_nothing_is_configured() -> None:
    world = await World.start(options={"registration": RegistrationOptions(open=True)})
    await gone_by_operation(world)
    assert await world.stores.removals.former([BILL]) == {}
    assert await refusal(world, by_client) is None
    await world.stop()


async def test_what_is_kept_of_a_name_goes_when_it_rests_no_more(world: World) -> None:
    await gone_by_operation(world)
    await world.advance(DAYS * DAY - 1)
    assert await world.stores.removals.former([BILL]) == {BILL: 1_767_225_600.0}
    await world.advance(DAY)
    assert await world.stores.removals.former([BILL]) == {}


async def test_names_of_a_removed_domain_rest_when_it_is_added_again(world: World) -> None:
    await call(world, "domain", "add", domain="new.test")
    bill = "bill@new.test"
    await call(world, "account", "register", user=bill, password="pw")
    await call(world, "domain", "remove", domain="new.test")
    for _ in range(20):
        await world.advance(1)
    assert not await world.stores.domains.list()
    await call(world, "domain", "add", domain="new.test")
    with pytest.raises(OperationError, match="rests until"):
        await call(world, "account", "register", user=bill, password="pw")
    await call(world, "account", "register", user=bill, password="pw", reuse_name=True)


async def test_days_that_are_configured_otherwise_hold_for_names_that_rest_already(world: World) -> None:
    await gone_by_operation(world)
    await world.advance(10 * DAY)
    for days, rests in ((10, False), (11, True), (0, False)):
        names = FormerNames(world.stores.removals, world.clock, lambda days=days: days)
        assert bool(await names.resting([BILL])) is rests
