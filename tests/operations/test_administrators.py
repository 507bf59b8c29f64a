"""Who may administer a domain: by the configuration, or promoted while the server runs."""

import pytest

from tidings.base.jid import Jid
from tidings.kernel.domains import Domains, ServedDomain
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError
from tidings.operations.values import moment_of
from tidings.wire.xmpp import ns


async def call(context, name, **arguments):
    return await CATALOGUE.call(context, "account", name, arguments)


async def refused(context, name, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code, caught.value.text


async def admins(context, **arguments):
    page = await call(context, "admins", **arguments)
    return [(each.domain.text, each.user.text, each.why) for each in page.items]


async def may_administer(client, domain):
    """Tell whether a client is shown the commands of administrators."""
    request = f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>"
    answer = await client.request(f"<iq type='get' id='c' to='{domain}'>{request}</iq>")
    nodes = [item.get("node") for item in answer.find("query", ns.DISCO_ITEMS).children]
    return f"{ns.ADMIN}#add-user" in nodes


async def test_a_promotion_holds_for_a_connected_session_at_once_and_until_it_is_taken_back(world, live):
    alice = await world.login("alice@localhost/phone")
    assert not await may_administer(alice, "localhost")
    promoted = await call(live, "promote", user="alice@localhost")
    assert (promoted.user, promoted.domain) == ("alice@localhost", "localhost")
    assert await may_administer(alice, "localhost")
    assert not await may_administer(alice, "other.test")
    await call(live, "demote", user="alice@localhost")
    assert not await may_administer(alice, "localhost")
    assert not alice.closed


async def test_one_may_be_promoted_for_another_domain_or_for_all(world, live):
    alice = await world.login("alice@localhost/phone")
    await call(live, "promote", user="alice@localhost", domain="other.test")
    assert not await may_administer(alice, "localhost")
    assert await may_administer(alice, "other.test")
    await call(live, "promote", user="alice@localhost", every_domain=True)
    assert await may_administer(alice, "localhost")
    await CATALOGUE.call(live, "domain", "add", {"domain": "new.test"})
    assert await may_administer(alice, "new.test")
    await call(live, "demote", user="alice@localhost", every_domain=True)
    for domain in ("localhost", "new.test"):
        assert not await may_administer(alice, domain)
    assert await may_administer(alice, "other.test")


async def test_a_promotion_outlives_a_restart(world, live):
    await world.register("alice@localhost")
    await call(live, "promote", user="alice@localhost")
    await world.restart()
    alice = await world.login("alice@localhost/phone")
    assert await may_administer(alice, "localhost")


async def test_a_promotion_outlives_a_change_of_those_that_are_named(world, live):
    alice = await world.login("alice@localhost/phone")
    await call(live, "promote", user="alice@localhost")
    for named in ([Jid("boss@localhost")], []):
        world.server.hosts["localhost"].admins = frozenset(named)
        assert await may_administer(alice, "localhost")


async def test_who_has_the_name_of_a_removed_administrator_is_none(world, live):
    await world.register("alice@localhost")
    await call(live, "promote", user="alice@localhost")
    await call(live, "remove", user="alice@localhost")
    await call(live, "register", user="alice@localhost", password="x")
    alice = await world.login("alice@localhost/phone")
    assert not await may_administer(alice, "localhost")
    await world.restart()
    assert not await may_administer(await world.login("alice@localhost/phone"), "localhost")


async def test_nor_is_one_whose_domain_was_removed_meanwhile(world, live):
    await CATALOGUE.call(live, "domain", "add", {"domain": "new.test"})
    await call(live, "register", user="alice@new.test", password="x")
    await call(live, "promote", user="alice@new.test", domain="localhost")
    await CATALOGUE.call(live, "domain", "remove", {"domain": "new.test"})
    while await world.stores.domains.get("new.test") is not None:
        await world.advance(60)
    await CATALOGUE.call(live, "domain", "add", {"domain": "new.test"})
    await call(live, "register", user="alice@new.test", password="y")
    await world.settle()
    assert not await may_administer(await world.login("alice@new.test/phone"), "localhost")


async def test_it_is_told_who_administers_what_and_why(context):
    boss = ServedDomain(domain="localhost", admins=(Jid("boss@localhost"),))
    mine = Context(
        domains=Domains([boss, ServedDomain(domain="other.test")]),
        stores=context.stores,
        clock=context.clock,
    )
    for user in ("alice@localhost", "boss@localhost", "zoe@other.test"):
        await call(mine, "register", user=user, password="x")
    await call(mine, "promote", user="alice@localhost")
    await call(mine, "promote", user="zoe@other.test", every_domain=True)
    assert await admins(mine) == [
        ("localhost", "alice@localhost", "promoted"),
        ("localhost", "boss@localhost", "configuration"),
        ("localhost", "zoe@other.test", "promoted for every domain"),
        ("other.test", "zoe@other.test", "promoted for every domain"),
    ]
    assert len(await admins(mine, domain="other.test")) == 1
    (first, *_) = (await call(mine, "admins")).items
    assert (first.since, first.by) == (moment_of(mine.clock.now()), "operator")
    listed = (await call(mine, "list")).items
    assert [each.administrator for each in listed] == [True, True, True]
    assert await refused(mine, "demote", user="boss@localhost") == (
        "conflict",
        "boss@localhost administers localhost by the configuration; change it there",
    )
    assert await refused(mine, "demote", user="alice@localhost", domain="other.test") == (
        "not-found",
        "alice@localhost was not promoted for other.test",
    )


async def test_who_was_named_when_a_domain_was_added_is_told(world, live):
    await CATALOGUE.call(live, "domain", "add", {"domain": "new.test", "administrators": ["alice@new.test"]})
    assert await admins(live, domain="new.test") == [("new.test", "alice@new.test", "added with the domain")]
    assert (await refused(live, "demote", user="alice@new.test"))[0] == "conflict"


async def test_nobody_is_promoted_who_is_not_there_or_where_nobody_serves(context):
    assert await refused(context, "promote", user="nobody@localhost") == (
        "not-found",
        "there is no account nobody@localhost",
    )
    await call(context, "register", user="alice@localhost", password="x")
    assert (await refused(context, "promote", user="alice@localhost", domain="elsewhere.test"))[
        0
    ] == "not-found"
    told = await refused(context, "promote", user="alice@localhost", domain="localhost", every_domain=True)
    assert told == ("invalid", "give `domain` or `every_domain`, not both")


async def test_who_administers_a_domain_changes_nothing_of_who_administers_more(world, live):
    await world.register("zoe@localhost")
    await world.register("bob@localhost")
    await call(live, "promote", user="zoe@localhost", domain="other.test")
    world.server.hosts["other.test"].admins = frozenset([Jid("named@localhost")])
    alice = live.acting_for(Caller.administrator(Jid("alice@localhost"), "localhost"))
    told = "not-allowed", "zoe@localhost administers other.test, and alice@localhost does not"
    assert await refused(alice, "change-password", user="zoe@localhost", password="mine") == told
    assert await refused(alice, "remove", user="zoe@localhost") == told
    # Nor is an account made of a name that has rights already.
    assert (await refused(alice, "register", user="named@localhost", password="x"))[0] == "not-allowed"
    await call(alice, "change-password", user="bob@localhost", password="another")
    assert (await call(alice, "list", domain="localhost")).items  # to look is no change
    both = live.acting_for(Caller.administrator(Jid("alice@localhost"), "localhost", "other.test"))
    await call(both, "change-password", user="zoe@localhost", password="another")
    await call(live, "demote", user="zoe@localhost", domain="other.test")
    await call(alice, "change-password", user="zoe@localhost", password="one more")
