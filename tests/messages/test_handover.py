"""Handover: what a node does with messages of other nodes, and with those that it never hears of."""

from __future__ import annotations

import asyncio

from tests.harness.nodes import Nodes
from tests.harness.world import WorldClient
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.ports.bus import Delivery, Missed
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Committed, LedgerBatch
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

BOB = Jid("bob@localhost")


def chat(to: str, text: str) -> str:
    return f"<message to='{to}' type='chat' id='{text}'><body>{text}</body></message>"


def bodies(client: WorldClient) -> list[str]:
    found = [element.find("body", ns.CLIENT) for element in client.take("message")]
    return [body.text for body in found if body is not None]


def cluster_of(nodes: Nodes):
    live = nodes.one.context.live
    assert live is not None
    return live.cluster


def delivery(position: int, text: str, epoch: str = "e") -> Delivery:
    body = (
        f"<message xmlns='jabber:client' from='alice@localhost/a' to='{BOB}' type='chat'>"
        f"<body>{text}</body></message>"
    )
    return Delivery(BOB, body.encode(), position, epoch, 1_767_225_600_000_000)


async def test_a_device_that_nobody_has_heard_of_yet_gets_what_comes_meanwhile() -> None:
    nodes = await Nodes.start(stale=0.5)
    alice = await nodes.one.online("alice@localhost/phone")
    await nodes.one.register("bob@localhost")
    await nodes.one.server.hosts["localhost"].directory.load(BOB)
    desk = await nodes.two.online("bob@localhost/desk")
    await alice.send(chat(BOB, "too early"))
    assert bodies(desk) == []  # the other node believes that nobody is there
    await nodes.run(1.5)
    assert bodies(desk) == ["too early"]
    await nodes.stop()


async def test_what_was_there_before_a_device_came_is_not_copied_to_it() -> None:
    nodes = await Nodes.start()
    phone = await nodes.one.online("alice@localhost/phone")
    await nodes.two.register("bob@localhost")
    await phone.send(chat(BOB, "one"), chat(BOB, "two"), chat(BOB, "three"))
    carbons = (Element("enable", "urn:xmpp:carbons:2"),)
    desk = await nodes.two.login("alice@localhost/desk", inline=carbons)
    await desk.send("<presence/>")
    await phone.send(chat(BOB, "four"))
    await nodes.run(2)
    [copy] = desk.take("message")
    [forwarded] = copy.find("sent", ns.CARBONS).children
    message = forwarded.find("message", ns.CLIENT)
    assert message.find("body", ns.CLIENT).text == "four"
    await nodes.stop()


async def test_what_comes_in_the_wrong_order_or_twice_is_delivered_in_order_once() -> None:
    nodes = await Nodes.start()
    desk = await nodes.one.online("bob@localhost/desk")
    cluster = cluster_of(nodes)
    for position in (3, 2, 3):
        cluster.take("two", (delivery(position, str(position)),))
    assert bodies(desk) == []
    cluster.take("two", (delivery(1, "1"), delivery(2, "2")))
    await nodes.settle()
    assert bodies(desk) == ["1", "2", "3"]
    await nodes.run(1)
    assert bodies(desk) == []
    await nodes.stop()


async def test_what_does_not_come_is_read_from_the_archive_after_a_moment() -> None:
    nodes = await Nodes.start()
    alice = await nodes.two.online("alice@localhost/phone")
    desk = await nodes.one.online("bob@localhost/desk")
    nodes.hub.loss = 1.0
    await alice.send(chat(BOB, "lost"), chat(BOB, "lost, too"))
    nodes.hub.loss = 0.0
    await alice.send(chat(BOB, "here"))
    assert bodies(desk) == []
    await nodes.run(0.06)
    assert bodies(desk) == ["lost", "lost, too", "here"]
    await nodes.stop()


async def test_it_is_told_to_which_node_a_message_was_handed_over() -> None:
    nodes = await Nodes.start()
    alice = await nodes.one.online("alice@localhost/phone")
    await nodes.two.online("bob@localhost/desk")
    await alice.send(chat(BOB, "over"))
    explained = await CATALOGUE.call(nodes.one.context, "explain", "message", {"id": "over"})
    told = [step.text for step in explained.steps if step.step == "handed over"]
    assert told == ["to the node two: its account has sessions there, which that node serves"]
    assert "not sent" not in {step.step for step in explained.steps}
    await nodes.stop()


class Silent:
    """A ledger that writes and never says so."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def commit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        unanswered: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        error = BackendError("the database has not answered in time")
        self._ledger.commit(batch).add_done_callback(lambda _: unanswered.set_exception(error))
        return unanswered


async def test_what_the_ledger_has_not_answered_for_reaches_the_devices_of_all_nodes() -> None:
    nodes = await Nodes.start()
    alice = await nodes.one.online("alice@localhost/phone")
    phone = await nodes.one.online("bob@localhost/phone")
    desk = await nodes.two.online("bob@localhost/desk")
    pipeline = nodes.one.router._pipeline
    pipeline._ledger = Silent(pipeline._ledger)
    await alice.send(chat(BOB, "perhaps"))
    assert [each.get("type") for each in alice.take("message")] == ["error"]
    await nodes.run(2)
    assert bodies(phone) == ["perhaps"]
    assert bodies(desk) == ["perhaps"]
    await nodes.run(40)
    assert bodies(phone) == bodies(desk) == []
    await nodes.stop()


async def test_a_reminder_of_what_is_known_does_nothing() -> None:
    nodes = await Nodes.start()
    alice = await nodes.two.online("alice@localhost/phone")
    desk = await nodes.one.online("bob@localhost/desk")
    await alice.send(chat(BOB, "once"))
    cluster_of(nodes).take("two", (Missed(BOB, 1),))
    await nodes.run(1)
    assert bodies(desk) == ["once"]
    await nodes.stop()


async def test_nothing_is_told_of_an_account_whose_last_session_has_ended() -> None:
    nodes = await Nodes.start()
    desk = await nodes.one.online("bob@localhost/desk")
    await desk.leave()
    cluster_of(nodes).take("two", (delivery(1, "late"), Missed(BOB, 5)))
    await nodes.run(1)
    again = await nodes.one.online("bob@localhost/desk")
    assert bodies(again) == []
    await nodes.stop()


async def test_more_than_can_wait_is_read_from_the_archive() -> None:
    nodes = await Nodes.start()
    alice = await nodes.two.online("alice@localhost/phone")
    desk = await nodes.one.online("bob@localhost/desk")
    nodes.hub.loss = 1.0
    texts = [f"message {number}" for number in range(1_100)]
    for begin in range(0, len(texts), 50):
        await alice.send(*(chat(BOB, text) for text in texts[begin : begin + 50]))
    ledger = nodes.one.stores.ledger
    assert ledger is not None
    epoch = (await ledger.head(BOB)).epochs[0][0]
    late = [delivery(number + 1, text, epoch) for number, text in enumerate(texts)]
    cluster_of(nodes).take("two", late[1:])
    await nodes.run(0.2)
    assert bodies(desk) == texts
    await nodes.stop()
