"""The contract of nodes; every adapter passes it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from tests.contracts.old_schemas import take_back_to_0018
from tests.contracts.samples import ALICE, BOB, LONGEST, LOOK_ALIKES, long_jid
from tidings.adapters.sql import open_stores
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded
from tidings.ports.nodes import (
    DEFAULT_OPTIONS,
    AccessModel,
    Affiliation,
    ItemPage,
    ItemQuery,
    Node,
    NodeConfig,
    NodeExists,
    NodeItem,
    NodeLimits,
    NoOwnerLeft,
    NoSuchItem,
    NoSuchNode,
    OwnedItem,
    Published,
    PublishModel,
    SendLast,
    Standing,
    Subscription,
    SubscriptionOptions,
    SubscriptionState,
)
from tidings.ports.stores import Stores

HOST = Jid("pubsub.example.org")
CAROL = Jid("carol@example.org")
PLENTY = NodeLimits(nodes=1_000, items=1_000, octets=1 << 30)
RAW = b"<x xmlns='urn:x'>" + "ü \U0001f4ec ' \\ %s %(a)s :b".encode() + b"</x>"
OPEN = NodeConfig()


def anybody(_node: Node, _standing: Standing) -> None:
    """Let everything be done."""


def nobody(_node: Node, _standing: Standing) -> None:
    raise StanzaError("forbidden")


def item(name: str, published: float = 1.0, payload: bytes = b"<x/>", by: Jid = ALICE) -> NodeItem:
    return NodeItem(name, by, published, payload)


async def publish(
    stores: Stores,
    each: NodeItem,
    owner: Jid = ALICE,
    name: str = "n",
    make: NodeConfig | None = OPEN,
    limits: NodeLimits = PLENTY,
) -> Published:
    return await stores.nodes.publish(owner, name, each, make=make, check=anybody, limits=limits)


async def names(stores: Stores, query: ItemQuery | None = None, owner: Jid = ALICE) -> list[str]:
    page = await stores.nodes.items(owner, "n", query or ItemQuery())
    return [each.id for each in page.items]


async def test_a_node_is_made_once_and_keeps_its_configuration(stores: Stores) -> None:
    config = NodeConfig(
        title="Ünïcode 💌",
        payload_type="urn:x",
        access_model=AccessModel.ROSTER,
        roster_groups=("Friends", ""),
        publish_model=PublishModel.SUBSCRIBERS,
        max_items=7,
        item_expire=60,
        persist_items=False,
        deliver_notifications=False,
        deliver_payloads=False,
        notify_config=True,
        notify_delete=True,
        notify_retract=True,
        send_last=SendLast.NEVER,
        notification_type="normal",
    )
    assert await stores.nodes.get(ALICE, "n") is None
    made = await stores.nodes.create(ALICE, "n", config, 1.5, by=ALICE, limits=PLENTY)
    assert made == Node(owner=ALICE, name="n", config=config, created=1.5)
    assert await stores.nodes.get(ALICE, "n") == made
    with pytest.raises(NodeExists):
        await stores.nodes.create(ALICE, "n", OPEN, 2.0, by=ALICE, limits=PLENTY)
    assert await stores.nodes.get(ALICE, "N") is None
    assert await stores.nodes.get(BOB, "n") is None
    assert await stores.nodes.affiliations(ALICE, "n") == {}


async def test_who_makes_a_node_of_a_host_owns_it(stores: Stores) -> None:
    await stores.nodes.create(HOST, "n", OPEN, 1.0, by=ALICE, limits=PLENTY)
    await publish(stores, item("i", by=BOB), HOST, "m")
    assert await stores.nodes.affiliations(HOST, "n") == {ALICE: Affiliation.OWNER}
    assert await stores.nodes.affiliations(HOST, "m") == {BOB: Affiliation.OWNER}
    assert await stores.nodes.affiliations_of(HOST, ALICE) == {"n": Affiliation.OWNER}
    await stores.nodes.clear(HOST)


async def test_nodes_are_listed_by_name_and_counted(stores: Stores) -> None:
    wanted = sorted(("b", "a", "ü", "B", "a ", *(jid.local for jid in LOOK_ALIKES)), key=str.encode)
    limits = replace(PLENTY, nodes=len(wanted))
    for name in wanted[::-1]:
        await stores.nodes.create(ALICE, name, OPEN, 1.0, by=ALICE, limits=limits)
    assert [each.name for each in await stores.nodes.list(ALICE)] == wanted
    assert [each.name for each in await stores.nodes.list(ALICE, after=wanted[2], limit=3)] == wanted[3:6]
    with pytest.raises(ShareExceeded):
        await stores.nodes.create(ALICE, "more", OPEN, 1.0, by=ALICE, limits=limits)
    with pytest.raises(ShareExceeded):
        await publish(stores, item("i"), name="more", limits=limits)
    assert await stores.nodes.get(ALICE, "more") is None


async def test_an_item_makes_its_node_and_takes_the_place_of_the_one_before(stores: Stores) -> None:
    with pytest.raises(NoSuchNode):
        await publish(stores, item("a"), make=None)
    first = await publish(stores, item("a", 1.0, RAW))
    assert (first.is_new, first.node.config, first.left) == (True, OPEN, ())
    await publish(stores, item("b", 2.0))
    second = await publish(stores, item("a", 3.0, b""), make=None)
    assert (second.is_new, second.left) == (False, ())
    page = await stores.nodes.items(ALICE, "n", ItemQuery())
    assert page == ItemPage((item("b", 2.0), item("a", 3.0, b"")), 0, 2)
    await publish(stores, item("c", 4.0, RAW))
    (kept,) = (await stores.nodes.items(ALICE, "n", ItemQuery(ids=("c", "d")))).items
    assert kept == item("c", 4.0, RAW)


async def test_what_a_check_refuses_changes_nothing(stores: Stores) -> None:
    with pytest.raises(StanzaError, match="forbidden"):
        await stores.nodes.publish(ALICE, "n", item("a"), make=OPEN, check=nobody, limits=PLENTY)
    assert await stores.nodes.get(ALICE, "n") is None
    await publish(stores, item("a"))
    for refused in (
        stores.nodes.publish(ALICE, "n", item("b"), make=None, check=nobody, limits=PLENTY),
        stores.nodes.retract(ALICE, "n", "a", by=BOB, check=nobody),
        stores.nodes.purge(ALICE, "n", by=BOB, check=nobody),
        stores.nodes.delete(ALICE, "n", by=BOB, check=nobody),
        stores.nodes.configure(ALICE, "n", lambda _: NodeConfig(title="t"), by=BOB, check=nobody),
        stores.nodes.affiliate(ALICE, "n", {BOB: Affiliation.OWNER}, by=BOB, check=nobody, most=9),
        stores.nodes.subscribe(ALICE, "n", subscription(BOB), by=BOB, check=nobody, most=9),
    ):
        with pytest.raises(StanzaError, match="forbidden"):
            await refused
    assert await names(stores) == ["a"]
    assert await stores.nodes.standing(ALICE, "n", BOB) == (await stores.nodes.get(ALICE, "n"), Standing())


async def test_of_too_many_items_the_oldest_leave(stores: Stores) -> None:
    three = NodeConfig(max_items=3)
    for name in "abcd":
        done = await publish(stores, item(name), make=three)
    assert done.left == ("a",)
    assert await names(stores) == ["b", "c", "d"]
    assert (await publish(stores, item("b"))).left == ()
    assert (await publish(stores, item("e"))).left == ("c",)
    assert (await publish(stores, item("f"), limits=replace(PLENTY, items=2))).left == ("d", "b")
    assert await names(stores) == ["e", "f"]
    _, left = await stores.nodes.configure(
        ALICE, "n", lambda config: replace(config, max_items=1), by=ALICE, check=anybody
    )
    assert left == ("e",)
    assert (await publish(stores, item("g"))).left == ("f",)
    assert await names(stores) == ["g"]


async def test_a_node_that_keeps_no_items_has_none(stores: Stores) -> None:
    done = await publish(stores, item("a"), make=NodeConfig(persist_items=False))
    assert done.is_new
    assert not (await publish(stores, item("b"))).is_new
    assert await names(stores) == []


async def test_expired_items_are_left_out_and_go(stores: Stores) -> None:
    config = NodeConfig(item_expire=60, max_items=2)
    await publish(stores, item("a", 100.0), make=config)
    await publish(stores, item("b", 150.0))
    assert await names(stores, ItemQuery(above=100.0)) == ["b"]
    assert (await stores.nodes.items(ALICE, "n", ItemQuery(above=100.0))).count == 1
    assert (await publish(stores, item("c", 170.0))).left == ()
    assert await names(stores) == ["b", "c"]


async def test_octets_are_bounded_over_all_nodes_of_an_owner(stores: Stores) -> None:
    limits = replace(PLENTY, octets=400)
    size = item("a", payload=b"p" * 100).octets
    await publish(stores, item("a", payload=b"p" * 100), name="n", limits=limits)
    await publish(stores, item("a", payload=b"p" * 100), name="m", limits=limits)
    assert size < 130
    with pytest.raises(ShareExceeded):
        await publish(stores, item("b", payload=b"p" * 200), name="m", limits=limits)
    await publish(stores, item("a", payload=b"q" * 250), name="m", limits=limits)
    await publish(stores, item("a", payload=b"r" * 250), name="m", limits=replace(limits, octets=10))
    await stores.nodes.retract(ALICE, "m", "a", by=ALICE, check=anybody)
    await publish(stores, item("b", payload=b"p" * 250), name="m", limits=limits)
    await stores.nodes.purge(ALICE, "m", by=ALICE, check=anybody)
    await publish(stores, item("b", payload=b"p" * 250), name="o", limits=limits)
    await publish(stores, item("b", payload=b"p" * 300), owner=BOB, limits=limits)


async def test_pages(stores: Stores) -> None:
    for number in range(10):
        await publish(stores, item(f"i{number}", payload=b"p" * 10))

    async def page(**query: object) -> tuple[str, int, int]:
        found = await stores.nodes.items(ALICE, "n", ItemQuery(**query))
        return "".join(each.id[1:] for each in found.items), found.index, found.count

    assert await page() == ("0123456789", 0, 10)
    assert await page(limit=3) == ("789", 7, 10)
    assert await page(limit=3, from_start=True) == ("012", 0, 10)
    assert await page(limit=3, after="i2") == ("345", 3, 10)
    assert await page(limit=3, before="i7") == ("456", 4, 10)
    assert await page(after="i9") == ("", 0, 10)
    assert await page(limit=0) == ("", 0, 10)
    assert await page(octets=25) == ("89", 8, 10)
    assert await page(octets=1, from_start=True) == ("0", 0, 10)
    assert await page(ids=("i7", "i2", "x")) == ("27", 0, 10)
    for query in (ItemQuery(after="x"), ItemQuery(before="x")):
        with pytest.raises(NoSuchItem):
            await stores.nodes.items(ALICE, "n", query)
    assert await stores.nodes.items(ALICE, "other", ItemQuery()) == ItemPage(())


async def test_the_last_items_of_many_owners_come_at_once(stores: Stores) -> None:
    for owner in (ALICE, BOB, CAROL):
        for name in ("n", "m"):
            for each in "ab":
                await publish(stores, item(each, by=owner), owner, name)
    await stores.nodes.retract(BOB, "n", "b", by=BOB, check=anybody)
    await stores.nodes.purge(BOB, "m", by=BOB, check=anybody)
    found = await stores.nodes.last_items([ALICE, BOB, Jid("x@example.org")], ["n", "m", "o"], by=CAROL)
    assert {(each.node.owner, each.node.name, each.item.id) for each in found} == {
        (ALICE, "n", "b"),
        (ALICE, "m", "b"),
        (BOB, "n", "a"),
    }
    node = await stores.nodes.get(BOB, "n")
    assert node is not None
    assert OwnedItem(node, item("a", by=BOB)) in found
    await stores.nodes.affiliate(BOB, "n", {CAROL: Affiliation.OUTCAST}, by=BOB, check=anybody, most=9)
    found = await stores.nodes.last_items([BOB], ["n"], by=CAROL)
    assert found == (OwnedItem(node, item("a", by=BOB), Affiliation.OUTCAST),)
    assert await stores.nodes.last_items([ALICE], [], by=CAROL) == ()


async def test_items_are_retracted_and_purged_and_nodes_deleted(stores: Stores) -> None:
    for name in "abc":
        await publish(stores, item(name))
    node = await stores.nodes.get(ALICE, "n")
    assert await stores.nodes.retract(ALICE, "n", "b", by=ALICE, check=anybody) == (node, True)
    assert await stores.nodes.retract(ALICE, "n", "b", by=ALICE, check=anybody) == (node, False)
    assert await names(stores) == ["a", "c"]
    assert await stores.nodes.purge(ALICE, "n", by=ALICE, check=anybody) == node
    assert await names(stores) == []
    await publish(stores, item("d"))
    await stores.nodes.affiliate(ALICE, "n", {BOB: Affiliation.MEMBER}, by=ALICE, check=anybody, most=9)
    await stores.nodes.subscribe(ALICE, "n", subscription(BOB), by=BOB, check=anybody, most=9)
    assert await stores.nodes.delete(ALICE, "n", by=ALICE, check=anybody) == node
    for gone in (
        stores.nodes.retract(ALICE, "n", "b", by=ALICE, check=anybody),
        stores.nodes.purge(ALICE, "n", by=ALICE, check=anybody),
        stores.nodes.delete(ALICE, "n", by=ALICE, check=anybody),
    ):
        with pytest.raises(NoSuchNode):
            await gone
    await stores.nodes.create(ALICE, "n", OPEN, 1.0, by=ALICE, limits=PLENTY)
    assert await names(stores) == []
    assert await stores.nodes.affiliations(ALICE, "n") == {}
    assert await stores.nodes.subscriptions(ALICE, "n") == ()


async def test_of_many_who_publish_at_once_every_item_is_kept_or_has_left(stores: Stores) -> None:
    config = NodeConfig(max_items=5)
    done = await asyncio.gather(*(publish(stores, item(f"i{number}"), make=config) for number in range(12)))
    assert sum(each.is_new for each in done) == 1
    left = [name for each in done for name in each.left]
    kept = await names(stores)
    assert len(kept) == 5
    assert sorted(left + kept) == sorted(f"i{number}" for number in range(12))


async def test_of_two_who_configure_at_once_neither_is_lost(stores: Stores) -> None:
    await publish(stores, item("a"))

    async def configure(**changes: object) -> None:
        await stores.nodes.configure(
            ALICE, "n", lambda config: replace(config, **changes), by=ALICE, check=anybody
        )

    await asyncio.gather(configure(title="t"), configure(max_items=4), configure(notify_config=True))
    node = await stores.nodes.get(ALICE, "n")
    assert node is not None
    assert node.config == NodeConfig(title="t", max_items=4, notify_config=True)


def subscription(jid: Jid, state: SubscriptionState = SubscriptionState.SUBSCRIBED) -> Subscription:
    return Subscription(jid, state, f"id of {len(jid.resource)}", 1.0 + len(jid.resource))


async def test_affiliations_are_given_and_taken(stores: Stores) -> None:
    await publish(stores, item("a"))

    async def affiliate(most: int = 9, **wanted: Affiliation) -> None:
        given = {Jid(f"{name}@example.org"): each for name, each in wanted.items()}
        await stores.nodes.affiliate(ALICE, "n", given, by=ALICE, check=anybody, most=most)

    await affiliate(bob=Affiliation.MEMBER, carol=Affiliation.OUTCAST)
    await affiliate(bob=Affiliation.PUBLISH_ONLY, dave=Affiliation.OWNER, carol=Affiliation.NONE)
    expected = {BOB: Affiliation.PUBLISH_ONLY, Jid("dave@example.org"): Affiliation.OWNER}
    assert await stores.nodes.affiliations(ALICE, "n") == expected
    with pytest.raises(ShareExceeded):
        await affiliate(2, bob=Affiliation.MEMBER, eve=Affiliation.MEMBER)
    assert await stores.nodes.affiliations(ALICE, "n") == expected
    await affiliate(1, bob=Affiliation.MEMBER)
    found = await stores.nodes.standing(ALICE, "n", BOB.with_resource("phone"))
    assert found is not None
    assert found[1] == Standing(Affiliation.MEMBER)
    assert await stores.nodes.affiliations_of(ALICE, BOB) == {"n": Affiliation.MEMBER}
    with pytest.raises(NoSuchNode):
        await stores.nodes.affiliate(ALICE, "x", {}, by=ALICE, check=anybody, most=9)


async def test_subscriptions_are_of_bare_and_full_addresses(stores: Stores) -> None:
    await publish(stores, item("a"))
    phone = BOB.with_resource("phone")
    for jid in (BOB, phone, CAROL):
        given = subscription(jid, SubscriptionState.PENDING)
        kept = await stores.nodes.subscribe(ALICE, "n", given, by=jid, check=anybody, most=3)
        assert kept == given
    with pytest.raises(ShareExceeded):
        await stores.nodes.subscribe(ALICE, "n", subscription(LONGEST), by=LONGEST, check=anybody, most=3)
    again = replace(subscription(phone), id="another")
    kept = await stores.nodes.subscribe(ALICE, "n", again, by=BOB, check=anybody, most=3)
    assert kept == subscription(phone)
    found = await stores.nodes.standing(ALICE, "n", BOB)
    assert found is not None
    assert found[1].subscriptions == (subscription(BOB, SubscriptionState.PENDING), subscription(phone))
    assert found[1].is_subscribed
    assert set(await stores.nodes.subscriptions_of(ALICE, BOB)) == {"n"}
    assert {each.jid for each in await stores.nodes.subscriptions(ALICE, "n")} == {BOB, phone, CAROL}
    gone = await stores.nodes.unsubscribe(ALICE, "n", BOB, by=BOB, check=anybody)
    assert gone == subscription(BOB, SubscriptionState.PENDING)
    assert await stores.nodes.unsubscribe(ALICE, "n", BOB, by=BOB, check=anybody) is None
    assert {each.jid for each in await stores.nodes.subscriptions(ALICE, "n")} == {phone, CAROL}


async def test_the_longest_of_everything_is_kept(stores: Stores) -> None:
    resource = long_jid("r" * 1023)
    for end in "ab":
        name = "ü" * 511 + "n" + end
        each = NodeItem("i" * 1023 + end, LONGEST, 1.0, b"p" * 100_000)
        await publish(stores, each, LONGEST, name)
        await stores.nodes.subscribe(
            LONGEST, name, subscription(resource), by=resource, check=anybody, most=9
        )
        assert (await stores.nodes.items(LONGEST, name, ItemQuery())).items == (each,)
        assert [each.jid for each in await stores.nodes.subscriptions(LONGEST, name)] == [resource]
    assert len(await stores.nodes.list(LONGEST)) == 2


async def test_nodes_go_with_their_account_and_so_does_what_it_has_at_others(stores: Stores) -> None:
    for account in (ALICE, BOB):
        await stores.accounts.create(account, (), 1.0)
        await publish(stores, item("a"), account)
    await stores.nodes.subscribe(BOB, "n", subscription(ALICE), by=ALICE, check=anybody, most=9)
    await stores.nodes.affiliate(BOB, "n", {ALICE: Affiliation.OWNER}, by=BOB, check=anybody, most=9)
    assert await stores.accounts.remove(ALICE)
    assert await stores.nodes.list(ALICE) == ()
    assert await names(stores) == []
    found = await stores.nodes.standing(BOB, "n", ALICE)
    assert found is not None
    assert found[1] == Standing()
    assert await names(stores, owner=BOB) == ["a"]


async def test_an_account_begins_without_nodes(stores: Stores) -> None:
    await publish(stores, item("of the one before"))
    await stores.accounts.create(ALICE, (), 2.0)
    assert await stores.nodes.list(ALICE) == ()
    await publish(stores, item("mine"))
    assert await names(stores) == ["mine"]
    assert await stores.nodes.clear(ALICE) == 1
    assert await stores.nodes.clear(ALICE) == 0
    assert await names(stores) == []


async def subscribe(
    stores: Stores, jid: Jid, options: SubscriptionOptions = DEFAULT_OPTIONS, **also: bool
) -> Subscription:
    wanted = Subscription(jid, SubscriptionState.SUBSCRIBED, "id", 1.0, options)
    return await stores.nodes.subscribe(HOST, "n", wanted, by=jid, check=anybody, most=100, **also)


async def test_options_stay_unless_others_are_wanted(stores: Stores) -> None:
    await stores.nodes.create(HOST, "n", OPEN, 1.0, by=ALICE, limits=PLENTY)
    quiet = SubscriptionOptions(deliver=False, expire=99.5)
    assert (await subscribe(stores, BOB)).options == DEFAULT_OPTIONS
    assert (await subscribe(stores, BOB, quiet)).options == DEFAULT_OPTIONS
    assert (await subscribe(stores, BOB, quiet, keeps_options=False)).options == quiet
    assert (await subscribe(stores, BOB)).options == quiet
    (kept,) = await stores.nodes.subscriptions(HOST, "n")
    assert kept.options == quiet
    assert (await subscribe(stores, BOB, keeps_options=False)).options == DEFAULT_OPTIONS


async def test_a_node_of_a_host_keeps_an_owner(stores: Stores) -> None:
    await stores.nodes.create(HOST, "n", OPEN, 1.0, by=ALICE, limits=PLENTY)
    none, owner = {ALICE: Affiliation.NONE}, {BOB: Affiliation.OWNER}
    for wanted in (none, {ALICE: Affiliation.MEMBER}):
        with pytest.raises(NoOwnerLeft):
            await stores.nodes.affiliate(HOST, "n", wanted, by=ALICE, check=anybody, most=9)
    assert await stores.nodes.affiliations(HOST, "n") == {ALICE: Affiliation.OWNER}
    await stores.nodes.affiliate(HOST, "n", {**none, **owner}, by=ALICE, check=anybody, most=9)
    assert await stores.nodes.affiliations(HOST, "n") == owner


async def test_subscriptions_of_those_who_may_not_stay_end_together(stores: Stores) -> None:
    await stores.nodes.create(HOST, "n", OPEN, 1.0, by=ALICE, limits=PLENTY)
    desk = BOB.with_resource("desk")
    await stores.nodes.affiliate(HOST, "n", {CAROL: Affiliation.MEMBER}, by=ALICE, check=anybody, most=9)
    for jid in (BOB, desk, CAROL):
        await subscribe(stores, jid)

    def may_stay(node: Node, jid: Jid, standing: Standing) -> bool:
        assert (node.name, jid in {BOB, desk, CAROL}) == ("n", True)
        return standing.affiliation is Affiliation.MEMBER

    wanted = (BOB, desk, CAROL, ALICE)
    gone = await stores.nodes.unsubscribe_refused(HOST, "n", wanted, may_stay=may_stay)
    assert [each.jid for each in gone] == [BOB, desk]
    assert [each.jid for each in await stores.nodes.subscriptions(HOST, "n")] == [CAROL]
    assert await stores.nodes.unsubscribe_refused(HOST, "m", wanted, may_stay=may_stay) == ()


async def test_expired_items_of_all_owners_go_a_few_nodes_at_a_time(stores: Stores) -> None:
    lasting, passing = OPEN, replace(OPEN, item_expire=10)
    for owner, name, config in (
        (HOST, "a", passing),
        (HOST, "b", lasting),
        (HOST, "c", passing),
        (BOB, "a", passing),
    ):
        for number in range(3):
            await publish(stores, item(f"i{number}", float(number)), owner, name, config)
    await publish(stores, item("i"), HOST, "d")
    await stores.nodes.configure(
        HOST, "d", lambda config: replace(config, item_expire=5), by=ALICE, check=anybody
    )
    gone, after, steps = 0, "", 0
    while steps == 0 or after:
        count, after = await stores.nodes.delete_expired(11.5, after=after, limit=2)
        gone += count
        steps += 1
        assert steps < 9
    assert gone == 3 * 2 + 1
    for owner, name, left in ((HOST, "a", ["i2"]), (HOST, "b", ["i0", "i1", "i2"]), (BOB, "a", ["i2"])):
        found = await stores.nodes.items(owner, name, ItemQuery(limit=9))
        assert [each.id for each in found.items] == left
    assert await stores.nodes.delete_expired(11.5, limit=100) == (0, "")
    octets = NodeLimits(nodes=9, items=9, octets=sum(item(f"i{each}").octets for each in range(7)))
    await publish(stores, item("i3", 12.0), HOST, "a", limits=octets)  # what has gone counts no more


async def test_subscriptions_end_when_their_time_is_over(stores: Stores) -> None:
    node = await stores.nodes.create(HOST, "n", OPEN, 1.0, by=ALICE, limits=PLENTY)
    for jid, expire in ((ALICE, 5.0), (BOB, 7.0), (CAROL, None)):
        await subscribe(stores, jid, SubscriptionOptions(expire=expire))
    assert await stores.nodes.end_subscriptions(4.9, limit=9) == ()
    (ended,) = await stores.nodes.end_subscriptions(9.0, limit=1)
    (other,) = await stores.nodes.end_subscriptions(9.0, limit=9)
    assert {each.subscription.jid for each in (ended, other)} == {ALICE, BOB}
    assert ended.node == node
    assert ended.subscription.options.expire in {5.0, 7.0}
    assert [each.jid for each in await stores.nodes.subscriptions(HOST, "n")] == [CAROL]


# --- upgrades


async def test_nodes_of_an_earlier_version_lose_their_expired_items_too(fresh_url: str) -> None:
    stores = await open_stores(fresh_url)
    for name, config in (("a", replace(OPEN, item_expire=10)), ("b", OPEN)):
        await publish(stores, item("i"), HOST, name, config)
    await stores.nodes.create(HOST, "n", OPEN, 1.0, by=ALICE, limits=PLENTY)
    await subscribe(stores, BOB)
    await stores.database.write(take_back_to_0018)
    await stores.close()
    stores = await open_stores(fresh_url)
    assert await stores.nodes.delete_expired(20.0, limit=9) == (1, "")
    (kept,) = await stores.nodes.subscriptions(HOST, "n")
    assert kept.options == DEFAULT_OPTIONS
    await stores.close()
