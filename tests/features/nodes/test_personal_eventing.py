"""Personal eventing: what an account publishes, and who reads and hears it."""

import asyncio

import pytest
from msgspec.structs import replace

from tests.features.nodes.nodes_client import (
    MOOD,
    TUNE,
    befriend,
    done,
    errors,
    events,
    form,
    listening,
    news,
    publish,
    request,
    texts,
)
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.nodes.news import STRETCH
from tidings.features.nodes.personal import DEFAULTS, PersonalEventingOptions
from tidings.kernel.time_slice import SLICE_SECONDS
from tidings.ports.accounts import AccountRecord
from tidings.ports.nodes import AccessModel, NodeItem, NodeLimits
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xmpp import ns

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"


async def test_what_is_published_is_read_and_heard_by_who_sees_the_presence(world: World) -> None:
    await befriend(world, ALICE, BOB)
    phone = await listening(world, f"{ALICE}/phone", MOOD)
    deaf = await listening(world, f"{ALICE}/deaf", TUNE)
    bob = await listening(world, f"{BOB}/desk", MOOD)
    quiet = await world.online(f"{BOB}/quiet")
    carol = await listening(world, f"{CAROL}/desk", MOOD)
    for client in (phone, deaf, bob, carol):
        client.take()
    await done(deaf, publish(MOOD, "happy"))
    assert news(phone) == [(ALICE, MOOD, "happy")]
    assert news(bob) == [(ALICE, MOOD, "happy")]
    for client in (deaf, quiet, carol):
        assert news(client) == []
    assert await texts(bob, MOOD, ALICE) == ["happy"]
    assert errors(await carol.request(request(f"<items node='{MOOD}'/>", "get", ALICE))) == [
        "not-authorized",
        "presence-subscription-required",
    ]


async def test_notifications_are_headlines_from_the_bare_address(world: World) -> None:  # §4.3.1
    await befriend(world, ALICE, BOB)
    bob = await listening(world, f"{BOB}/desk", MOOD)
    alice = await world.online(f"{ALICE}/phone")
    bob.take()
    await done(alice, publish(MOOD, "happy"))
    (message,) = bob.take("message")
    assert (message.get("type"), message.get("from"), message.get("to")) == ("headline", ALICE, f"{BOB}/desk")


async def test_who_comes_gets_the_last_items_of_contacts_and_of_himself(world: World) -> None:  # §4.3.4
    await befriend(world, ALICE, BOB)
    alice = await world.online(f"{ALICE}/phone")
    for text in ("sad", "happy"):
        await done(alice, publish(MOOD, text, max_items="max"))
    await done(alice, publish(TUNE, "song"))
    await alice.leave()
    bob = await listening(world, f"{BOB}/desk", MOOD)  # of who is away, too
    assert news(bob) == [(ALICE, MOOD, "happy")]
    tablet = await listening(world, f"{ALICE}/tablet", MOOD, TUNE)
    messages = tablet.take("message")
    assert len(messages) == 2
    assert all(message.find("delay", ns.DELAY) is not None for message in messages)
    await bob.send("<presence><show>away</show></presence>")
    assert news(bob) == []  # not again for another presence
    carol = await listening(world, f"{CAROL}/desk", MOOD)
    assert news(carol) == []


async def test_who_sees_the_presence_from_now_on_gets_the_last_items(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, publish(MOOD, "happy"))
    bob = await listening(world, f"{BOB}/desk", MOOD)
    await bob.send(f"<presence to='{ALICE}' type='subscribe'/>")
    assert news(bob) == []
    await alice.send(f"<presence to='{BOB}' type='subscribed'/>")
    assert news(bob) == [(ALICE, MOOD, "happy")]


@pytest.mark.parametrize(
    ("model", "readers"),
    [
        ("open", {BOB, CAROL, "dave@localhost"}),
        ("presence", {BOB, CAROL}),
        ("roster", {BOB}),
        ("whitelist", set()),
    ],
)
async def test_access_models(world: World, model: str, readers: set[str]) -> None:
    await befriend(world, ALICE, BOB, ("Friends",))
    await befriend(world, ALICE, CAROL, ("Work",))
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, publish(MOOD, "happy", access_model=model, roster_groups_allowed="Friends"))
    for jid in (BOB, CAROL, "dave@localhost"):
        client = await listening(world, f"{jid}/desk", MOOD)
        answered = await client.request(request(f"<items node='{MOOD}'/>", "get", ALICE))
        assert (errors(answered) == []) is (jid in readers)
        contacts = readers - {"dave@localhost"}
        assert (news(client) == [(ALICE, MOOD, "happy")]) is (jid in contacts)
        await done(alice, publish(MOOD, "glad"))
        assert (news(client) == [(ALICE, MOOD, "glad")]) is (jid in contacts)
        await done(alice, publish(MOOD, "happy"))


async def test_members_are_let_in_and_outcasts_kept_out(world: World) -> None:
    await befriend(world, ALICE, BOB)
    alice = await world.online(f"{ALICE}/phone")
    bob = await listening(world, f"{BOB}/desk", MOOD)
    carol = await world.online(f"{CAROL}/desk")
    await done(alice, publish(MOOD, "happy"))
    news(bob)
    people = (
        f"<affiliations node='{MOOD}'><affiliation jid='{BOB}' affiliation='outcast'/>"
        f"<affiliation jid='{CAROL}' affiliation='member'/></affiliations>"
    )
    await done(alice, request(people, owner=True))
    assert errors(await bob.request(request(f"<items node='{MOOD}'/>", "get", ALICE))) == ["forbidden"]
    assert await texts(carol, MOOD, ALICE) == ["happy"]
    await done(alice, publish(MOOD, "glad"))
    assert news(bob) == []
    await bob.leave()
    assert news(await listening(world, f"{BOB}/desk", MOOD)) == []
    listed = await done(alice, request(f"<affiliations node='{MOOD}'/>", "get", owner=True))
    found = {(each.get("jid"), each.get("affiliation")) for each in listed.children[0].children[0].children}
    assert found == {(ALICE, "owner"), (BOB, "outcast"), (CAROL, "member")}
    own = await done(carol, request("<affiliations/>", "get", ALICE))
    assert [each.get("node") for each in own.children[0].children[0].children] == [MOOD]


async def test_who_is_blocked_hears_nothing(world: World) -> None:
    await befriend(world, ALICE, BOB)
    alice = await world.online(f"{ALICE}/phone")
    bob = await listening(world, f"{BOB}/desk", MOOD)
    blocking = f"<block xmlns='{ns.BLOCKING}'><item jid='{BOB}'/></block>"
    assert errors(await alice.request(f"<iq type='set' id='b'>{blocking}</iq>")) == []
    await done(alice, publish(MOOD, "happy"))
    assert news(bob) == []
    await bob.leave()
    bob = await listening(world, f"{BOB}/desk", MOOD)
    assert news(bob) == []


async def test_publish_options_make_the_node_and_are_preconditions_then(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    stranger = await world.online(f"{BOB}/desk")
    await done(alice, publish("n", "1", access_model="open", max_items="max", persist_items="true"))
    await done(alice, publish("n", "2", "other", access_model="open", max_items="max", persist_items="1"))
    assert await texts(stranger, "n", ALICE) == ["1", "2"]
    for options in ({"access_model": "whitelist"}, {"max_items": "5"}, {"no_such_field": "1"}):
        answered = await alice.request(publish("n", "3", **options))
        assert errors(answered) == ["conflict", "precondition-not-met"]
    assert errors(await alice.request(publish("m", "1", no_such_field="1"))) == [
        "conflict",
        "precondition-not-met",
    ]
    assert errors(await alice.request(request("<items node='m'/>", "get"))) == ["item-not-found"]
    assert await texts(stranger, "n", ALICE) == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (publish("n", access_model="authorize"), ["not-acceptable", "unsupported-access-model"]),
        (publish("n", access_model="nonsense"), ["not-acceptable"]),
        (publish("n", max_items="1001"), ["not-acceptable"]),
        (publish("n", max_items="-1"), ["not-acceptable"]),
        (publish("n", "x" * 200_000), ["not-acceptable", "payload-too-big"]),
        (publish(""), ["bad-request", "nodeid-required"]),
        (request("<publish node='n'><item id='i'/></publish>"), ["bad-request", "payload-required"]),
        (request("<publish node='n'/>"), ["bad-request", "item-required"]),
        (request("<retract node='n'/>"), ["bad-request", "item-required"]),
        (request("<retract node='n'><item id='x'/></retract>"), ["item-not-found"]),
        (request("<items node='n'/>", "get"), ["item-not-found"]),
        (
            request("<options node='n' jid='alice@localhost'/>", "get"),
            ["item-not-found"],
        ),
        (request("<configure node='n'/>", "get", owner=True), ["item-not-found"]),
        (request("<delete node='n'/>", owner=True), ["item-not-found"]),
        (request("<purge/>", owner=True), ["bad-request", "nodeid-required"]),
        (request("<subscribe node='n' jid='bob@localhost'/>"), ["bad-request", "invalid-jid"]),
        (request("<unsubscribe node='n' jid='alice@localhost'/>"), ["item-not-found"]),
    ],
)
async def test_requests_that_are_refused(world: World, text: str, expected: list[str]) -> None:
    alice = await world.online(f"{ALICE}/phone")
    assert errors(await alice.request(text)) == expected
    assert await world.stores.nodes.list(Jid(ALICE)) == ()


async def test_nobody_changes_anothers_nodes(world: World) -> None:
    await befriend(world, ALICE, BOB)
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await done(alice, publish("n", "mine", access_model="open"))
    for text, expected in (
        (publish("n", "yours", to=ALICE), ["forbidden"]),
        (publish("new", "yours", to=ALICE), ["item-not-found"]),
        (request("<create node='new'/>", to=ALICE), ["forbidden"]),
        (request("<retract node='n'><item id='current'/></retract>", to=ALICE), ["forbidden"]),
        (request("<delete node='n'/>", to=ALICE, owner=True), ["forbidden"]),
        (request("<purge node='n'/>", to=ALICE, owner=True), ["forbidden"]),
        (request("<configure node='n'/>", "get", to=ALICE, owner=True), ["forbidden"]),
        (
            request(
                f"<affiliations node='n'><affiliation jid='{BOB}' affiliation='owner'/></affiliations>",
                to=ALICE,
                owner=True,
            ),
            ["forbidden"],
        ),
        (publish("n", "x", to="nobody@localhost"), ["item-not-found"]),
        (request("<items node='n'/>", "get", to="nobody@localhost"), ["item-not-found"]),
    ):
        assert errors(await bob.request(text)) == expected
    assert await texts(alice, "n") == ["mine"]
    assert [node.name for node in await world.stores.nodes.list(Jid(ALICE))] == ["n"]


async def test_items_are_read_in_pages(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    for number in range(6):
        await done(alice, publish("n", str(number), f"i{number}", max_items="max"))

    async def page(inside: str) -> tuple[list[str], str | None]:
        asked = f"<items node='n'/><set xmlns='{ns.RSM}'>{inside}</set>"
        answered = (await done(alice, request(asked, "get"))).children[0]
        items, page = answered.children
        return [each.children[0].text for each in items.children], page.text_of("count")

    assert await page("<max>2</max>") == (["0", "1"], "6")
    assert await page("<max>2</max><after>i1</after>") == (["2", "3"], "6")
    assert await page("<max>2</max><before/>") == (["4", "5"], "6")
    assert await page("<max>0</max>") == ([], "6")
    assert await texts(alice, "n", inside="<item id='i4'/><item id='i1'/>") == ["1", "4"]
    assert errors(await alice.request(request("<items node='n'><item id='x'/></items>", "get"))) == [
        "item-not-found"
    ]
    answered = await done(alice, request("<items node='n' max_items='2'/>", "get"))
    items = answered.children[0].children[0]
    assert [each.get("id") for each in items.children] == ["i4", "i5"]


async def test_retraction_purge_configuration_and_deletion_are_told(world: World) -> None:
    await befriend(world, ALICE, BOB)
    alice = await world.online(f"{ALICE}/phone")
    bob = await listening(world, f"{BOB}/desk", "n")
    await done(alice, publish("n", "1", "a", max_items="max", notify_delete="1", notify_config="1"))
    await done(alice, publish("n", "2", "b"))
    bob.take()
    await done(alice, request("<retract node='n' notify='true'><item id='a'/></retract>"))
    (gone,) = events(bob)
    assert [(each.name, each.get("id")) for each in gone.children] == [("retract", "a")]
    await done(alice, request("<purge node='n'/>", owner=True))
    assert [(each.name, each.get("node")) for each in events(bob)] == [("purge", "n")]
    wanted = form(ns.PUBSUB_NODE_CONFIG, title="Notes")
    await done(alice, request(f"<configure node='n'>{wanted}</configure>", owner=True))
    (told,) = events(bob)
    assert (told.name, told.get("node")) == ("configuration", "n")
    shown = await done(alice, request("<configure node='n'/>", "get", owner=True))
    assert b"Notes" in shown.to_bytes()
    await done(alice, request("<delete node='n'><redirect uri='xmpp:x@y'/></delete>", owner=True))
    (told,) = events(bob)
    assert (told.name, told.children[0].get("uri")) == ("delete", "xmpp:x@y")
    assert errors(await alice.request(request("<items node='n'/>", "get"))) == ["item-not-found"]


async def test_a_changed_access_model_holds_at_once(world: World) -> None:
    await befriend(world, ALICE, BOB)
    alice = await world.online(f"{ALICE}/phone")
    bob = await listening(world, f"{BOB}/desk", "n")
    subscribe = request(f"<subscribe node='n' jid='{BOB}'/>", to=ALICE)
    await done(alice, publish("n", "1"))
    await done(bob, subscribe)
    bob.take()
    wanted = form(ns.PUBSUB_NODE_CONFIG, access_model="whitelist")
    await done(alice, request(f"<configure node='n'>{wanted}</configure>", owner=True))
    await done(alice, publish("n", "2"))
    assert news(bob) == []
    assert errors(await bob.request(request("<items node='n'/>", "get", ALICE))) == [
        "not-allowed",
        "closed-node",
    ]


async def test_subscribers_of_open_nodes_hear_without_being_contacts(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    carol = await world.online(f"{CAROL}/desk")
    await done(alice, publish("n", "1", access_model="open"))
    answered = await done(carol, request(f"<subscribe node='n' jid='{CAROL}'/>", to=ALICE))
    assert answered.children[0].children[0].get("subscription") == "subscribed"
    assert news(carol) == [(ALICE, "n", "1")]
    await done(alice, publish("n", "2"))
    assert news(carol) == [(ALICE, "n", "2")]
    own = await done(carol, request("<subscriptions/>", "get", ALICE))
    assert [each.get("node") for each in own.children[0].children[0].children] == ["n"]
    await done(carol, request(f"<unsubscribe node='n' jid='{CAROL}'/>", to=ALICE))
    await done(alice, publish("n", "3"))
    assert news(carol) == []
    answered = await carol.request(request(f"<unsubscribe node='n' jid='{CAROL}'/>", to=ALICE))
    assert errors(answered) == ["unexpected-request", "not-subscribed"]


async def test_of_two_devices_that_publish_at_once_both_are_kept_and_told_in_order(world: World) -> None:
    await befriend(world, ALICE, BOB)
    phone, desk = [await world.online(f"{ALICE}/{each}") for each in ("phone", "desk")]
    bob = await listening(world, f"{BOB}/desk", "n")
    for number in range(20):
        device = (phone, desk)[number % 2]
        device.push(publish("n", str(number), f"i{number}", access_model="open", max_items="max"))
    await world.settle()
    told = [text for _, _, text in news(bob)]
    phone.take()
    kept = await texts(phone, "n")
    assert sorted(kept, key=int) == [str(number) for number in range(20)]
    assert told == kept


async def test_disco_tells_of_nodes_to_who_may_read_them(world: World) -> None:  # §6
    await befriend(world, ALICE, BOB)
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await done(alice, publish("shown", "1"))
    await done(alice, publish("hidden", "1", access_model="whitelist"))

    async def ask(kind: str, node: str = "") -> tuple[list[str], set[str]]:
        about = f" node='{node}'" if node else ""
        query = f"<query xmlns='http://jabber.org/protocol/disco#{kind}'{about}/>"
        answered = await bob.request(f"<iq type='get' id='d' to='{ALICE}'>{query}</iq>")
        children = answered.children[0].children
        return errors(answered), {
            each.get("node") or each.get("category") or each.get("var") or "" for each in children
        }

    _, info = await ask("info")
    assert {"pubsub", f"{ns.PUBSUB}#publish-options", f"{ns.PUBSUB}#auto-create"} <= info
    assert "shown" in (await ask("items"))[1]
    assert "hidden" not in (await ask("items"))[1]
    assert (await ask("info", "shown"))[0] == []
    assert (await ask("info", "hidden"))[0] == ["item-not-found"]


async def test_shares() -> None:
    options = PersonalEventingOptions(max_nodes=2, max_items=3, max_octets=16_384)
    world = await World.start(options={"personal_eventing": options})
    try:
        alice = await world.online(f"{ALICE}/phone")
        for number in range(5):
            await done(alice, publish("n", str(number), f"i{number}", max_items="max"))
        assert await texts(alice, "n") == ["2", "3", "4"]
        await done(alice, publish("m", "x"))
        assert errors(await alice.request(publish("o", "x"))) == ["resource-constraint"]
        assert errors(await alice.request(publish("m", "x" * 17_000))) == ["resource-constraint"]
        assert await texts(alice, "m") == ["x"]
    finally:
        await world.stop()


async def test_items_expire(world: World) -> None:
    await befriend(world, ALICE, BOB)
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, publish("n", "1", item_expire="60"))
    assert await texts(alice, "n") == ["1"]
    await world.advance(61)
    assert await texts(alice, "n") == []
    assert news(await listening(world, f"{BOB}/desk", "n")) == []


async def test_nodes_go_with_the_account(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, publish("n", "1"))
    await world.stores.accounts.remove(Jid(ALICE))
    assert await world.stores.nodes.list(Jid(ALICE)) == ()


async def test_a_thousand_contacts_with_ten_nodes_do_not_hold_the_loop(world: World) -> None:
    nodes = [f"urn:example:{number}" for number in range(10)]
    contacts = [Jid(f"friend{number}@localhost") for number in range(1_000)]
    limits = NodeLimits(nodes=10, items=10, octets=10_000)
    me = await world.register(ALICE)
    made = replace(DEFAULTS, access_model=AccessModel.PRESENCE)
    await world.stores.accounts.create_all([AccountRecord(jid=jid, keys=(), created=1.0) for jid in contacts])
    for jid in contacts:
        await world.stores.roster.put(me, RosterEntry(jid=jid, subscription=Subscription.TO))
        await world.stores.roster.put(jid, RosterEntry(jid=me, subscription=Subscription.FROM))
        for node in nodes:
            item = NodeItem("current", jid, 1.0, b"<v xmlns='urn:v'/>")
            await world.stores.nodes.publish(jid, node, item, make=made, check=lambda *_: None, limits=limits)
    world.server.hosts["localhost"].directory.forget(me)
    world.clock.per_look = SLICE_SECONDS / STRETCH
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.get_running_loop().create_task(count_turns())
    alice = await listening(world, f"{ALICE}/phone", *nodes)
    counting.cancel()
    messages = [each for each in alice.received if each.name == "message"]
    assert len({(each.get("from"), each.children[0].children[0].get("node")) for each in messages}) == 10_000
    assert len(messages) == 10_000
    assert turns >= 10_000 // STRETCH
