"""Accounts that nobody has used for long go, and those that must stay are kept."""

from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.values import moment_of

DAY = 86_400


async def call(context, name, **arguments):
    return await CATALOGUE.call(context, "account", name, arguments)


async def removed(context, **arguments):
    arguments = {"idle_days": 90, **arguments}
    stream = CATALOGUE.stream(context, "account", "remove-inactive", arguments)
    return [(each.user.text, each.outcome, each.reason) async for each in stream]


async def make(context, user, *, seen=None, made=200):
    """Make an account so many days ago, that was last there so many days ago."""
    jid = Jid(user)
    await context.stores.accounts.create(jid, (), context.clock.now() - made * DAY)
    if seen is not None:
        await context.stores.accounts.touch_last(jid, context.clock.now() - seen * DAY)
    return jid


async def users(context):
    return [each.user.text for each in (await call(context, "list")).items]


async def test_who_was_not_there_for_so_long_goes(context):
    await make(context, "old@localhost", seen=91)
    await make(context, "lately@localhost", seen=89)
    await make(context, "never@localhost")
    await make(context, "old@other.test", seen=91)
    expected = [("old@localhost", "removed", ""), ("old@other.test", "removed", "")]
    assert await removed(context, dry_run=True) == expected
    assert len(await users(context)) == 4
    assert await removed(context, domain="localhost") == expected[:1]
    assert await removed(context) == expected[1:]
    assert await users(context) == ["lately@localhost", "never@localhost"]
    assert await removed(context) == []


async def test_who_was_never_there_goes_only_where_that_is_asked_for(context):
    await make(context, "never@localhost")
    await make(context, "new@localhost", made=10)
    assert await removed(context) == []
    assert await removed(context, never_connected=True) == [("never@localhost", "removed", "")]
    assert await users(context) == ["new@localhost"]


async def test_administrators_and_banned_accounts_are_kept(context):
    for name in ("admin", "banned", "old"):
        await make(context, f"{name}@localhost", seen=100)
    await call(context, "promote", user="admin@localhost")
    await call(context, "ban", user="banned@localhost")
    assert await removed(context) == [
        ("admin@localhost", "kept", "it is an administrator"),
        ("banned@localhost", "kept", "it is banned"),
        ("old@localhost", "removed", ""),
    ]
    assert await users(context) == ["admin@localhost", "banned@localhost"]


async def test_what_is_under_legal_hold_is_kept_until_it_is_released(world, live):
    alice = await world.login("alice@localhost/phone")
    await world.register("bob@localhost")
    await alice.send("<message to='bob@localhost' type='chat'><body>hi</body></message>")
    await alice.leave()
    await world.stores.accounts.touch_last(Jid("bob@localhost"), live.clock.now())
    bob = Jid("bob@localhost")
    await world.stores.ledger.hold(bob, (1,))
    await CATALOGUE.call(live, "retention", "hold", {"user": "alice@localhost"})
    world.clock.advance(100 * DAY)
    kept = "messages of it are under legal hold"
    assert await removed(live) == [("alice@localhost", "kept", kept), ("bob@localhost", "kept", kept)]
    await world.stores.ledger.hold(bob, (1,), is_held=False)
    assert await removed(live) == [("alice@localhost", "kept", kept), ("bob@localhost", "removed", "")]


async def test_who_is_connected_is_not_inactive(world, live):
    await make(live, "alice@localhost", seen=100)
    phone = await world.login("alice@localhost/phone")
    assert await removed(live) == []
    await phone.leave()
    assert await removed(live) == []
    assert await users(live) == ["alice@localhost"]


async def test_who_was_connected_when_the_server_was_killed_is_not_inactive(world, live):
    """Then no session has ended, and only what is known of devices tells it."""
    await make(live, "alice@localhost", seen=100)
    await world.register("bob@localhost")
    alice = await world.login("alice@localhost/phone")
    await alice.send("<message to='bob@localhost' type='chat'><body>hi</body></message>")
    await world.advance(60)
    devices = await world.stores.ledger.devices(Jid("alice@localhost"))
    assert devices
    without_server = type(live)(domains=live.domains, stores=live.stores, clock=live.clock)
    assert await removed(without_server) == []


async def test_an_administrator_removes_those_of_his_domain(context):
    await make(context, "old@localhost", seen=91)
    await make(context, "old@other.test", seen=91)
    mine = context.acting_for(Caller.administrator(Jid("boss@other.test"), "other.test"))
    assert await removed(mine) == [("old@other.test", "removed", "")]
    assert await users(context) == ["old@localhost"]


async def test_it_is_told_when_they_were_there(context):
    await make(context, "old@localhost", seen=91)
    stream = CATALOGUE.stream(context, "account", "remove-inactive", {"idle_days": 90, "dry_run": True})
    [each] = [each async for each in stream]
    assert each.last_seen == moment_of(context.clock.now() - 91 * DAY)
