"""The service of nodes: what owners, publishers and subscribers do there, and who hears of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.features.nodes.nodes_client import done, errors, events, form, news, request, texts
from tests.harness.world import World, WorldClient
from tidings.app.pubsub import PUBSUB
from tidings.base.jid import Jid
from tidings.features.nodes.cleaning import LOOK_INTERVAL
from tidings.features.nodes.pubsub import DEFAULTS
from tidings.features.nodes.pubsub_options import PubSubOptions
from tidings.kernel.time_slice import SLICE_SECONDS
from tidings.ports.accounts import AccountRecord
from tidings.ports.nodes import AccessModel, ItemQuery, NodeLimits, Subscription, SubscriptionState
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

SERVICE = "pubsub.localhost"
HOST = Jid(SERVICE)
ADMIN, ALICE, BOB, CAROL = "admin@localhost", "alice@localhost", "bob@localhost", "carol@localhost"
NODE = "princely_musings"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    started = await World.start(services=(PUBSUB,), admins=(ADMIN,))
    yield started
    await started.stop()


def ask(content: str, kind: str = "set", owner: bool = False) -> str:
    return request(content, kind, SERVICE, owner)


def create(node: str = NODE, **fields: str) -> str:
    wanted = form(ns.PUBSUB_NODE_CONFIG, **fields)
    return ask(f"<create node='{node}'/><configure>{wanted}</configure>")


def publish(text: str = "x", item: str = "current", node: str = NODE) -> str:
    return ask(f"<publish node='{node}'><item id='{item}'><v xmlns='urn:v'>{text}</v></item></publish>")


def subscribe(jid: str, node: str = NODE, options: str = "") -> str:
    return ask(f"<subscribe node='{node}' jid='{jid}'/>{options}")


def configure(**fields: str) -> str:
    wanted = form(ns.PUBSUB_NODE_CONFIG, **fields)
    return ask(f"<configure node='{NODE}'>{wanted}</configure>", owner=True)


def affiliate(jid: str, word: str) -> str:
    entry = f"<affiliation jid='{jid}' affiliation='{word}'/>"
    return ask(f"<affiliations node='{NODE}'>{entry}</affiliations>", owner=True)


def set_subscription(jid: str, word: str) -> str:
    entry = f"<subscription jid='{jid}' subscription='{word}'/>"
    return ask(f"<subscriptions node='{NODE}'>{entry}</subscriptions>", owner=True)


def options_of(**fields: str) -> str:
    return f"<options>{form(ns.PUBSUB_SUBSCRIBE_OPTIONS, **fields)}</options>"


def subscription_in(answered: Element) -> tuple[str, str]:
    """Give state and id of the subscription in an answer."""
    found = answered.children[0].children[0]
    return found.get("subscription") or "", found.get("subid") or ""


async def subscribed(world: World, jid: str, to: str = "") -> WorldClient:
    client = await world.online(jid)
    await done(client, subscribe(to or jid.partition("/")[0]))
    return client


async def told(world: World, client: WorldClient, count: int = 1) -> list[Element]:
    """Take what was told, which has to be so much."""
    await world.settle()
    found = events(client)
    assert len(found) == count, found
    return found


async def test_who_has_subscribed_hears_of_all_that_happens_in_order(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create())
    bob = await subscribed(world, f"{BOB}/desk")
    second = await world.online(f"{BOB}/second")
    carol = await subscribed(world, f"{CAROL}/desk", f"{CAROL}/desk")
    other = await world.online(f"{CAROL}/other")
    for number in range(3):
        await done(alice, publish(str(number), f"item{number}"))
    wanted = [(SERVICE, NODE, str(number)) for number in range(3)]
    assert news(bob) == news(second) == news(carol) == wanted
    assert news(other) == []  # it was the desk that has subscribed
    await done(alice, ask(f"<retract node='{NODE}'><item id='item1'/></retract>"))
    await done(alice, ask(f"<purge node='{NODE}'/>", owner=True))
    await done(alice, configure(title="Musings"))
    redirect = f"<delete node='{NODE}'><redirect uri='xmpp:elsewhere.example'/></delete>"
    await done(alice, ask(redirect, owner=True))
    heard = await told(world, bob, 4)
    assert [each.name for each in heard] == ["items", "purge", "configuration", "delete"]
    assert heard[-1].children[0].get("uri") == "xmpp:elsewhere.example"
    assert await told(world, second, 4) == heard


async def test_a_message_has_the_type_and_the_payload_that_the_node_says(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create(deliver_payloads="0", notification_type="normal"))
    bob = await subscribed(world, f"{BOB}/desk")
    await done(alice, publish())
    (message,) = bob.take("message")
    assert (message.get("type"), message.get("from")) == ("normal", SERVICE)
    (item,) = message.children[0].children[0].children
    assert item.children == []
    await done(alice, configure(deliver_notifications="0", notify_config="0"))
    await done(alice, publish("other"))
    await told(world, bob, 0)


async def test_who_subscribes_gets_the_last_item(world: World) -> None:  # §6.1.7
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create())
    for text in ("old", "new"):
        await done(alice, publish(text, text))
    bob = await subscribed(world, f"{BOB}/desk")
    assert news(bob) == [(SERVICE, NODE, "new")]


async def test_nobody_subscribes_or_unsubscribes_another(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await subscribed_after(world)
    assert errors(await alice.request(subscribe(BOB))) == ["bad-request", "invalid-jid"]
    assert errors(await alice.request(set_subscription(CAROL, "subscribed"))) == ["not-acceptable"]
    carol = await world.online(f"{CAROL}/desk")
    for content in (f"<unsubscribe node='{NODE}' jid='{BOB}'/>", f"<options node='{NODE}' jid='{BOB}'/>"):
        assert errors(await carol.request(ask(content))) == ["forbidden"]
    for text in (subscribe(CAROL, "no-such-node"), ask(f"<items node='{NODE}2'/>", "get")):
        assert errors(await carol.request(text)) == ["item-not-found"]
    await done(alice, publish())
    assert news(bob) == [(SERVICE, NODE, "x")]
    assert news(carol) == []


async def subscribed_after(world: World) -> WorldClient:
    """Make the node of Alice, and let Bob subscribe."""
    owner = await world.online(f"{ALICE}/maker")
    await done(owner, create())
    return await subscribed(world, f"{BOB}/desk")


async def test_a_subscription_ends_by_its_id(world: World) -> None:  # §6.2
    bob = await subscribed_after(world)
    state, id_ = subscription_in(await done(bob, subscribe(BOB)))
    assert state == "subscribed"
    gone = f"<unsubscribe node='{NODE}' jid='{BOB}' subid='%s'/>"
    assert errors(await bob.request(ask(gone % "wrong"))) == ["not-acceptable", "invalid-subid"]
    await done(bob, ask(gone % id_))
    assert errors(await bob.request(ask(gone % id_))) == ["unexpected-request", "not-subscribed"]


async def test_options_of_a_subscription(world: World) -> None:  # §6.3, §6.4
    bob = await subscribed_after(world)
    alice = await world.online(f"{ALICE}/phone")
    own = f"<options node='{NODE}' jid='{BOB}'>%s</options>"

    def submitted(**fields: str) -> str:
        return ask(own % form(ns.PUBSUB_SUBSCRIBE_OPTIONS, **fields))

    await done(bob, submitted(deliver="0", no_such_field="x"))
    await done(alice, publish("unheard"))
    assert news(bob) == []
    shown = await done(bob, ask(own % "", "get"))
    assert form_values(shown)["pubsub#deliver"] == "0"
    for fields in ({"deliver": "perhaps"}, {"expire": "tomorrow"}, {"expire": "2001-01-01T00:00:00Z"}):
        assert errors(await bob.request(submitted(**fields))) == ["bad-request", "invalid-options"]
    await done(bob, subscribe(BOB))  # which says nothing of them
    await done(alice, publish("unheard"))
    assert news(bob) == [(SERVICE, NODE, "unheard")]  # the last item, for who subscribes; and no news
    defaults = form_values(await done(bob, ask("<default/>", "get")))
    assert defaults == {"FORM_TYPE": ns.PUBSUB_SUBSCRIBE_OPTIONS, "pubsub#deliver": "1", "pubsub#expire": ""}
    carol = await world.online(f"{CAROL}/desk")
    assert errors(await carol.request(ask(own.replace(BOB, CAROL) % "", "get"))) == [
        "unexpected-request",
        "not-subscribed",
    ]


def form_values(answered: Element) -> dict[str, str]:
    (shown,) = answered.children[0].children[0].children
    return {each.get("var") or "": each.text_of("value") or "" for each in shown.find_all("field")}


async def test_a_subscription_for_a_while_ends_by_itself_and_its_subscriber_is_told(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create())
    bob = await world.online(f"{BOB}/desk")
    await done(bob, subscribe(BOB, options=options_of(expire="2026-01-01T00:10:00Z")))
    await done(alice, publish())
    assert news(bob) == [(SERVICE, NODE, "x")]
    await world.advance(600.0)
    await done(alice, publish("late"))
    await world.advance(LOOK_INTERVAL)
    (ended,) = await told(world, bob)
    assert (ended.name, ended.get("subscription")) == ("subscription", "none")
    listed = await done(bob, ask("<subscriptions/>", "get"))
    assert listed.children[0].children[0].children == []


async def test_an_owner_lets_somebody_in_by_a_form(world: World) -> None:  # §8.6
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create(access_model="authorize"))
    await done(alice, publish())
    bob, carol = await world.online(f"{BOB}/desk"), await world.online(f"{CAROL}/desk")
    assert subscription_in(await done(bob, subscribe(BOB)))[0] == "pending"
    question = await question_of(world, alice)
    assert errors(await bob.request(subscribe(BOB))) == ["not-authorized", "pending-subscription"]
    read = ask(f"<items node='{NODE}'/>", "get")
    assert errors(await bob.request(read)) == ["not-authorized", "not-subscribed"]

    await carol.send(decision(question, "1"))  # who owns nothing
    (refused,) = carol.take("message")
    assert errors(refused) == ["forbidden"]
    await bob.send(decision(question, "1"))  # nor lets himself in
    assert errors(bob.take("message")[0]) == ["forbidden"]

    await alice.send(decision(question, "1"))
    state, item = await told(world, bob, 2)
    assert (state.get("subscription"), item.name) == ("subscribed", "items")
    assert await texts(bob, NODE, SERVICE) == ["x"]
    await alice.send(decision(question, "0"))  # too late: it is decided
    assert errors(alice.take("message")[0]) == ["item-not-found"]

    await done(carol, subscribe(CAROL))
    await alice.send(decision(await question_of(world, alice), "0"))
    (state,) = await told(world, carol)
    assert state.get("subscription") == "none"
    assert errors(await carol.request(read)) == ["not-authorized", "not-subscribed"]


async def test_a_message_that_is_no_answer_is_refused_and_a_cancelled_form_is_not(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    form_type = f"<field var='FORM_TYPE'><value>{ns.PUBSUB_SUBSCRIBE_AUTHORIZATION}</value></field>"
    for content, expected in (
        ("<body>Hello</body>", ["service-unavailable"]),
        (f"<x xmlns='jabber:x:data' type='submit'>{form_type}</x>", ["bad-request"]),
        (f"<x xmlns='jabber:x:data' type='cancel'>{form_type}</x>", []),
    ):
        await alice.send(f"<message to='{SERVICE}' id='m'>{content}</message>")
        assert [each for message in alice.take("message") for each in errors(message)] == expected


async def question_of(world: World, owner: WorldClient) -> dict[str, str]:
    """Take what an owner is asked."""
    await world.settle()
    (message,) = owner.take("message")
    shown = message.find("x", ns.DATA_FORMS)
    assert shown is not None
    return {each.get("var") or "": each.text_of("value") or "" for each in shown.find_all("field")}


def decision(question: dict[str, str], allow: str) -> str:
    given = {**question, "pubsub#allow": allow}
    fields = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in given.items())
    return f"<message to='{SERVICE}' id='d'><x xmlns='jabber:x:data' type='submit'>{fields}</x></message>"


async def test_a_question_waits_for_an_owner_who_is_away(world: World) -> None:
    await world.register(ALICE)
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create(access_model="authorize"))
    await alice.leave()
    bob = await world.online(f"{BOB}/desk")
    await done(bob, subscribe(BOB))
    alice = await world.login(f"{ALICE}/phone")
    await alice.send("<presence/>")
    alice.take("presence")
    assert (await question_of(world, alice))["pubsub#subscriber_jid"] == BOB


async def test_an_owner_asks_again_who_waits(world: World) -> None:  # §8.7
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await done(alice, create(access_model="authorize"))
    await done(bob, subscribe(BOB))
    first = await question_of(world, alice)
    inside = f"<command xmlns='{ns.COMMANDS}' node='{ns.PUBSUB_GET_PENDING}'>%s</command>"
    command = f"<iq type='set' id='c' to='{SERVICE}'>{inside}</iq>"
    asking = await done(alice, command % "")
    shown = asking.children[0].find("x", ns.DATA_FORMS)
    assert shown is not None
    (_, field) = shown.find_all("field")
    assert [each.text_of("value") for each in field.find_all("option")] == [NODE]
    chosen = form(ns.PUBSUB_SUBSCRIBE_AUTHORIZATION, node=NODE)
    assert errors(await bob.request(command % chosen)) == ["forbidden"]
    await done(alice, command % chosen)
    assert await question_of(world, alice) == first


async def test_who_may_not_read_any_more_is_unsubscribed_and_told(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await subscribed_after(world)
    carol = await subscribed(world, f"{CAROL}/desk")
    await done(alice, affiliate(CAROL, "member"))
    (given,) = carol.take("message")
    assert given.children[0].children[0].children[0].get("affiliation") == "member"
    await done(alice, configure(access_model="whitelist"))
    (state,) = await told(world, bob)
    assert (state.name, state.get("subscription")) == ("subscription", "none")
    await told(world, carol)  # of the configuration
    await done(alice, publish())
    assert (news(bob), news(carol)) == ([], [(SERVICE, NODE, "x")])
    await done(alice, affiliate(CAROL, "outcast"))
    await world.settle()
    assert [each.get("subscription") for each in events(carol)] == ["none"]
    listed = await done(alice, ask(f"<subscriptions node='{NODE}'/>", "get", owner=True))
    assert listed.children[0].children[0].children == []


async def test_a_node_keeps_an_owner(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create())
    assert errors(await alice.request(affiliate(ALICE, "none"))) == ["not-acceptable"]
    await done(alice, affiliate(BOB, "owner"))
    await done(alice, affiliate(ALICE, "none"))
    bob = await world.online(f"{BOB}/desk")
    await done(bob, configure(title="Mine"))
    assert errors(await alice.request(configure(title="Mine"))) == ["forbidden"]


async def test_publishing_to_anothers_node_is_refused(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await done(alice, create())
    for text in (
        publish(),
        ask(f"<retract node='{NODE}'><item id='current'/></retract>"),
        ask(f"<delete node='{NODE}'/>", owner=True),
        ask(f"<purge node='{NODE}'/>", owner=True),
        configure(access_model="open"),
        affiliate(BOB, "owner"),
        set_subscription(BOB, "subscribed"),
        ask(f"<affiliations node='{NODE}'/>", "get", owner=True),
    ):
        assert errors(await bob.request(text)) == ["forbidden"], text
    assert errors(await bob.request(create())) == ["conflict"]


async def test_a_forged_event_does_not_pass_for_the_service(world: World) -> None:
    bob, carol = await subscribed_after(world), await world.online(f"{CAROL}/desk")
    event = f"<event xmlns='{ns.PUBSUB_EVENT}'><items node='{NODE}'><item id='i'/></items></event>"
    await carol.send(f"<message to='{BOB}' from='{SERVICE}' type='headline'>{event}</message>")
    assert all(each.get("from") != SERVICE for each in bob.take("message"))


@pytest.mark.parametrize(
    ("who", "may"),
    [("accounts", {ALICE, ADMIN}), ("admins", {ADMIN}), ("nobody", set())],
)
async def test_who_may_make_nodes(who: str, may: set[str]) -> None:
    world = await World.start(
        services=(PUBSUB,), admins=(ADMIN,), options={"pubsub": PubSubOptions(create=who)}
    )
    try:
        for jid in (ALICE, ADMIN):
            client = await world.online(f"{jid}/desk")
            refused = [] if jid in may else ["forbidden"]
            assert errors(await client.request(create(f"of {jid}"))) == refused
            assert errors(await client.request(publish(node=f"made by {jid}"))) == (
                refused and ["item-not-found"]
            )
    finally:
        await world.stop()


async def test_the_administrators_own_what_its_owner_has_left(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await done(alice, create(access_model="whitelist"))
    await done(alice, affiliate(BOB, "member"))
    await done(alice, publish())
    await done(bob, subscribe(BOB))
    await alice.leave()
    await world.stores.accounts.remove(Jid(ALICE))
    bob.take()
    assert await texts(bob, NODE, SERVICE) == ["x"]
    again = await world.online(f"{ALICE}/phone")  # another person, who has got the name
    assert errors(await again.request(configure(title="Mine"))) == ["forbidden"]
    admin = await world.online(f"{ADMIN}/desk")
    await done(admin, affiliate(BOB, "owner"))
    await done(bob, publish("mine"))
    await done(admin, ask(f"<delete node='{NODE}'/>", owner=True))
    assert await world.stores.nodes.list(HOST) == ()


async def test_subscriptions_end_with_their_account(world: World) -> None:
    bob = await subscribed_after(world)
    await bob.leave()
    await world.stores.accounts.remove(Jid(BOB))
    assert await world.stores.nodes.subscriptions(HOST, NODE) == ()


async def test_one_account_owns_so_many_nodes_and_the_service_has_so_many() -> None:
    options = PubSubOptions(account_nodes=2, max_nodes=3)
    world = await World.start(services=(PUBSUB,), options={"pubsub": options})
    try:
        alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
        for node in ("a", "b"):
            await done(alice, create(node))
        assert errors(await alice.request(create("c"))) == ["resource-constraint"]
        assert errors(await alice.request(publish(node="c"))) == ["resource-constraint"]
        await done(alice, publish(node="a"))
        await done(bob, publish(node="c"))
        assert errors(await bob.request(create("d"))) == ["resource-constraint"]
    finally:
        await world.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (create("n", access_model="presence"), ["not-acceptable", "unsupported-access-model"]),
        (create("n", access_model="roster"), ["not-acceptable", "unsupported-access-model"]),
        (create("n", max_items="1001"), ["not-acceptable"]),
        (ask("<create node='n' type='collection'/>"), []),
        (create("n", no_such_field="x"), []),
        (ask("<subscribe jid='alice@localhost'/>"), ["bad-request", "nodeid-required"]),
        (ask("<subscribe node='n'/>"), ["bad-request", "invalid-jid"]),
        (ask("<options node='n'/>", "get"), ["bad-request", "jid-required"]),
        (ask("<nonsense/>"), ["feature-not-implemented", "unsupported"]),
        (ask("<configure/>", "get", owner=True), ["bad-request", "nodeid-required"]),
    ],
)
async def test_requests_with_flaws(world: World, text: str, expected: list[str]) -> None:
    alice = await world.online(f"{ALICE}/phone")
    assert errors(await alice.request(text)) == expected


async def test_ten_thousand_nodes_are_listed_a_page_at_a_time(world: World) -> None:
    limits = NodeLimits(nodes=20_000, items=1, octets=1)
    names = [f"node{number:05}" for number in range(10_000)]
    for each in names:
        config = DEFAULTS if not each.endswith("7") else replace(DEFAULTS, access_model=AccessModel.WHITELIST)
        await world.stores.nodes.create(HOST, each, config, 1.0, by=Jid(ALICE), limits=limits)
    bob = await world.online(f"{BOB}/desk")
    found: list[str] = []
    page = ""
    while True:
        query = f"<query xmlns='{ns.DISCO_ITEMS}'>{page}</query>"
        answered = (await done(bob, f"<iq type='get' id='i' to='{SERVICE}'>{query}</iq>")).children[0]
        listed = [each.get("node") or "" for each in answered.find_all("item")]
        if not listed:
            break
        assert len(listed) <= 1_000
        found += listed
        page = f"<set xmlns='{ns.RSM}'><after>{listed[-1]}</after></set>"
    assert found == [each for each in names if not each.endswith("7")]


@pytest.mark.parametrize("number", [500, 10_000])
async def test_many_subscribers_are_told_in_turns(world: World, number: int) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await done(alice, create())
    store = world.stores.nodes
    people = [Jid(f"friend{each}@localhost") for each in range(number - 1)]
    await world.stores.accounts.create_all([AccountRecord(jid=jid, keys=(), created=1.0) for jid in people])
    for jid in people:
        wanted = Subscription(jid, SubscriptionState.SUBSCRIBED, "id", 1.0)
        await store.subscribe(HOST, NODE, wanted, by=jid, check=lambda *_: None, most=number)
    await done(bob, subscribe(BOB))
    heard = [await world.online(f"{jid}/phone") for jid in people[:: number // 10]]
    world.clock.per_look = SLICE_SECONDS
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.get_running_loop().create_task(count_turns())
    for each in range(3):
        await done(alice, publish(str(each)))
    counting.cancel()
    assert turns >= 3 * number // 16
    for client in (bob, *heard):
        assert [text for _, _, text in news(client)] == ["0", "1", "2"]


async def test_expired_items_leave_the_disk_though_nobody_publishes(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await done(alice, create(item_expire="3600"))
    await done(alice, create("kept"))
    for node in (NODE, "kept"):
        await done(alice, publish(node=node))
    personal = form(ns.PUBSUB_PUBLISH_OPTIONS, item_expire="3600")
    item = "<item id='i'><v xmlns='urn:v'/></item>"
    content = f"<publish node='own'>{item}</publish><publish-options>{personal}</publish-options>"
    await done(alice, request(content))
    await world.advance(3_601 + LOOK_INTERVAL)
    everything = ItemQuery(limit=10)
    for owner, node, left in ((HOST, NODE, 0), (HOST, "kept", 1), (Jid(ALICE), "own", 0)):
        assert (await world.stores.nodes.items(owner, node, everything)).count == left


async def test_a_domain_may_be_without_the_service() -> None:
    world = await World.start(services=(PUBSUB,), disabled={"localhost": ["pubsub"]})
    try:
        alice = await world.online(f"{ALICE}/phone")
        assert errors(await alice.request(create())) == ["service-unavailable"]
    finally:
        await world.stop()


async def test_the_examples_of_the_page_do_what_it_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "publish-subscribe.md").read_text()
    blocks = re.findall(r"^```xml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    stanzas = [each for block in blocks for each in re.findall(r"<iq .*?</iq>", block, re.DOTALL)]
    assert len(stanzas) == 3
    world = await World.start(("example.org",), services=(PUBSUB,))
    try:
        nina = await world.online("nina@example.org/desk")
        for each in stanzas:
            await done(nina, each)
        (message,) = nina.take("message")
        assert (message.get("from"), message.get("to")) == ("pubsub.example.org", "nina@example.org")
        (price,) = message.children[0].children[0].children[0].children
        assert (price.name, price.text) == ("price", "9512")
    finally:
        await world.stop()
