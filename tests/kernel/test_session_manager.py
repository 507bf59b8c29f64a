"""Sessions on several nodes: who is there, who takes a resource, and what reaches an account's devices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.harness.nodes import Nodes
from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.kernel.account import account_of
from tidings.kernel.audience import AVAILABLE, Audience
from tidings.kernel.feature import Feature
from tidings.kernel.loader import FeatureError, load_features
from tidings.operations.all import CATALOGUE
from tidings.ports.ledger.reading import Head
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
BOB = Jid("bob@localhost")


@pytest.fixture(params=[False, True], ids=["known", "asked"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    """Two nodes whose registry has its answers at once, or makes them wait."""
    started = await Nodes.start(is_slow=request.param)
    yield started
    await started.stop()


def manager(nodes: Nodes, number: int):
    live = nodes.worlds[number].context.live
    assert live is not None
    return live.sessions


async def account(nodes: Nodes, number: int, jid: Jid = BOB):
    host = nodes.worlds[number].server.hosts[jid.domain]
    return account_of(await host.directory.load(jid))


async def test_every_node_knows_what_an_account_has_on_others(nodes: Nodes) -> None:
    phone = await nodes.one.online("bob@localhost/phone", "<presence><priority>-1</priority></presence>")
    desk = await nodes.two.login("bob@localhost/desk")
    await nodes.settle()
    here, there = await account(nodes, 0), await account(nodes, 1)
    assert {resource: bound.priority for resource, bound in here.elsewhere.items()} == {"desk": None}
    assert {resource: bound.priority for resource, bound in there.elsewhere.items()} == {"phone": -1}
    assert here.available_jids == there.available_jids == [phone.jid]
    assert set(here.resources) == set(there.resources) == {"phone", "desk"}
    await desk.leave()
    await phone.leave()
    assert not here.is_connected
    assert not there.is_connected


async def test_an_account_that_comes_into_memory_later_is_known_as_well(nodes: Nodes) -> None:
    await nodes.two.online("bob@localhost/desk")
    assert manager(nodes, 0).may_be_connected(BOB)
    assert set((await account(nodes, 0)).elsewhere) == {"desk"}


async def test_that_nobody_is_there_is_known_without_loading_the_account() -> None:
    nodes = await Nodes.start()
    assert not manager(nodes, 0).may_be_connected(BOB)
    desk = await nodes.two.login("bob@localhost/desk")
    assert manager(nodes, 0).may_be_connected(BOB)
    await desk.leave()
    assert not manager(nodes, 0).may_be_connected(BOB)
    assert nodes.one.server.hosts["localhost"].directory.get(BOB) is None
    await nodes.stop()


async def test_of_two_who_take_a_resource_at_the_same_time_one_stays(nodes: Nodes) -> None:
    await nodes.one.register("bob@localhost")
    logins = [world.login("bob@localhost/desk") for world in (*nodes.worlds, *nodes.worlds)]
    done = await asyncio.gather(*logins, return_exceptions=True)
    await nodes.settle()
    refused = [each for each in done if isinstance(each, StanzaError)]
    assert {each.condition for each in refused} <= {"conflict"}
    alive = [each for each in done if not isinstance(each, BaseException) and not each.session.ended]
    assert len(alive) == 1
    for number in (0, 1):
        assert set((await account(nodes, number)).resources) == {"desk"}


class Unreadable:
    """A ledger that cannot be read."""

    async def head(self, archive: Jid) -> Head:
        raise BackendError("the database is down")


async def test_a_session_that_cannot_begin_leaves_its_resource_free(nodes: Nodes) -> None:
    handover = nodes.one.router._pipeline.handover
    assert handover is not None
    ledger, handover._ledger = handover._ledger, Unreadable()
    with pytest.raises(BackendError, match="down"):
        await nodes.one.login("bob@localhost/desk")
    await nodes.settle()
    assert not (await account(nodes, 1)).is_connected
    handover._ledger = ledger
    desk = await nodes.one.login("bob@localhost/desk")
    assert not desk.session.ended


async def test_all_nodes_together_have_so_many_sessions_of_an_account(nodes: Nodes) -> None:
    for world in nodes.worlds:
        world.server._sessions_per_account = 2
    await nodes.one.login("bob@localhost/a")
    await nodes.two.login("bob@localhost/b")
    await nodes.settle()
    with pytest.raises(StanzaError, match="2 sessions"):
        await nodes.one.login("bob@localhost/c")


async def test_what_is_for_devices_reaches_those_of_the_audience_on_all_nodes(nodes: Nodes) -> None:
    phone = await nodes.one.online("bob@localhost/phone")
    desk = await nodes.two.online("bob@localhost/desk")
    away = await nodes.two.login("bob@localhost/away")
    news = Stanza.build("message", kind="headline", sender=BOB)
    manager(nodes, 0).to_devices(await account(nodes, 0), AVAILABLE, news, skip=phone.session)
    await nodes.settle()
    assert [each.get("to") for each in desk.take("message")] == ["bob@localhost/desk"]
    assert phone.take("message") == []
    assert away.take("message") == []


async def test_a_kick_and_a_new_password_end_sessions_on_all_nodes(nodes: Nodes) -> None:
    phone = await nodes.one.online("bob@localhost/phone")
    desk = await nodes.two.online("bob@localhost/desk")
    tablet = await nodes.two.online("bob@localhost/tablet")
    kicked = await CATALOGUE.call(nodes.one.context, "session", "kick", {"user": "bob@localhost/desk"})
    await nodes.settle()
    assert kicked.sessions_ended == 1
    assert desk.session.ended
    assert not tablet.session.ended
    ended = await nodes.one.context.accounts.set_password(BOB, "another one")
    await nodes.settle()
    assert ended == 2
    assert tablet.session.ended
    assert phone.closed


async def test_bind_2_ends_earlier_sessions_of_the_same_client_on_all_nodes(nodes: Nodes) -> None:
    app, other = "bob@localhost/app/1", "bob@localhost/app/2"
    first = await nodes.one.login(app, device="4f2b", is_bind2=True)
    bystander = await nodes.one.login(other, device="71cd", is_bind2=True)
    await nodes.settle()
    again = await nodes.two.login("bob@localhost/app/3", device="4f2b", is_bind2=True)
    await nodes.settle()
    assert first.session.ended
    assert not bystander.session.ended
    assert not again.session.ended


async def test_a_removed_account_is_gone_on_all_nodes(nodes: Nodes) -> None:
    desk = await nodes.two.online("bob@localhost/desk")
    await nodes.one.context.accounts.remove(BOB)
    await nodes.settle()
    assert desk.session.ended
    assert not (await account(nodes, 1)).exists
    with pytest.raises(StanzaError, match="removed"):
        await nodes.two.server.open_session(
            desk.session.host, desk.jid, desk.session.client, desk.session.link
        )


async def test_last_activity_is_of_the_account_and_not_of_a_node(nodes: Nodes) -> None:
    phone = await nodes.one.online("bob@localhost/phone")
    desk = await nodes.two.online("bob@localhost/desk")
    query = "<iq type='get' id='l1' to='bob@localhost'><query xmlns='jabber:iq:last'/></iq>"
    await phone.leave()
    nodes.clock.advance(60)
    answer = await desk.request(query)
    assert answer.find("query", "jabber:iq:last").get("seconds") == "0"
    record = await nodes.one.stores.accounts.get(BOB)
    assert record.last_activity is None
    await desk.leave()
    record = await nodes.one.stores.accounts.get(BOB)
    assert record.last_activity == nodes.clock.now()


async def test_a_request_that_is_lost_on_the_bus_is_answered_with_an_error() -> None:
    nodes = await Nodes.start()
    alice = await nodes.one.online("alice@localhost/phone")
    bob = await nodes.two.online("bob@localhost/desk")
    nodes.hub.loss = 1.0
    await alice.send("<iq type='get' id='v1' to='bob@localhost/desk'><query xmlns='jabber:iq:version'/></iq>")
    assert alice.take("iq") == []
    await nodes.run(1.1)
    [answer] = alice.take("iq")
    assert answer.find("error", ns.CLIENT).find("recipient-unavailable", STANZA_ERRORS) is not None
    assert bob.take("iq") == []
    await nodes.stop()


class One(Feature):
    audiences = (Audience("same.name", bool),)


class Other(Feature):
    audiences = (Audience("same.name", bool),)


async def test_two_audiences_of_one_name_are_refused(nodes: Nodes) -> None:
    host = nodes.one.server.hosts["localhost"]
    with pytest.raises(FeatureError, match=r"same\.name"):
        load_features(host, (One, Other), {}, {})
