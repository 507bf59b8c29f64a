"""An account is renamed on one of two nodes: who is connected to the other one notices no difference."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.features.contacts.people import befriend, interested, pushed
from tests.harness.nodes import Nodes
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem

ALICE, BOB, SMITH = Jid("alice@localhost"), Jid("bob@localhost"), Jid("alice.smith@localhost")


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    started = await Nodes.start()
    yield started
    await started.stop()


async def test_sessions_on_other_nodes_end_and_contacts_there_are_told(nodes: Nodes) -> None:
    await befriend(nodes.one, ALICE, BOB)
    alice = await interested(nodes.two, f"{ALICE}/phone")
    bob = await interested(nodes.two, f"{BOB}/desk")
    bob.take()
    context = nodes.one.context
    answer = await CATALOGUE.call(context, "account", "rename", {"user": ALICE, "to": SMITH})
    await nodes.settle()
    assert answer.sessions_ended == 1
    assert alice.error is not None
    assert alice.error.text == f"the account has another address now: {SMITH}"
    assert pushed(bob) == [
        RosterItem(ALICE, subscription=ItemSubscription.REMOVE),
        RosterItem(SMITH, subscription=ItemSubscription.BOTH),
    ]
    bob.take()
    alice = await nodes.two.login(f"{SMITH}/phone")
    await alice.send("<presence/>")
    await nodes.settle()
    assert [each.get("from") for each in bob.take("presence")] == [f"{SMITH}/phone"]
    await bob.send(f"<message to='{SMITH}' type='chat'><body>hello</body></message>")
    await nodes.settle()
    [message] = alice.take("message")
    assert message.find("body", ns.CLIENT).text == "hello"
