"""Account operations: rules, answers and what a running server does beside."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.features.contacts.people import befriend, interested, pushed, seen
from tests.harness.clock import VirtualClock
from tests.harness.world import World, memory_stores
from tidings.base.jid import Jid
from tidings.kernel.domains import Domains
from tidings.kernel.events import AccountRegistered, AccountRemoved, PasswordChanged
from tidings.kernel.hooks import Listener
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.wire.xmpp.sasl.keys import make_scram_keys


async def call(context, name, **arguments):
    return await CATALOGUE.call(context, "account", name, arguments)


async def refused(context, name, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code, caught.value.text


async def test_an_account_lives_and_dies(context):
    assert (
        await call(context, "register", user="Alice@LocalHost", password="secret")
    ).user == "alice@localhost"
    checked = await call(context, "check", user="alice@localhost")
    assert (checked.exists, checked.created, checked.banned) == (
        True,
        datetime(2026, 1, 1, tzinfo=UTC),
        False,
    )
    assert (await call(context, "check-password", user="alice@localhost", password="secret")).correct
    assert not (await call(context, "check-password", user="alice@localhost", password="Secret")).correct
    await call(context, "change-password", user="alice@localhost", password="other")
    assert (await call(context, "check-password", user="alice@localhost", password="other")).correct
    await call(context, "remove", user="alice@localhost")
    assert not (await call(context, "check", user="alice@localhost")).exists


async def test_passwords_are_never_stored(context):
    await call(context, "register", user="alice@localhost", password="correct horse")
    record = await context.stores.accounts.get("alice@localhost")
    assert {keys.mechanism for keys in record.keys} == {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"}
    assert "correct horse" not in repr(record)


async def test_checking_a_password_gives_an_account_the_keys_that_it_lacks(context):
    user = Jid("alice@localhost")
    await context.stores.accounts.create(user, make_scram_keys("secret", ["SCRAM-SHA-1"]), 0)
    for password in ("wrong", "secret"):
        record = await context.stores.accounts.get(user)
        assert [keys.mechanism for keys in record.keys] == ["SCRAM-SHA-1"]
        await call(context, "check-password", user=user.text, password=password)
    record = await context.stores.accounts.get(user)
    assert {keys.mechanism for keys in record.keys} == {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"}


async def test_an_account_exists_once(context):
    await call(context, "register", user="alice@localhost", password="x")
    assert await refused(context, "register", user="ALICE@localhost", password="y") == (
        "conflict",
        "the account alice@localhost exists already",
    )
    assert (await call(context, "check-password", user="alice@localhost", password="x")).correct


@pytest.mark.parametrize(
    ("user", "code", "text"),
    [
        ("alice", "invalid", "'alice' names no account; write name@domain, such as alice@localhost"),
        ("alice@localhost/phone", "invalid", "alice@localhost/phone has a resource; write alice@localhost"),
        ("a b@localhost", "invalid", None),
        ("@localhost", "invalid", None),
        ("alice@elsewhere.test", "not-found", None),
        ("alice@anon.test", "not-allowed", "anon.test is for anonymous guests and has no lasting accounts"),
    ],
)
async def test_an_address_that_can_be_no_account_is_refused(context, user, code, text):
    told = await refused(context, "register", user=user, password="x")
    assert told[0] == code
    assert text is None or told[1] == text


@pytest.mark.parametrize("password", ["", "x" * 1024, "\x00", "é" * 600])
async def test_a_text_that_can_be_no_password_is_refused(context, password):
    assert (await refused(context, "register", user="alice@localhost", password=password))[0] == "invalid"
    assert not await context.stores.accounts.exists("alice@localhost")


async def test_nothing_can_be_done_to_an_account_that_does_not_exist(context):
    for name in ("remove", "check-password", "change-password", "ban", "unban"):
        told = await refused(context, name, user="nobody@localhost", password="x")
        assert told == ("not-found", "there is no account nobody@localhost")


async def test_a_ban_is_seen_and_lifted(context):
    await call(context, "register", user="alice@localhost", password="x")
    await call(context, "ban", user="alice@localhost", reason="spam")
    checked = await call(context, "check", user="alice@localhost")
    assert (checked.banned, checked.ban_reason) == (True, "spam")
    await call(context, "unban", user="alice@localhost")
    assert not (await call(context, "check", user="alice@localhost")).banned


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("remove", {}, "the account has been removed"),
        ("change-password", {"password": "new"}, "the password has been changed"),
        ("ban", {"reason": "spam"}, "the account is banned: spam"),
    ],
)
async def test_sessions_end_with_what_they_stood_on(world, live, name, arguments, reason):
    phone, desk = await world.online("alice@localhost/phone"), await world.online("alice@localhost/desk")
    bob = await world.online("bob@localhost/phone")
    answer = await call(live, name, user="alice@localhost", **arguments)
    assert answer.sessions_ended == 2
    for client in (phone, desk):
        assert (client.error.condition, client.error.text) == ("not-authorized", reason)
    assert not bob.closed


async def test_features_hear_what_has_happened(world, live):
    heard = []
    hooks = world.server.hosts["localhost"].hooks
    for event in (AccountRegistered, AccountRemoved, PasswordChanged):
        hooks.listen(Listener(event=event, feature="test", handler=heard.append))
    hooks.compile()
    await call(live, "register", user="alice@localhost", password="x")
    await call(live, "change-password", user="alice@localhost", password="y")
    await call(live, "remove", user="alice@localhost")
    await call(live, "register", user="alice@other.test", password="x")
    jid = "alice@localhost"
    assert [type(event) for event in heard] == [AccountRegistered, PasswordChanged, AccountRemoved]
    assert {event.account for event in heard} == {jid}


async def test_the_running_server_knows_at_once_which_accounts_exist(world, live):
    directory = world.server.hosts["localhost"].directory
    assert not (await directory.load(Jid("alice@localhost"))).exists
    await call(live, "register", user="alice@localhost", password="x")
    assert (await directory.load(Jid("alice@localhost"))).exists
    await call(live, "remove", user="alice@localhost")
    assert not (await directory.load(Jid("alice@localhost"))).exists


# --- by an operation, and by its owner


CANCEL = "<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>"


async def remove(context, client, how):
    """Remove the account of a client by an operation, or let the client ask for it."""
    if how == "operation":
        await call(context, "remove", user=client.jid.bare)
    else:
        await client.request(CANCEL)


@pytest.mark.parametrize("how", ["operation", "registration"])
async def test_who_removes_an_account_makes_no_difference(world, live, how):
    await befriend(world, "alice@localhost", "bob@localhost")
    bob = await interested(world, "bob@localhost/desk")
    phone, desk = await world.online("alice@localhost/phone"), await world.online("alice@localhost/desk")
    lost = await world.online("alice@localhost/train")
    await lost.manage()
    await lost.lose()
    for client in (bob, phone, desk):
        client.take()
    await remove(live, phone, how)
    await world.settle()
    for client in (phone, desk):
        assert (client.error.condition, client.error.text) == (
            "not-authorized",
            "the account has been removed",
        )
    assert lost.session.ended
    assert seen(bob) == [
        ("unavailable", "alice@localhost/phone"),
        ("unavailable", "alice@localhost/desk"),
        ("unavailable", "alice@localhost/train"),
        ("unsubscribe", "alice@localhost"),
        ("unsubscribed", "alice@localhost"),
    ]
    assert [item.subscription.value for item in pushed(bob)] == ["to", "none"]
    for client in (phone, desk):
        await client.leave()
    await bob.send("<message to='alice@localhost' type='chat' id='m'><body>hi</body></message>")
    assert bob.take("message")[0].get("type") == "error"


class Interrupted:
    """A store of accounts in which something happens while one is being removed."""

    def __init__(self, store):
        self._store = store
        self.meanwhile = None

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def remove(self, account, **options):
        await self.meanwhile()
        return await self._store.remove(account, **options)


@pytest.mark.parametrize("how", ["operation", "registration"])
async def test_a_removed_account_gets_nothing_although_it_was_read_meanwhile(how):
    clock = VirtualClock()
    stores = await memory_stores(clock)
    stores.accounts = Interrupted(stores.accounts)
    world = await World.start(stores=stores, clock=clock, accounts_in_memory=1)
    bob = await world.online("bob@localhost/desk")
    alice = await world.login("alice@localhost/phone")
    await world.register("carol@localhost")

    async def alice_leaves_and_bob_writes():
        world.server.abandon(alice.session, None)
        bob.push(
            *(f"<message to='{name}@localhost'><body>hi</body></message>" for name in ("carol", "alice"))
        )
        async with asyncio.timeout(5):
            while bob.session.flow.handled != bob.session.flow.received:
                await asyncio.sleep(0)

    stores.accounts.meanwhile = alice_leaves_and_bob_writes
    if how == "operation":
        await call(world.context, "remove", user="alice@localhost")
    else:
        await alice.send(CANCEL)
    await world.settle()
    assert bob.take() == []
    await bob.send("<message to='alice@localhost' id='late'><body>hi</body></message>")
    assert [(message.get("id"), message.get("type")) for message in bob.take()] == [("late", "error")]
    await world.stop()


# --- domains that are served no more


async def formerly(context, *names):
    for name in names:
        await context.stores.accounts.create(Jid(f"{name}@former.test"), (), 0)


async def test_the_operator_lists_and_removes_accounts_of_a_domain_that_is_served_no_more(context):
    await formerly(context, "alice", "bob")
    listed = await call(context, "list", domain="former.test")
    assert [each.user for each in listed.items] == ["alice@former.test", "bob@former.test"]
    assert (await call(context, "count", domain="former.test")).count == 2
    assert (await call(context, "check", user="bob@former.test")).exists
    exported = [
        one.user async for one in CATALOGUE.stream(context, "account", "export", {"domain": "former.test"})
    ]
    assert exported == [each.user for each in listed.items]
    await call(context, "remove", user="alice@former.test")
    listed = await call(context, "list", domain="former.test")
    assert [each.user for each in listed.items] == ["bob@former.test"]
    await call(context, "remove", user="bob@former.test")
    code, text = await refused(context, "list", domain="former.test")
    assert code == "not-found"
    assert "former.test is not a domain of this server" in text


async def test_nobody_gets_an_account_on_a_domain_that_is_served_no_more(context):
    await formerly(context, "alice")
    for name, more in (("register", {"password": "x"}), ("ban", {}), ("change-password", {"password": "x"})):
        code, _ = await refused(context, name, user="alice@former.test", **more)
        assert code == "not-found"


async def test_an_administrator_of_another_domain_learns_nothing_of_a_former_one(context):
    await formerly(context, "alice")
    other = context.acting_for(Caller.administrator(Jid("root@localhost"), "localhost"))
    for name, arguments in (
        ("list", {"domain": "former.test"}),
        ("remove", {"user": "alice@former.test"}),
        ("check", {"user": "nobody@never.test"}),
    ):
        code, _ = await refused(other, name, **arguments)
        assert code == "not-allowed"
    assert await context.stores.accounts.exists(Jid("alice@former.test"))


async def test_the_archive_of_an_account_that_was_left_behind_goes_with_it():
    world = await World.start()
    alice = await world.online("alice@localhost/phone")
    await alice.send("<message to='bob@localhost' type='chat'><body>Hi</body></message>")
    await alice.leave()
    domains = Domains.of("other.test")
    context = replace(world.context, domains=domains, live=None)
    await call(context, "remove", user="alice@localhost")
    head = await world.stores.ledger.head(Jid("alice@localhost"))
    assert head.first > head.position
