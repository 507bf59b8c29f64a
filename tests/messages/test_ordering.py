"""The ordering rules of a message's life, with a ledger that takes its time."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.world import World, WorldClient
from tests.messages.slow_ledger import SlowLedger
from tests.messages.slow_world import ledger, slow, turns
from tidings.kernel.feature import Feature, handles_nonza
from tidings.ports.ledger.batch import Accepted, Place, Refused, Stale
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["ledger", "slow"]

PING = "<iq type='get' id='{}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
ROSTER = "<iq type='get' id='{}'><query xmlns='jabber:iq:roster'/></iq>"


def chat(number: object, to: str = "bob@localhost/desk") -> str:
    return f"<message to='{to}' type='chat' id='{number}'><body>{number}</body></message>"


def ids(client: WorldClient, name: str = "message") -> list[str | None]:
    return [element.get("id") for element in client.take(name)]


@pytest.fixture
async def alice(slow: World) -> WorldClient:
    return await slow.login("alice@localhost/phone")


@pytest.fixture
async def bob(slow: World) -> WorldClient:
    return await slow.login("bob@localhost/desk")


async def test_messages_of_one_read_share_a_batch_and_are_delivered_after_the_commit(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1), chat(2), chat(3))
    await turns()
    assert ledger.ids == [["1", "2", "3"]]
    assert bob.take() == []
    assert alice.session.flow.handled == 0
    ledger.accept()
    await slow.settle()
    assert ids(bob) == ["1", "2", "3"]
    assert alice.session.flow.handled == 3


async def test_what_comes_while_a_batch_is_committed_is_the_next_batch(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    alice.push(chat(2))
    alice.push(chat(3))
    await turns()
    assert ledger.ids == [["1"]]
    ledger.accept()
    await turns()
    assert ledger.ids == [["1"], ["2", "3"]]
    assert ids(bob) == ["1"]
    ledger.accept()
    await slow.settle()
    assert ids(bob) == ["2", "3"]


async def test_a_request_waits_for_the_messages_before_it(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1), ROSTER.format("r"), chat(2))
    await turns()
    assert ledger.ids == [["1"]]
    assert alice.take() == []
    ledger.accept()
    await turns()
    assert ids(alice, "iq") == ["r"]
    assert ledger.ids == [["1"], ["2"]]
    assert alice.session.flow.handled == 2
    ledger.accept()
    await slow.settle()
    assert alice.session.flow.handled == 3


async def test_presence_waits_for_the_messages_before_it(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1), "<presence to='bob@localhost/desk'/>")
    await turns()
    assert bob.take() == []
    ledger.accept()
    await slow.settle()
    assert [element.name for element in bob.take()] == ["message", "presence"]


async def test_a_ping_to_the_server_overtakes_and_counts_in_its_place(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    alice.push(chat(2), PING.format("p"), chat(3))
    await turns()
    assert ids(alice, "iq") == ["p"]
    assert alice.session.flow.handled == 0  # h never covers what is not committed
    ledger.accept()
    await turns()
    assert alice.session.flow.handled == 1
    assert ledger.ids == [["1"], ["2", "3"]]
    ledger.accept()
    await slow.settle()
    assert alice.session.flow.handled == 4


async def test_a_ping_alone_in_the_queue_counts_when_the_commit_is_done(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    alice.push(PING.format("p"))
    alice.push(ROSTER.format("r"))
    await turns()
    assert ids(alice, "iq") == ["p"]
    ledger.accept()
    await slow.settle()
    assert alice.session.flow.handled == 3


async def test_a_ping_to_somebody_else_waits(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    alice.push("<iq type='get' id='p' to='bob@localhost/desk'><ping xmlns='urn:xmpp:ping'/></iq>")
    await turns()
    assert bob.take() == []
    ledger.accept()
    await slow.settle()
    assert [element.name for element in bob.take()] == ["message", "iq"]


async def test_a_stanza_that_is_refused_when_read_counts_in_its_place(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1), "<message to='@@' id='bad'><body>x</body></message>", chat(2))
    await turns()
    assert ids(alice) == ["bad"]
    assert alice.session.flow.handled == 0
    assert ledger.ids == [["1", "2"]]
    ledger.accept()
    await slow.settle()
    assert alice.session.flow.handled == 3


async def test_sessions_do_not_wait_for_each_other(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    carol = await slow.login("carol@localhost/tablet")
    alice.push(chat("a"))
    carol.push(chat("c"))
    await turns()
    assert ledger.ids == [["a"], ["c"]]
    ledger.waiting.reverse()
    ledger.accept()
    await turns()
    assert ids(bob) == ["c"]
    ledger.accept()
    await slow.settle()
    assert ids(bob) == ["a"]


async def test_a_failed_commit_is_answered_and_delivers_nothing(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1), chat(2))
    await turns()
    ledger.fail()
    await slow.settle()
    errors = alice.take("message")
    assert [error.get("id") for error in errors] == ["1", "2"]
    for error in errors:
        assert error.find("error").find("resource-constraint", ns.STANZA_ERRORS) is not None
    assert bob.take() == []
    assert alice.session.flow.handled == 2  # both have been answered


async def test_a_bug_in_the_ledger_is_an_error_for_the_sender_and_does_not_stop_the_session(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    alice.push(chat(2))
    await turns()
    ledger.fail(RuntimeError("a bug"))
    await turns()
    [error] = alice.take("message")
    assert error.find("error").find("internal-server-error", ns.STANZA_ERRORS) is not None
    assert slow.server.telemetry.bugs["commit"] == 1
    ledger.accept()
    await slow.settle()
    assert ids(bob) == ["2"]


async def test_a_ledger_that_refuses_at_once(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    def commit(batch: object) -> None:
        raise ZeroDivisionError

    ledger.commit = commit  # type: ignore[assignment,method-assign]
    await alice.send(chat(1))
    [error] = alice.take("message")
    assert error.find("error").find("internal-server-error", ns.STANZA_ERRORS) is not None
    assert bob.take() == []


async def test_messages_are_sent_although_their_session_ends_meanwhile(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    alice.push(ROSTER.format("r"), chat(2))
    await turns()
    wait = slow.server.end_session(alice.session, None)
    assert wait is not None
    await wait
    ledger.accept()
    await turns()
    assert ledger.ids == [["1"], ["2"]]
    ledger.accept()
    await slow.settle()
    assert ids(bob) == ["1", "2"]
    assert alice.take() == []


async def test_the_recipient_may_come_while_the_commit_is_under_way(
    ledger: SlowLedger,
) -> None:
    world = await World.start(ledger=ledger, accounts_in_memory=0)
    alice = await world.login("alice@localhost/phone")
    await world.register("bob@localhost")
    alice.push(chat(1))
    await turns()
    bob = await world.login("bob@localhost/desk")
    ledger.accept()
    await world.settle()
    assert ids(bob) == ["1"]
    await world.stop()


async def test_the_sender_is_paused_and_resumed(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(0))
    alice.push(*(chat(number) for number in range(1, 100)))
    await turns()
    assert alice.paused
    assert bob.paused is False
    while ledger.waiting:
        assert len(ledger.batches[-1].appends) <= 64
        ledger.accept()
        await turns()
    await slow.settle()
    assert not alice.paused
    assert ids(bob) == [str(number) for number in range(100)]
    assert alice.session.flow.handled == 100


class Counting(Feature):
    """Answers <count/> with how much has been handled so far."""

    @handles_nonza("urn:test", "count")
    def count(self, session: object, element: Element) -> None:
        session.host.counted.append(session.flow.handled)  # type: ignore[attr-defined]


async def test_a_nonza_never_waits_and_sees_what_came_before_it() -> None:
    ledger = SlowLedger()
    world = await World.start(ledger=ledger, features=[Counting])
    host = world.server.hosts["localhost"]
    host.counted = []  # type: ignore[attr-defined]
    alice = await world.login("alice@localhost/phone")
    presence = "<presence to='bob@localhost/desk'/>"
    alice.push(presence, "<count xmlns='urn:test'/>", chat(1), "<count xmlns='urn:test'/>", presence)
    assert host.counted == [1, 1]  # type: ignore[attr-defined]
    while ledger.waiting or world.server.supervisor.busy:
        if ledger.waiting:
            ledger.accept()
        await asyncio.sleep(0)
    alice.push("<count xmlns='urn:test'/>")
    assert host.counted == [1, 1, 3]  # type: ignore[attr-defined]
    await world.stop()


async def test_a_message_that_the_ledger_cannot_hold_is_refused_alone(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1), chat(2))
    await turns()
    place = Place("bob@localhost", "e", 1)
    ledger.accept(Refused("too long"), Accepted(places=(place,), time=0, feed=1))
    await slow.settle()
    assert ids(bob) == ["2"]
    [error] = alice.take("message")
    assert error.get("id") == "1"
    assert error.find("error").find("not-acceptable", ns.STANZA_ERRORS) is not None
    assert alice.session.flow.handled == 2


async def test_what_guard_read_and_has_changed_since_sends_the_message_back_to_guard(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    """The block list changes on another node, after guard and before the commit."""
    alice.push(chat(1))
    await turns()
    await slow.stores.blocking.add(bob.jid.bare, (alice.jid.bare,))
    ledger.versions[bob.jid.bare] += 1
    ledger.accept(Stale(bob.jid.bare))
    await slow.settle()
    assert bob.take() == []
    [error] = alice.take("message")
    assert error.find("error").find("service-unavailable", ns.STANZA_ERRORS) is not None


async def test_who_is_stale_for_ever_is_told_to_try_later(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    await turns()
    while ledger.waiting:
        ledger.accept(Stale(bob.jid.bare))
        await turns(40)
    await slow.settle()
    [error] = alice.take("message")
    assert error.find("error").find("resource-constraint", ns.STANZA_ERRORS) is not None
    assert alice.session.flow.handled == 1


async def test_a_repeat_is_accepted_again_and_delivered_once(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    alice.push(chat(1))
    await turns()
    ledger.accept(Accepted(places=(Place("bob@localhost", "e", 1),), time=0, feed=1, repeated=True))
    await slow.settle()
    assert bob.take() == []
    assert alice.take() == []
    assert alice.session.flow.handled == 1


async def test_a_message_that_is_not_stored_waits_for_nobody_before_it_but_its_own_sender(
    slow: World, ledger: SlowLedger, alice: WorldClient, bob: WorldClient
) -> None:
    typing = (
        f"<message to='bob@localhost/desk' type='chat' id='t'><composing xmlns='{ns.CHAT_STATES}'/></message>"
    )
    alice.push(chat(1), typing)
    await turns()
    assert bob.take() == []
    ledger.accept()
    await slow.settle()
    assert ids(bob) == ["1", "t"]
    await alice.send(typing)
    assert ids(bob) == ["t"]
    assert len(ledger.batches) == 1
