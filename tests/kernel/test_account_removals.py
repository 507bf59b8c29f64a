"""Removals that wait: an account is disabled at once, keeps everything, and goes by itself or comes back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.features.contacts.people import befriend, interested
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.kernel.account_removals import LOOK_INTERVAL, STEP
from tidings.kernel.invitations import InvitationRefused, Invitations
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.ports.accounts import Removal
from tidings.ports.ledger.reading import PageQuery
from tidings.streams.login import StoredCredentials
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns

BILL = Jid("bill@localhost")
CAROL = Jid("carol@localhost")
DAY = 86_400
START = datetime(2026, 1, 1, tzinfo=UTC)


async def call(world: World, name: str, **arguments: object) -> Any:
    return await CATALOGUE.call(world.context, "account", name, {"user": BILL, **arguments})


async def refused(world: World, name: str, **arguments: object) -> tuple[str, str]:
    with pytest.raises(OperationError) as caught:
        await call(world, name, **arguments)
    return caught.value.code, caught.value.text


async def exists(world: World) -> bool:
    return await world.stores.accounts.exists(BILL)


async def bodies(world: World) -> list[str]:
    """Give what the archive of Bill has."""
    page = await world.stores.ledger.page(BILL, PageQuery(limit=100))
    return [decode(entry.body, ns.CLIENT).find("body", ns.CLIENT).text for entry in page.entries]


async def why_not(world: World, password: str) -> str | None:
    """Give why somebody with the right password may not log in."""
    right, why = await StoredCredentials(world.stores.accounts, world.clock, b"s" * 32).check_password(
        BILL, password
    )
    assert right
    return why


async def test_nobody_can_log_in_from_then_on_and_sessions_end_with_the_reason(world: World) -> None:
    await call(world, "register", password="secret")
    assert await why_not(world, "secret") is None
    phone, laptop = await world.online("bill@localhost/phone"), await world.online("bill@localhost/laptop")
    with capture_logs() as logs:
        answer = await call(world, "remove", after_days=30)
    await world.settle()
    assert (answer.sessions_ended, answer.removal) == (2, START + timedelta(days=30))
    told = "the account will be removed at 2026-01-31T00:00:00Z"
    for client in (phone, laptop):
        assert client.error is not None
        assert (client.error.condition, client.error.text) == ("not-authorized", told)
    assert await why_not(world, "secret") == told
    [line] = [line for line in logs if line["event"] == "account_disabled"]
    assert (line["account"], line["removal"], line["by"], line["sessions"]) == (
        "bill@localhost",
        "2026-01-31T00:00:00Z",
        "operator",
        2,
    )


async def test_it_goes_by_itself_when_its_time_has_come_and_its_contacts_are_told(world: World) -> None:
    await befriend(world, "bill@localhost", "carol@localhost")
    await interested(world, "bill@localhost")
    carol = await interested(world, "carol@localhost")
    await carol.send("<message to='bill@localhost' type='chat'><body>hi</body></message>")
    await call(world, "remove", after_days=30)
    await world.advance(30 * DAY - LOOK_INTERVAL - 1)
    assert await exists(world)
    assert await bodies(world) == ["hi"]
    carol.take()
    with capture_logs() as logs:
        await world.advance(2 * LOOK_INTERVAL)
        await world.advance(1)
    assert not await exists(world)
    assert await bodies(world) == []
    assert "unsubscribed" in [presence.get("type") for presence in carol.take("presence")]
    assert [line["account"] for line in logs if line["event"] == "account_removed"] == ["bill@localhost"]


async def test_what_is_sent_to_it_meanwhile_is_kept_for_it(world: World) -> None:
    carol = await world.online("carol@localhost/phone")
    await world.register("bill@localhost")
    await call(world, "remove", after_days=30)
    await carol.send("<message to='bill@localhost' type='chat' id='m'><body>hello?</body></message>")
    assert [message.get("type") for message in carol.take("message")] == []
    await call(world, "restore")
    bill = await world.login("bill@localhost/phone")
    await bill.send("<presence/>")
    assert [message.find("body", ns.CLIENT).text for message in bill.take("message")] == ["hello?"]


async def test_it_comes_back_with_everything_and_does_not_go_any_more(world: World) -> None:
    await call(world, "register", password="secret")
    await befriend(world, "bill@localhost", "carol@localhost")
    await interested(world, "bill@localhost")
    carol = await interested(world, "carol@localhost")
    before = await world.stores.roster.load(BILL)
    await call(world, "remove", after_days=30)
    await world.advance(30 * DAY - 2 * LOOK_INTERVAL)
    with capture_logs() as logs:
        assert (await call(world, "restore")).user == BILL
    assert [line["account"] for line in logs if line["event"] == "account_restored"] == ["bill@localhost"]
    await world.advance(60 * DAY)
    assert await why_not(world, "secret") is None
    assert (await world.stores.roster.load(BILL)).entries == before.entries
    carol.take()
    await world.online("bill@localhost/phone")
    assert "bill@localhost/phone" in [presence.get("from") for presence in carol.take("presence")]


async def test_a_restart_forgets_nothing_of_it(world: World) -> None:
    for name in ("bill", "carol", "ada"):
        await world.register(f"{name}@localhost")
    await call(world, "remove", after_days=2)
    await call(world, "remove", user="carol@localhost", after_days=4)
    await world.restart()
    await world.advance(3 * DAY)
    assert not await exists(world)
    assert await world.stores.accounts.exists(CAROL)
    # What comes due while no server runs goes soon after the next start.
    await world.server.supervisor.finish(0)
    world.clock.forget()
    world.clock.advance(3 * DAY)
    await world.restart()
    assert await world.stores.accounts.exists(CAROL)
    await world.advance(60)
    assert not await world.stores.accounts.exists(CAROL)
    assert await world.stores.accounts.exists(Jid("ada@localhost"))


async def test_many_go_at_once_though_in_steps(world: World) -> None:
    count = 2 * STEP + 1
    for number in range(count):
        jid = await world.register(f"u{number}@localhost")
        await world.stores.removals.schedule(jid, Removal(0.0, 1.0))
    for _ in range(4):
        await world.advance(60)
    assert await world.stores.accounts.count("localhost") == 0


async def test_an_account_of_a_domain_that_is_not_served_goes_with_its_archive(world: World) -> None:
    carol = await world.online("carol@localhost/phone")
    await world.register("bill@other.test")
    bill = Jid("bill@other.test")
    await carol.send("<message to='bill@other.test' type='chat'><body>hi</body></message>")
    await call(world, "remove", user=bill.text, after_days=1)
    plan = World.start(["localhost"], stores=world.stores, clock=world.clock)
    await world.server.stop(0)
    later = await plan
    await later.advance(DAY + LOOK_INTERVAL)
    assert not await later.stores.accounts.exists(bill)
    head = await later.stores.ledger.head(bill)
    assert head.first > head.position
    await later.server.stop(0)


async def test_who_takes_it_back_in_the_last_moment_keeps_the_account(world: World) -> None:
    await world.register("bill@localhost")
    await call(world, "remove", after_days=1)
    removals = world.stores.removals
    due = removals.due

    async def overtaken(now: float, *, limit: int = 100) -> tuple[Jid, ...]:
        found = await due(now, limit=limit)
        await removals.cancel(BILL)
        return found

    removals.due = overtaken
    await world.advance(2 * DAY)
    assert await exists(world)


async def test_another_time_may_be_set_and_it_may_go_at_once(world: World) -> None:
    await world.register("bill@localhost")
    await call(world, "remove", after_days=30)
    answer = await call(world, "remove", after_days=5)
    assert answer.removal == START + timedelta(days=5)
    await world.advance(4 * DAY)
    assert await exists(world)
    answer = await call(world, "remove")
    assert answer.removal is None
    assert not await exists(world)


async def test_what_cannot_be_taken_back_is_told_apart(world: World) -> None:
    assert await refused(world, "restore") == (
        "not-found",
        "there is no account bill@localhost; what has been removed is in backups alone",
    )
    await world.register("bill@localhost")
    assert await refused(world, "restore") == ("conflict", "bill@localhost is not to be removed")
    assert (await refused(world, "remove", user="nobody@localhost", after_days=1))[0] == "not-found"


async def test_who_wants_back_what_is_gone_is_told_since_when() -> None:
    world = await World.start(name_rest_days=30)
    await world.register("bill@localhost")
    await call(world, "remove", after_days=1)
    await world.advance(DAY + LOOK_INTERVAL)
    code, text = await refused(world, "restore")
    assert (code, text.partition("; ")[0]) == (
        "not-found",
        "bill@localhost was removed or renamed at 2026-01-02T00:10:00Z",
    )
    assert text.endswith("what a removed account had is in backups alone")
    await world.stop()


async def test_lists_and_checks_show_it(world: World) -> None:
    await world.register("ada@localhost")
    await world.register("bill@localhost")
    await call(world, "remove", after_days=30)
    due = START + timedelta(days=30)
    listed = (await CATALOGUE.call(world.context, "account", "list", {})).items
    assert [(each.user, each.removal) for each in listed] == [
        ("ada@localhost", None),
        ("bill@localhost", due),
    ]
    leaving = (await CATALOGUE.call(world.context, "account", "list", {"leaving": True})).items
    assert [each.user for each in leaving] == ["bill@localhost"]
    assert (await call(world, "check")).removal == due
    await call(world, "restore")
    assert (await call(world, "check")).removal is None


async def test_a_ban_stays_when_a_removal_is_taken_back(world: World) -> None:
    await call(world, "register", password="secret")
    await call(world, "ban", reason="spam")
    await call(world, "remove", after_days=30)
    assert await why_not(world, "secret") == "spam"
    await call(world, "restore")
    assert await why_not(world, "secret") == "spam"


async def test_the_name_is_taken_until_it_goes(world: World) -> None:
    await world.register("bill@localhost")
    await call(world, "remove", after_days=30)
    assert (await refused(world, "register", password="new"))[0] == "conflict"


async def test_those_that_go_later_are_not_removed_as_inactive(world: World) -> None:
    await world.register("bill@localhost")
    await call(world, "remove", after_days=30)
    await world.advance(20 * DAY)
    arguments = {"idle_days": 10, "never_connected": True}
    stream = CATALOGUE.stream(world.context, "account", "remove-inactive", arguments)
    assert [(each.outcome, each.reason) async for each in stream] == [
        ("kept", "it is to be removed at 2026-01-31T00:00:00Z")
    ]
    assert await exists(world)


async def test_an_administrator_does_so_for_his_domain_alone(world: World) -> None:
    await world.register("bill@localhost")
    mine = world.context.acting_for(Caller.administrator(Jid("boss@other.test"), "other.test"))
    for name, arguments in (("remove", {"after_days": 1}), ("restore", {})):
        with pytest.raises(OperationError) as caught:
            await CATALOGUE.call(mine, "account", name, {"user": BILL.text, **arguments})
        assert caught.value.code == "not-allowed"


async def test_who_is_to_go_invites_nobody_and_gets_no_keys(world: World) -> None:
    await call(world, "register", password="secret")
    created = await CATALOGUE.call(
        world.context, "invitation", "create", {"domain": "localhost", "user": "bill@localhost"}
    )
    await call(world, "remove", after_days=30)
    invitations = Invitations(world.stores.documents, world.stores.accounts, world.clock)
    with pytest.raises(InvitationRefused) as caught:
        await invitations.find(Jid("localhost"), created.uri.rpartition("preauth=")[2].partition(";")[0])
    assert caught.value.reason == "whoever invites is to be removed"
