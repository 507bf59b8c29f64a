"""Importing accounts: what becomes of each, and that one that is wrong holds up no other."""

import base64
from dataclasses import replace

import pytest

from tests.features.contacts.people import interested, pushed, show_roster
from tidings.base.jid import Jid
from tidings.kernel.events import AccountRegistered
from tidings.kernel.hooks import Listener
from tidings.kernel.invitations import Invitations
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.operations.values import to_plain
from tidings.ports.roster import Subscription
from tidings.wire.xmpp.sasl.keys import make_scram_keys


async def call(context, name, **arguments):
    return await CATALOGUE.call(context, "account", name, arguments)


async def imported(context, *accounts, **options):
    """Import accounts and give the outcome of each, with the reason where there is one."""
    report = to_plain(await call(context, "import", accounts=list(accounts), **options))
    return [
        each["outcome"] if not each["reason"] else (each["outcome"], each["reason"])
        for each in report["results"]
    ]


def scram(password, **changes):
    """Give SCRAM keys as an import has them."""
    (keys,) = make_scram_keys(password, ("SCRAM-SHA-256",), iterations=4096)
    names = ("salt", "stored_key", "server_key")
    octets = {name: base64.b64encode(getattr(keys, name)).decode() for name in names}
    return {"mechanism": "SCRAM-SHA-256", "iterations": 4096, **octets, **changes}


async def is_password(context, user, password):
    return (await call(context, "check-password", user=user, password=password)).correct


async def test_accounts_come_with_passwords_keys_names_and_contacts(context):
    contact = {"jid": "alice@localhost", "subscription": "both", "groups": ["x"]}
    assert await imported(
        context,
        {"user": "Alice", "password": "secret", "created": "2020-01-31T12:00:00Z", "name": "Alice <A>"},
        {"user": "bob@other.test", "scram": [scram("hunter2")]},
        {"user": "carol@localhost", "contacts": [contact]},
        domain="localhost",
    ) == ["made", "made", "made"]
    alice, carol, bob = (await call(context, "list")).items
    assert (alice.user, alice.created.isoformat()) == ("alice@localhost", "2020-01-31T12:00:00+00:00")
    assert b"<FN>Alice &lt;A&gt;</FN>" in await context.stores.vcards.get(alice.user)
    assert await is_password(context, "alice@localhost", "secret")
    assert await is_password(context, "bob@other.test", "hunter2")
    assert not await is_password(context, "bob@other.test", "hunter3")
    assert (bob.password, carol.password) == (True, False)
    for password in ("", "x"):
        assert not await is_password(context, "carol@localhost", password)
    (entry,) = (await context.stores.roster.load(carol.user)).entries
    assert (entry.jid, entry.subscription, entry.groups) == ("alice@localhost", Subscription.BOTH, {"x"})


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        ({"user": "dora"}, "'dora' names no account; write name@domain, such as dora@localhost"),
        ({"user": "a b@localhost"}, None),
        ({"user": "dora@localhost/x"}, "dora@localhost/x has a resource; write dora@localhost"),
        ({"user": "dora@elsewhere.test"}, None),
        ({"user": "dora@anon.test"}, "anon.test is for anonymous guests and has no lasting accounts"),
        ({"user": "dora@localhost", "password": ""}, "the password is empty"),
        ({"user": "dora@localhost", "created": "soon"}, None),
        ({"user": "dora@localhost", "contacts": [{"jid": "@"}]}, None),
        ({"user": "alice@localhost"}, "alice@localhost is named twice"),
        (
            {"user": "dora@localhost", "password": "x", "invitation": True},
            "it has a password or keys, and so needs no invitation",
        ),
        (
            {"user": "dora@localhost", "contacts": [{"jid": "bob@localhost"}], "invitation": True},
            "an invitation keeps no contacts",
        ),
        (
            {"user": "dora@localhost", "password": "x", "scram": [scram("x")]},
            "it has a password and keys; one of them is enough",
        ),
        ({"user": "dora@localhost", "scram": [scram("x", salt="?")]}, "`salt` is no base64"),
        (
            {"user": "dora@localhost", "scram": [scram("x", stored_key="AAAA")]},
            "`stored_key` of SCRAM-SHA-256 has 32 octets, not 3",
        ),
    ],
)
async def test_one_that_is_wrong_keeps_no_other_from_being_made(context, account, reason):
    first, (outcome, told), last = await imported(
        context, {"user": "alice@localhost"}, account, {"user": "zoe@localhost"}
    )
    assert (first, outcome, last) == ("made", "failed", "made")
    assert reason in {None, told}
    assert " " in told
    assert (await call(context, "count")).count == 2


async def test_it_can_be_repeated(context):
    alice, bob = {"user": "alice@localhost", "password": "old"}, {"user": "bob@localhost", "password": "x"}
    assert await imported(context, alice) == ["made"]
    again = {"user": "alice@localhost", "password": "new", "name": "Alice"}
    assert await imported(context, again, bob) == ["skipped", "made"]
    assert await is_password(context, "alice@localhost", "old")
    assert await context.stores.vcards.get(Jid("alice@localhost")) is None


async def test_an_update_changes_what_is_told_and_nothing_else(context):
    jid = Jid("alice@localhost")
    await imported(context, {"user": jid.text, "password": "old", "created": "2020-01-01"})
    await context.stores.vcards.put(jid, b'<vCard xmlns="vcard-temp"><FN>Old</FN><URL>x:y</URL></vCard>')
    assert await imported(context, {"user": jid.text, "name": "New"}, update=True) == ["updated"]
    assert await context.stores.vcards.get(jid) == (
        b'<vCard xmlns="vcard-temp"><FN>New</FN><URL>x:y</URL></vCard>'
    )
    assert await is_password(context, jid.text, "old")
    assert await imported(context, {"user": jid.text, "scram": [scram("new")]}, update=True) == ["updated"]
    assert await is_password(context, jid.text, "new")
    (listed,) = (await call(context, "list")).items
    assert listed.created.year == 2020


async def test_a_dry_run_changes_nothing(context):
    await imported(context, {"user": "alice@localhost", "password": "old"})
    told = await imported(
        context,
        {"user": "alice@localhost", "password": "new"},
        {"user": "bob@localhost", "password": "x"},
        {"user": "carol@localhost", "password": ""},
        update=True,
        dry_run=True,
    )
    assert told == ["updated", "made", ("failed", "the password is empty")]
    assert (await call(context, "count")).count == 1
    assert await is_password(context, "alice@localhost", "old")


async def test_an_administrator_imports_into_his_domain_alone(context):
    mine = context.acting_for(Caller.administrator(Jid("boss@other.test"), "other.test"))
    assert await imported(mine, {"user": "alice@localhost"}, {"user": "bob@other.test"}) == [
        ("failed", "boss@other.test may not administer localhost"),
        "made",
    ]
    assert not await context.stores.accounts.exists(Jid("alice@localhost"))
    with pytest.raises(OperationError) as caught:
        await imported(mine, {"user": "alice"}, domain="localhost")
    assert caught.value.code == "not-allowed"


async def test_a_running_server_knows_the_accounts_at_once(world, live):
    heard = []
    hooks = world.server.hosts["localhost"].hooks
    hooks.listen(Listener(event=AccountRegistered, feature="test", handler=heard.append))
    hooks.compile()
    bob = await world.login("bob@localhost/desk")
    await bob.send("<message to='alice@localhost' type='chat' id='1'><body>hi</body></message>")
    assert [message.get("type") for message in bob.take("message")] == ["error"]
    contacts = [{"jid": "bob@localhost", "subscription": "both"}]
    assert await imported(live, {"user": "alice@localhost", "contacts": contacts}) == ["made"]
    assert [event.account for event in heard] == ["alice@localhost"]
    await bob.send("<message to='alice@localhost' type='chat' id='2'><body>hi</body></message>")
    assert bob.take("message") == []
    alice = await world.login("alice@localhost/phone")
    assert [item.jid for item in await show_roster(alice)] == ["bob@localhost"]


async def test_an_update_on_a_running_server_is_seen_by_clients(world, live):
    alice = await interested(world, "alice@localhost/phone")
    changed = {"user": "alice@localhost", "contacts": [{"jid": "bob@localhost", "name": "Bob"}]}
    assert await imported(live, changed, update=True) == ["updated"]
    assert [(item.jid, item.name) for item in pushed(alice)] == [("bob@localhost", "Bob")]
    assert await imported(live, {"user": "alice@localhost", "password": "new"}, update=True) == ["updated"]
    assert alice.error.text == "the password has been changed"


async def test_an_address_under_legal_hold_is_not_given_away(world, live):
    alice = await world.login("alice@localhost/phone")
    await world.register("bob@localhost")
    await alice.send("<message to='bob@localhost' type='chat'><body>hi</body></message>")
    await CATALOGUE.call(live, "retention", "hold", {"user": "alice@localhost"})
    await call(live, "remove", user="alice@localhost")
    assert await imported(live, {"user": "alice@localhost"}, {"user": "carol@localhost"}) == [
        (
            "failed",
            "messages of an earlier owner of alice@localhost are under legal hold; release them first",
        ),
        "made",
    ]


# --- invitations in place of accounts


async def results(context, *accounts, **options):
    """Import accounts and give what is told of each."""
    return (await call(context, "import", accounts=list(accounts), **options)).results


async def open_invitations(context):
    """Give the names that invitations are open for, with when each ends."""
    page = await CATALOGUE.call(context, "invitation", "list", {"domain": "localhost"})
    return {each.name: each.expires for each in page.items}


@pytest.mark.parametrize(
    ("account", "options"),
    [
        ({"user": "Juliet@localhost", "invitation": True}, {}),
        ({"user": "juliet", "name": "J."}, {"invite": True}),
    ],
)
async def test_an_invitation_is_made_in_place_of_an_account(context, account, options):
    context = replace(context, public_url=lambda: "https://chat.example.org/")
    [told] = await results(context, account, domain="localhost", hours=24, **options)
    assert (told.user, told.outcome, told.reason) == ("juliet@localhost", "invited", "")
    assert not await context.stores.accounts.exists(Jid("juliet@localhost"))
    path = told.link.removeprefix("https://chat.example.org/invite/localhost/")
    invitations = Invitations(context.stores.documents, context.stores.accounts, context.clock)
    found = await invitations.find(Jid("localhost"), path)
    assert (found.id, found.name, found.uses, found.by) == (told.invitation, "juliet", 1, "operator")
    assert found.expires == context.clock.now() + 86_400


async def test_without_an_address_the_link_opens_a_client(context):
    [told] = await results(context, {"user": "juliet@localhost", "invitation": True})
    assert told.link.startswith("xmpp:juliet@localhost?register;preauth=")


async def test_passwords_and_keys_make_accounts_beside_invitations(context):
    told = await imported(
        context,
        {"user": "alice@localhost", "password": "x"},
        {"user": "bob@localhost", "scram": [scram("x")]},
        {"user": "carol@localhost"},
        invite=True,
    )
    assert told == ["made", "made", "invited"]
    assert (await call(context, "count")).count == 2
    assert set(await open_invitations(context)) == {"carol"}


async def test_an_import_that_is_repeated_invites_nobody_twice(context):
    asked = [{"user": f"user{number}@localhost", "invitation": True} for number in range(5)]
    first = await results(context, *asked[:3])
    again = await results(context, *asked, update=True)
    assert [each.outcome for each in again] == ["skipped"] * 3 + ["invited"] * 2
    assert all(made.invitation in told.reason for made, told in zip(first, again, strict=False))
    assert not any(each.link for each in again[:3])
    assert len(await open_invitations(context)) == 5
    await context.accounts.create(Jid("user9@localhost"), "x")
    assert await imported(context, {"user": "user9@localhost", "invitation": True}, update=True) == [
        "skipped"
    ]


async def test_one_that_is_over_is_made_anew(context):
    asked = {"user": "juliet@localhost", "invitation": True}
    await results(context, asked, hours=1)
    context.clock.advance(3_600)
    assert await imported(context, asked) == ["invited"]


async def test_a_dry_run_invites_nobody(context):
    asked = {"user": "juliet@localhost", "invitation": True}
    [told] = await results(context, asked, dry_run=True)
    assert (told.outcome, told.link, told.invitation) == ("invited", "", "")
    assert await open_invitations(context) == {}
    await results(context, asked)
    [told] = await results(context, asked, dry_run=True)
    assert told.outcome == "skipped"
