"""Shared groups by operation: made, changed, filled, listed, and refused where something is wrong."""

import pytest

from tests.features.contacts.people import change, interested, pushed, seen
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"
HERE = "localhost"


async def call(context, operation, /, **arguments):
    return await CATALOGUE.call(context, "group", operation, {"domain": HERE, **arguments})


async def refused(context, operation, /, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, operation, **arguments)
    return caught.value.code, caught.value.text


async def members(context, group):
    page = await call(context, "show", group=group)
    return [(each.user, each.name) for each in page.items]


@pytest.fixture
async def three(context):
    for user in (ALICE, BOB, CAROL, "dora@other.test"):
        await context.stores.accounts.create(Jid(user), (), 1.0)
    return context


async def test_a_group_is_made_filled_emptied_and_removed(three):
    made = await call(three, "create", group="sales", label="Sales", description="Who sells")
    assert (made.group, made.label, made.members, made.description) == ("sales", "Sales", 0, "Who sells")
    assert (await call(three, "add", group="sales", users=[BOB, ALICE])).changed == 2
    assert (await call(three, "add", group="sales", users=[BOB], name="Bob Brown")).changed == 1
    assert await members(three, "sales") == [(ALICE, "alice"), (BOB, "Bob Brown")]
    assert (await call(three, "drop", group="sales", users=[ALICE, CAROL])).changed == 1
    (listed,) = (await call(three, "list")).items
    assert (listed.group, listed.members) == ("sales", 1)
    assert (await call(three, "list", domain="other.test")).items == ()
    assert (await call(three, "remove", group="sales")).changed == 1
    assert (await call(three, "list")).items == ()


async def test_what_is_not_named_stays_as_it_is(three):
    await call(three, "create", group="bosses")
    await call(three, "create", group="sales", description="Who sells", displayed=["bosses"])
    changed = await call(three, "change", group="sales", label="Shop")
    assert (changed.label, changed.description, changed.displayed) == ("Shop", "Who sells", ("bosses",))
    changed = await call(three, "change", group="sales", displayed=[], everybody=True, label="")
    assert (changed.label, changed.displayed, changed.everybody, changed.members) == ("sales", (), True, 3)


async def test_members_are_listed_in_pages(three):
    await call(three, "create", group="all", everybody=True)
    page = await call(three, "show", group="all", limit=2)
    assert ([each.user for each in page.items], page.next) == ([ALICE, BOB], BOB)
    page = await call(three, "show", group="all", limit=2, after=page.next)
    assert ([each.user for each in page.items], page.next) == ([CAROL], None)


async def test_what_cannot_be_is_refused(three):
    await call(three, "create", group="sales")
    await call(three, "create", group="all", everybody=True)
    there_is_none = ("not-found", "localhost has no group 'none'")
    assert await refused(three, "create", group="sales") == (
        "conflict",
        "localhost has a group 'sales' already",
    )
    assert await refused(three, "create", group="x", displayed=["none"]) == there_is_none
    assert await refused(three, "change", group="none", label="x") == there_is_none
    assert await refused(three, "remove", group="none") == there_is_none
    assert await refused(three, "show", group="none") == there_is_none
    assert await refused(three, "add", group="none", users=[ALICE]) == there_is_none
    assert await refused(three, "drop", group="none", users=[ALICE]) == there_is_none
    assert await refused(three, "drop", group="all", users=[ALICE]) == (
        "conflict",
        "the group 'all' has all accounts of localhost",
    )
    assert await refused(three, "add", group="sales", users=[ALICE, "nobody@localhost"]) == (
        "not-found",
        "there is no account nobody@localhost",
    )
    assert await refused(three, "add", group="sales", users=["dora@other.test"]) == (
        "invalid",
        "dora@other.test is not an account of localhost",
    )
    code, text = await refused(three, "add", group="sales", users=[ALICE, BOB], name="x")
    assert (code, text) == ("invalid", "`name` is for one account; add the others by themselves")
    assert (await refused(three, "create", group="ß" * 200))[0] == "invalid"
    assert await members(three, "sales") == []


async def test_groups_are_for_administrators_of_the_domain(three):
    await call(three, "create", group="sales")
    for caller in (Caller.user(Jid(ALICE)), Caller.administrator(Jid(ALICE), "other.test")):
        told = await refused(three.acting_for(caller), "add", group="sales", users=[ALICE])
        assert told[0] == "not-allowed"
    admin = three.acting_for(Caller.administrator(Jid(ALICE), HERE))
    assert (await call(admin, "add", group="sales", users=[ALICE])).changed == 1


async def test_connected_clients_are_told(world, live):
    alice, bob = await interested(world, f"{ALICE}/a"), await interested(world, f"{BOB}/b")
    await call(live, "create", group="sales", label="Sales")
    await call(live, "add", group="sales", users=[ALICE, BOB])
    await world.settle()
    assert [(item.jid, item.groups) for item in pushed(alice)] == [(BOB, ("Sales",))]
    assert seen(bob) == [("", f"{ALICE}/a")]
    await call(live, "remove", group="sales")
    await world.settle()
    assert [(item.jid, item.subscription.value) for item in pushed(alice)] == [(BOB, "remove")]
    assert seen(bob) == [("unavailable", f"{ALICE}/a")]


async def roster(context, user):
    page = await CATALOGUE.call(context, "roster", "list", {"user": user})
    return [(each.contact, each.name, each.groups, each.subscription, each.shared) for each in page.items]


async def test_operators_see_rosters_as_their_owners_do(world, live):
    alice = await interested(world, f"{ALICE}/a")
    await world.register(BOB)
    await call(live, "create", group="sales", label="Sales")
    await call(live, "add", group="sales", users=[ALICE, BOB])
    assert await roster(live, ALICE) == [(BOB, "bob", ("Sales",), "both", ("Sales",))]
    await change(alice, f"<item jid='{BOB}' name='Bobby'><group>Friends</group></item>")
    assert await roster(live, ALICE) == [(BOB, "Bobby", ("Friends", "Sales"), "both", ("Sales",))]


async def test_rosters_without_a_server_have_the_groups_too(three):
    await call(three, "create", group="sales", label="Sales")
    await call(three, "add", group="sales", users=[ALICE, BOB])
    assert await roster(three, ALICE) == [(BOB, "bob", ("Sales",), "both", ("Sales",))]
    with pytest.raises(OperationError) as caught:
        await CATALOGUE.call(three, "roster", "remove", {"user": ALICE, "contact": BOB})
    assert caught.value.text == f"{BOB} is a contact by a shared group: Sales"


async def test_personal_data_names_the_groups_of_an_account(three):
    await call(three, "create", group="sales", label="Sales & more")
    await call(three, "create", group="shop")
    await call(three, "add", group="sales", users=[ALICE, BOB], name=None)
    parts = [
        each.text
        async for each in CATALOGUE.stream(three, "account", "export-personal-data", {"user": ALICE})
    ]
    text = "".join(parts)
    assert '<group name="sales" label="Sales &amp; more" called=""/>' in text.replace("'", '"')
    assert "shop" not in text
