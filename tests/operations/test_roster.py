"""Rosters by operation: clients are told as of a change of their own, and see whom they may see now."""

import pytest

from tests.features.contacts.people import befriend, change, interested, pushed, seen, show_roster
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.wire.xmpp import ns

ALICE, BOB = "alice@localhost", "bob@localhost"


async def call(context, operation, /, **arguments):
    return await CATALOGUE.call(context, "roster", operation, arguments)


async def refused(context, operation, /, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, operation, **arguments)
    return caught.value.code, caught.value.text


async def roster(context, user, **arguments):
    page = await call(context, "list", user=user, **arguments)
    return [(each.contact.text, each.name, each.groups, each.subscription) for each in page.items]


async def make(context, *users):
    for user in users:
        await context.stores.accounts.create(Jid(user), (), 1.0)


async def test_contacts_are_put_on_a_roster_changed_and_taken_off(context):
    await make(context, ALICE)
    await call(context, "add", user=ALICE, contact=BOB, name="Bob", groups=["b", "a"], subscription="both")
    await call(context, "add", user=ALICE, contact="juliet@capulet.example/balcony")
    assert await roster(context, ALICE) == [
        (BOB, "Bob", ("a", "b"), "both"),
        ("juliet@capulet.example", "", (), "none"),
    ]
    await call(context, "add", user=ALICE, contact=BOB, name="Robert")
    await call(context, "add", user=ALICE, contact=BOB, subscription="from")
    assert (await roster(context, ALICE))[0] == (BOB, "Robert", ("a", "b"), "from")
    await call(context, "remove", user=ALICE, contact=BOB)
    assert await roster(context, ALICE) == [("juliet@capulet.example", "", (), "none")]
    assert await refused(context, "remove", user=ALICE, contact=BOB) == (
        "not-found",
        f"{BOB} is not on the roster",
    )


async def test_a_roster_is_listed_in_pages(context):
    await make(context, ALICE)
    for name in ("c", "a", "b"):
        await call(context, "add", user=ALICE, contact=f"{name}@localhost")
    page = await call(context, "list", user=ALICE, limit=2)
    assert ([each.contact for each in page.items], page.next) == (
        ["a@localhost", "b@localhost"],
        "b@localhost",
    )
    assert await roster(context, ALICE, after=page.next) == [("c@localhost", "", (), "none")]


async def test_nobody_who_is_not_there_has_contacts(context):
    for name in ("list", "add", "remove"):
        arguments = {} if name == "list" else {"contact": BOB}
        told = await refused(context, name, user=ALICE, **arguments)
        assert told == ("not-found", f"there is no account {ALICE}")
    await make(context, ALICE)
    assert (await refused(context, "add", user=ALICE, contact=ALICE))[0] == "invalid"
    told = await refused(context, "add", user=ALICE, contact=BOB, both_sides=True)
    assert told == ("not-found", f"there is no account {BOB}")
    assert await roster(context, ALICE) == []


async def test_clients_are_told_with_the_version_that_they_would_get_for_a_change_of_their_own(world, live):
    phone, desk = await interested(world, f"{ALICE}/phone"), await interested(world, f"{ALICE}/desk")
    await change(phone, "<item jid='carol@localhost'/>")
    phone.take()
    desk.take()
    await call(live, "add", user=ALICE, contact=BOB, name="Bob", subscription="to")
    for client in (phone, desk):
        (push,) = client.take("iq")
        query = push.find("query", ns.ROSTER)
        (item,) = query.children
        assert (item.get("jid"), item.get("name"), item.get("subscription")) == (BOB, "Bob", "to")
        assert query.get("ver") == (await live.stores.roster.load(Jid(ALICE))).version
    version = query.get("ver")
    await call(live, "remove", user=ALICE, contact=BOB)
    assert [item.subscription.value for item in pushed(phone)] == ["remove"]
    await show_roster(desk, version)
    assert [(item.jid, item.subscription.value) for item in pushed(desk)][-1] == (BOB, "remove")


async def test_who_is_put_on_both_rosters_is_seen_at_once(world, live):
    alice, bob = await interested(world, f"{ALICE}/phone"), await interested(world, f"{BOB}/desk")
    await call(live, "add", user=ALICE, contact=BOB, subscription="both", both_sides=True)
    await world.settle()
    assert (None, f"{BOB}/desk") in [(kind or None, sender) for kind, sender in seen(alice)]
    assert (None, f"{ALICE}/phone") in [(kind or None, sender) for kind, sender in seen(bob)]
    assert await roster(live, BOB) == [(ALICE, "", (), "both")]


async def test_who_may_see_somebody_no_more_sees_him_go(world, live):
    await befriend(world, ALICE, BOB)
    alice, bob = await interested(world, f"{ALICE}/phone"), await interested(world, f"{BOB}/desk")
    bob.take()
    await call(live, "add", user=ALICE, contact=BOB, subscription="none")
    assert seen(bob) == [("unavailable", f"{ALICE}/phone")]
    assert [item.subscription.value for item in pushed(alice)] == ["none"]


async def test_a_contact_that_is_removed_is_told(world, live):
    await befriend(world, ALICE, BOB)
    await interested(world, f"{ALICE}/phone")
    bob = await interested(world, f"{BOB}/desk")
    bob.take()
    await call(live, "remove", user=ALICE, contact=BOB)
    await world.settle()
    assert seen(bob) == [
        ("unavailable", f"{ALICE}/phone"),
        ("unsubscribe", ALICE),
        ("unsubscribed", ALICE),
    ]
    assert await roster(live, BOB) == [(ALICE, "", (), "none")]


async def test_a_waiting_request_that_is_granted_waits_no_more(world, live):
    bob = await interested(world, f"{BOB}/desk")
    await world.register(ALICE)
    await bob.send(f"<presence type='subscribe' to='{ALICE}'/>")
    await call(live, "add", user=ALICE, contact=BOB, subscription="from")
    alice = await world.online(f"{ALICE}/phone")
    assert [presence.get("type") for presence in alice.take("presence") if presence.get("from") == BOB] == []


async def test_users_change_their_own_roster_but_not_who_sees_whom(world, live):
    await make(live, ALICE, BOB)
    mine = live.acting_for(Caller.user(Jid(ALICE)))
    await call(mine, "add", user=ALICE, contact=BOB, name="Bob")
    assert await roster(mine, ALICE) == [(BOB, "Bob", (), "none")]
    assert (await refused(mine, "add", user=ALICE, contact=BOB, subscription="both"))[0] == "not-allowed"
    assert (await refused(mine, "add", user=ALICE, contact=BOB, both_sides=True))[0] == "not-allowed"
    assert (await refused(mine, "list", user=BOB))[0] == "not-allowed"


async def test_the_shares_of_a_roster_hold(world, live):
    await world.login(f"{ALICE}/phone")
    groups = [f"{number:02}" + "x" * 1000 for number in range(20)]
    code, text = await refused(live, "add", user=ALICE, contact=BOB, groups=groups)
    assert (code, "the contact" in text) == ("invalid", True)
    assert await roster(live, ALICE) == []
