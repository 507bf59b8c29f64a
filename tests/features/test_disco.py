"""Service discovery: what the server and its accounts tell, to whom, and which capabilities stand for it."""

from collections.abc import AsyncIterator

import pytest

from tests.features.friends import Friends
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.blocking import Blocking
from tidings.features.contacts import Presences, Rosters
from tidings.features.disco import CAPS_NODE, ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.features.private_storage import PrivateStorage
from tidings.features.vcard import VCardTemp
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.feature import Feature, StreamStage, listens
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.caps import (
    Capabilities,
    CapabilityHashSet,
    is_well_formed,
    matches,
    verification_string,
)
from tidings.wire.xmpp.payloads.disco import Identity, Info, Item, Items


class Library(Feature):
    """A feature with a service, a node and an item of its own."""

    @listens(DiscoInfo)
    def describe(self, event: DiscoInfo) -> None:
        if event.node == "books":
            event.known = True
            event.identities.append(("hierarchy", "branch", "Books"))

    @listens(DiscoItems)
    async def add(self, event: DiscoItems) -> None:
        if not event.node and event.entity is None:
            event.items.append((Jid("library.localhost"), "", "Library"))
        if event.node == "books":
            event.known = True
            event.items += [(Jid("library.localhost"), "hamlet", "Hamlet")] * 2


FEATURES = (
    Friends,
    Rosters,
    Presences,
    ServiceDiscovery,
    XmppPing,
    VCardTemp,
    PrivateStorage,
    Blocking,
    Library,
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES, admins=["romeo@localhost"])
    yield world
    await world.stop()


async def ask(client: WorldClient, to: str, kind: str = "info", node: str = "") -> Element:
    attribute = f" node='{node}'" if node else ""
    query = f"<query xmlns='http://jabber.org/protocol/disco#{kind}'{attribute}/>"
    return await client.request(f"<iq type='get' id='d' to='{to}'>{query}</iq>")


async def info(client: WorldClient, to: str, node: str = "") -> Info:
    answer = await ask(client, to, "info", node)
    assert answer.get("type") == "result", answer
    return Info.decode(answer.children[0])


async def items(client: WorldClient, to: str, node: str = "") -> Items:
    answer = await ask(client, to, "items", node)
    assert answer.get("type") == "result", answer
    return Items.decode(answer.children[0])


def condition(answer: Element) -> str:
    assert answer.get("type") == "error"
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return error.children[0].name


async def test_the_server(world: World) -> None:
    romeo = await world.login("romeo@localhost")
    told = await info(romeo, "localhost")
    assert told.identities == (Identity("server", "im", "Tidings", "en"),)
    expected = {ns.DISCO_INFO, ns.DISCO_ITEMS, ns.CAPS, ns.CAPS2, ns.PING, ns.VCARD, ns.PRIVATE, ns.BLOCKING}
    assert set(told.features) == expected
    assert is_well_formed(told)


async def test_the_items_of_the_server(world: World) -> None:
    romeo = await world.login("romeo@localhost")
    assert (await items(romeo, "localhost")).items == (Item(Jid("library.localhost"), "", "Library"),)


async def test_a_node_of_a_feature(world: World) -> None:
    romeo = await world.login("romeo@localhost")
    told = await info(romeo, "localhost", "books")
    assert (told.node, told.identities) == ("books", (Identity("hierarchy", "branch", "Books", "en"),))
    assert (await items(romeo, "localhost", "books")).items == (
        Item(Jid("library.localhost"), "hamlet", "Hamlet"),
    )


@pytest.mark.parametrize("kind", ["info", "items"])
async def test_an_unknown_node(world: World, kind: str) -> None:
    romeo = await world.login("romeo@localhost")
    assert condition(await ask(romeo, "localhost", kind, "nowhere")) == "item-not-found"
    assert condition(await ask(romeo, "localhost", kind, f"{CAPS_NODE}#nonsense")) == "item-not-found"


async def test_the_announced_capabilities_are_those_of_the_server(world: World) -> None:
    romeo = await world.login("romeo@localhost")
    host = world.server.hosts["localhost"]
    discovery = host.feature(ServiceDiscovery)
    assert discovery is not None
    assert list(discovery.stream_features(StreamStage.BEFORE_LOGIN)) == []
    caps, hashes = discovery.stream_features(StreamStage.AFTER_LOGIN)
    old, new = Capabilities.decode(caps), CapabilityHashSet.decode(hashes)
    told = await info(romeo, "localhost", old.query_node)
    assert told.node == old.query_node
    assert old.version == verification_string(told) == verification_string(await info(romeo, "localhost"))
    assert {each.algorithm for each in new.hashes} == {"sha-256", "sha3-256"}
    for each in new.hashes:
        assert matches(await info(romeo, "localhost", each.query_node), each)


async def test_hosts_with_the_same_features_share_their_capabilities(world: World) -> None:
    local, other = (
        world.server.hosts[domain].stream_features(StreamStage.AFTER_LOGIN)
        for domain in ("localhost", "other.test")
    )
    assert local == other


@pytest.mark.parametrize(
    ("asker", "target", "kind"),
    [
        ("romeo@localhost", "romeo@localhost", "admin"),
        ("juliet@localhost", "romeo@localhost", "admin"),
        ("romeo@localhost", "juliet@localhost", "registered"),
        ("nurse@other.test", "juliet@localhost", "registered"),
    ],
)
async def test_an_account_and_its_friends(world: World, asker: str, target: str, kind: str) -> None:
    await world.register(target)
    told = await info(await world.login(asker), target)
    assert told.identities == (Identity("account", kind, "", "en"),)
    own = {ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PING, ns.VCARD, ns.PRIVATE, ns.BLOCKING}
    assert set(told.features) == (own if asker == target else {ns.DISCO_INFO, ns.DISCO_ITEMS, ns.VCARD})


@pytest.mark.parametrize("target", ["juliet@localhost", "nobody@localhost"])
@pytest.mark.parametrize("node", ["", "books", "nowhere"])
async def test_strangers_learn_nothing_of_an_account(world: World, target: str, node: str) -> None:  # §7
    juliet = await world.online("juliet@localhost/balcony")
    stranger = await world.login("stranger@localhost")
    assert condition(await ask(stranger, target, "info", node)) == "service-unavailable"
    assert await items(stranger, target, node) == Items(node)
    assert juliet.take() == []


async def test_friends_see_what_is_there(world: World) -> None:
    juliet = await world.online("juliet@localhost/balcony")
    await world.login("juliet@localhost/chamber")
    romeo = await world.login("romeo@localhost")
    assert (await items(romeo, "juliet@localhost")).items == (Item(juliet.jid),)


async def test_a_request_that_is_nonsense(world: World) -> None:
    romeo = await world.login("romeo@localhost")
    query = "<query xmlns='http://jabber.org/protocol/disco#info'><feature/></query>"
    answer = await romeo.request(f"<iq type='get' id='d' to='localhost'>{query}</iq>")
    assert condition(answer) == "bad-request"


async def test_subscriptions_decide_who_sees_an_account() -> None:
    world = await World.start()
    juliet, romeo = (
        await world.online("juliet@localhost/balcony"),
        await world.online("romeo@localhost/orchard"),
    )
    assert condition(await ask(romeo, "juliet@localhost")) == "service-unavailable"
    await romeo.send("<presence type='subscribe' to='juliet@localhost'/>")
    assert condition(await ask(romeo, "juliet@localhost")) == "service-unavailable"
    await juliet.send("<presence type='subscribed' to='romeo@localhost'/>")
    assert (await info(romeo, "juliet@localhost")).identities[0].category == "account"
    assert (await items(romeo, "juliet@localhost")).items == (Item(juliet.jid),)
    assert condition(await ask(juliet, "romeo@localhost")) == "service-unavailable"
    last = "<iq type='get' id='l' to='juliet@localhost'><query xmlns='jabber:iq:last'/></iq>"
    assert (await romeo.request(last)).get("type") == "result"
    await world.stop()


async def test_everything_the_server_speaks_is_told_once() -> None:
    world = await World.start()
    told = await info(await world.login("juliet@localhost"), "localhost")
    advertised = {
        namespace
        for feature in world.server.hosts["localhost"].features
        for spec in feature.specs()
        for namespace in spec.advertises
    }
    assert set(told.features) == advertised
    assert is_well_formed(told)
    await world.stop()


@pytest.mark.parametrize(("anonymous", "kind"), [([], "registered"), (["localhost"], "anonymous")])
async def test_a_guest_is_not_said_to_be_registered(anonymous: list[str], kind: str) -> None:  # XEP-0175 §5
    world = await World.start(anonymous=anonymous)
    alice = await world.login("alice@localhost/x")
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    answer = await alice.request(f"<iq type='get' id='d' to='alice@localhost'>{query}</iq>")
    identities = Info.decode(answer.children[0]).identities
    assert [(each.category, each.kind) for each in identities if each.category == "account"] == [
        ("account", kind)
    ]
    await world.stop()
