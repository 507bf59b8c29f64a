"""Lists of accounts: what they tell, which accounts they choose, and how they go on."""

import pytest

from tidings.base.jid import Jid
from tidings.kernel.domains import Domains, ServedDomain
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import moment_of

DAY = 86_400


async def call(context, name, **arguments):
    return await CATALOGUE.call(context, "account", name, arguments)


async def users(context, **arguments):
    return [each.user.text for each in (await call(context, "list", **arguments)).items]


async def make(context, *addresses, days_ago=0):
    for address in addresses:
        created = context.clock.now() - days_ago * DAY
        await context.stores.accounts.create(Jid(address), (), created)


async def test_accounts_are_listed_in_pages_over_all_domains(context):
    everyone = [f"{name}@{domain}" for domain in ("localhost", "other.test") for name in ("a", "b", "c")]
    await make(context, *reversed(everyone))
    seen, after = [], None
    while True:
        page = await call(context, "list", limit=2, after=after)
        assert len(page.items) <= 2
        seen += [each.user for each in page.items]
        if page.next is None:
            break
        after = page.next
    assert seen == everyone
    assert await users(context, domain="other.test") == everyone[3:]
    assert (await call(context, "count")).count == 6
    assert (await call(context, "count", domain="localhost")).count == 3


async def test_a_list_tells_what_is_known(context):
    await make(context, "alice@localhost", days_ago=3)
    await call(context, "register", user="bob@localhost", password="x")
    await call(context, "ban", user="bob@localhost", reason="spam")
    await context.stores.accounts.touch_last(Jid("alice@localhost"), 1_700_000_000.5)
    alice, bob = (await call(context, "list")).items
    assert (alice.created, alice.last_activity) == (
        moment_of(context.clock.now() - 3 * DAY),
        moment_of(1_700_000_000),
    )
    assert (alice.banned, alice.ban_reason, alice.password, alice.sessions) == (False, None, False, None)
    assert (bob.banned, bob.ban_reason, bob.password, bob.last_activity) == (True, "spam", True, None)


async def test_a_list_tells_of_sessions_and_archives(world, live):
    alice = await world.login("alice@localhost/phone")
    await world.login("alice@localhost/desk")
    bob = await world.login("bob@localhost/phone")
    await bob.leave()
    await alice.send("<message to='bob@localhost' type='chat'><body>hi</body></message>")
    size = await CATALOGUE.call(live, "archive", "size", {"user": "bob@localhost"})
    assert size.entries == 1
    found = {each.user: each for each in (await call(live, "list", domain="localhost")).items}
    assert (found["alice@localhost"].sessions, found["bob@localhost"].sessions) == (2, 0)
    for user in ("alice@localhost", "bob@localhost"):
        assert (found[user].entries, found[user].octets) == (1, size.octets)
    assert found["bob@localhost"].last_activity == moment_of(live.clock.now())


async def test_accounts_are_chosen_by_what_holds_of_them(context):
    await make(context, "anna@localhost", days_ago=100)
    await make(context, "hanna@localhost", days_ago=50)
    await make(context, "bert@localhost", "anna@other.test")
    await context.stores.accounts.touch_last(Jid("anna@localhost"), context.clock.now() - 10 * DAY)
    await call(context, "ban", user="bert@localhost")
    assert await users(context, banned=True) == ["bert@localhost"]
    assert await users(context, banned=False) == ["anna@localhost", "hanna@localhost", "anna@other.test"]
    assert await users(context, search="ANN") == ["anna@localhost", "hanna@localhost", "anna@other.test"]
    assert await users(context, search="ann", domain="other.test") == ["anna@other.test"]
    assert await users(context, idle_days=20) == ["hanna@localhost"]
    assert await users(context, idle_days=5) == ["anna@localhost", "hanna@localhost"]
    assert await users(context, not_seen_since="2025-12-20") == ["hanna@localhost"]
    assert await users(context, not_seen_since="2025-12-20", idle_days=60) == []
    assert await users(context, created_before="2025-10-01T00:00:00+02:00") == ["anna@localhost"]


async def test_who_is_connected_is_not_idle(world, live):
    await make(live, "alice@localhost", "bob@localhost", "carol@localhost", days_ago=100)
    phone = await world.login("bob@localhost/phone")
    assert await users(live, idle_days=30) == ["alice@localhost", "carol@localhost"]
    page = await call(live, "list", idle_days=30, limit=1)
    assert (page.items[0].user, page.next) == ("alice@localhost", "alice@localhost")
    assert await users(live, idle_days=30, limit=1, after=page.next) == ["carol@localhost"]
    await phone.leave()
    assert await users(live, idle_days=30) == ["alice@localhost", "carol@localhost"]


async def test_administrators_are_told(context):
    served = ServedDomain(domain="localhost", admins=(Jid("boss@localhost"),))
    mine = Context(domains=Domains([served]), stores=context.stores, clock=context.clock)
    await make(mine, "alice@localhost", "boss@localhost")
    listed = (await call(mine, "list")).items
    assert [(each.user, each.administrator) for each in listed] == [
        ("alice@localhost", False),
        ("boss@localhost", True),
    ]


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "2026-01-31T25:00"])
@pytest.mark.parametrize("field", ["created_before", "not_seen_since"])
async def test_what_is_no_time_is_refused(context, field, text):
    with pytest.raises(OperationError) as caught:
        await call(context, "list", **{field: text})
    assert caught.value.text == (
        f"`{field}` is wrong: {text!r} is no time; write 2026-01-31 or 2026-01-31T12:00:00Z"
    )


async def test_every_account_is_given_one_after_another(context):
    await make(context, "a@other.test", "b@localhost", "a@localhost")
    await call(context, "ban", user="b@localhost", reason="spam")
    found = [each async for each in CATALOGUE.stream(context, "account", "export", {})]
    assert [(each.user, each.banned) for each in found] == [
        ("a@localhost", False), ("b@localhost", True), ("a@other.test", False),
    ]  # fmt: skip
    assert found[1].ban_reason == "spam"
    [only] = [each async for each in CATALOGUE.stream(context, "account", "export", {"domain": "other.test"})]
    assert only.user == "a@other.test"
