"""What is cached of the stores on one node follows what another node has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.nodes import Nodes
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.kernel.cluster import RETRY_SECONDS
from tidings.ports.bus import Changed
from tidings.wire.xmpp import ns

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
BLOCK = f"<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block></iq>"
TYPING = f"<message to='{BOB}' type='chat'><composing xmlns='{ns.CHAT_STATES}'/></message>"


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    started = await Nodes.start()
    yield started
    await started.stop()


class Down:
    """A block list store that cannot be read while it is down."""

    def __init__(self, store) -> None:
        self._store = store
        self.is_down = False
        self.add = store.add
        self.remove = store.remove
        self.clear = store.clear

    async def list(self, account: Jid) -> frozenset[Jid]:
        if self.is_down:
            raise BackendError("the block lists are down")
        return await self._store.list(account)


async def test_what_cannot_be_read_anew_is_read_later(nodes: Nodes) -> None:
    alice = await nodes.one.online(f"{ALICE}/phone")
    phone = await nodes.one.online(f"{BOB}/phone")
    desk = await nodes.two.online(f"{BOB}/desk")
    features = nodes.one.server.hosts["localhost"].features
    blocking = next(each for each in features if each.name() == "blocking")
    store = blocking._store = Down(blocking._store)
    store.is_down = True
    await desk.request(BLOCK)
    await alice.send(TYPING)
    assert len(phone.take("message")) == 1
    store.is_down = False
    await nodes.run(RETRY_SECONDS + 0.1)
    alice.take()
    await alice.send(TYPING)
    assert phone.take("message") == []
    assert [each.get("type") for each in alice.take("message")] == ["error"]


async def test_who_is_blocked_on_one_node_sees_the_sessions_of_all_go(nodes: Nodes) -> None:
    alice = await nodes.one.online(f"{ALICE}/phone")
    phone = await nodes.one.online(f"{BOB}/phone")
    desk = await nodes.two.online(f"{BOB}/desk")
    await alice.send(f"<presence type='subscribe' to='{BOB}'/>")
    await desk.send(f"<presence type='subscribed' to='{ALICE}'/>")
    shown = {each.get("from") for each in alice.take("presence")}
    assert shown >= {phone.jid, desk.jid}
    await desk.request(BLOCK)
    await nodes.settle()
    gone = {(each.get("from"), each.get("type")) for each in alice.take("presence")}
    assert gone == {(phone.jid, "unavailable"), (desk.jid, "unavailable")}
    await phone.request("<iq type='set' id='b2'><unblock xmlns='urn:xmpp:blocking'/></iq>")
    await nodes.settle()
    back = {(each.get("from"), each.get("type")) for each in alice.take("presence")}
    assert back == {(phone.jid, None), (desk.jid, None)}


async def test_archive_preferences_hold_on_all_nodes(nodes: Nodes) -> None:
    alice = await nodes.one.online(f"{ALICE}/phone")
    await nodes.one.online(f"{BOB}/phone")
    desk = await nodes.two.online(f"{BOB}/desk")
    await desk.request("<iq type='set' id='p1'><prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>")
    await alice.send(f"<message to='{BOB}' type='chat' id='m'><body>between us</body></message>")
    query = "<iq type='set' id='q1'><query xmlns='urn:xmpp:mam:2'/></iq>"
    await desk.request(query)
    assert [each for each in desk.take("message") if each.find("result", "urn:xmpp:mam:2")] == []
    own = await alice.request(query)
    assert own.get("type") == "result"
    assert len([each for each in alice.take("message") if each.find("result", "urn:xmpp:mam:2")]) == 1


async def test_an_account_that_is_only_remembered_is_read_anew(nodes: Nodes) -> None:
    alice = await nodes.one.online(f"{ALICE}/phone")
    await alice.send(TYPING)  # brings an account into memory that does not exist
    assert [each.get("type") for each in alice.take("message")] == []
    await nodes.two.context.accounts.create(BOB, "a password", iterations=4096)
    await nodes.settle()
    await alice.send(f"<message to='{BOB}' type='chat' id='m'><body>welcome</body></message>")
    assert alice.take("message") == []
    desk = await nodes.two.login(f"{BOB}/desk")
    await desk.send("<presence/>")
    [message] = desk.take("message")
    assert message.find("body", ns.CLIENT).text == "welcome"


async def test_what_is_published_of_nobody_here_does_nothing(nodes: Nodes) -> None:
    live = nodes.one.context.live
    assert live is not None
    for entity in ("bob@elsewhere.example", "nobody@localhost"):
        live.cluster.changed(Changed(entity, "blocking.blocked"))
    await nodes.settle()
    assert nodes.one.server.hosts["localhost"].directory.get(Jid("nobody@localhost")) is None
