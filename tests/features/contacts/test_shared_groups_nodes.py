"""Shared groups on two nodes: what one changes, the sessions of the other are told."""

from collections.abc import AsyncIterator

import pytest

from tests.features.contacts.people import interested, pushed, seen, show_roster
from tests.harness.nodes import Nodes
from tidings.operations.all import CATALOGUE

ALICE, BOB = "alice@localhost", "bob@localhost"


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    started = await Nodes.start()
    yield started
    await started.stop()


async def call(nodes: Nodes, operation: str, /, **arguments: object) -> None:
    context = nodes.one.context
    await CATALOGUE.call(context, "group", operation, {"domain": "localhost", "group": "sales", **arguments})
    await nodes.settle()


async def test_members_on_other_nodes_are_told_and_see_each_other(nodes: Nodes) -> None:
    alice, bob = await interested(nodes.one, f"{ALICE}/a"), await interested(nodes.two, f"{BOB}/b")
    other = await interested(nodes.one, f"{BOB}/c")
    for client in (alice, bob, other):
        client.take()
    await call(nodes, "create")
    await call(nodes, "add", users=[ALICE, BOB])
    assert [item.jid for item in pushed(alice)] == [BOB]
    assert [item.jid for item in pushed(bob)] == [item.jid for item in pushed(other)] == [ALICE]
    assert sorted(seen(alice)) == [("", f"{BOB}/b"), ("", f"{BOB}/c")]
    assert seen(bob) == seen(other) == [("", f"{ALICE}/a")]
    await call(nodes, "drop", users=[ALICE])
    assert [item.subscription.value for item in pushed(bob)] == ["remove"]
    assert sorted(seen(alice)) == [("unavailable", f"{BOB}/b"), ("unavailable", f"{BOB}/c")]
    assert seen(bob) == seen(other) == [("unavailable", f"{ALICE}/a")]


async def test_the_other_node_knows_the_group_when_somebody_logs_in_there(nodes: Nodes) -> None:
    for user in (ALICE, BOB):
        await nodes.one.register(user)
    await call(nodes, "create")
    await call(nodes, "add", users=[ALICE, BOB])
    assert [item.jid for item in await show_roster(await nodes.two.login(f"{ALICE}/a"))] == [BOB]
