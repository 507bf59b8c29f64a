"""Domains that one node adds, closes and removes are so on the other, too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.nodes import Nodes
from tests.harness.world import World
from tidings.base.errors import StreamError
from tidings.operations.all import CATALOGUE


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    started = await Nodes.start()
    yield started
    await started.stop()


async def change(world: World, name: str) -> None:
    await CATALOGUE.call(world.context, "domain", name, {"domain": "new.example"})
    await world.settle()


async def test_a_domain_that_one_node_adds_takes_log_ins_on_the_other(nodes: Nodes) -> None:
    await change(nodes.one, "add")
    alice = await nodes.one.online("alice@new.example/phone")
    bob = await nodes.two.online("bob@new.example/desk")
    await alice.send("<message to='bob@new.example' type='chat'><body>hello</body></message>")
    [message] = bob.take("message")
    assert (message.get("from"), message.text_of("body")) == ("alice@new.example/phone", "hello")


async def test_what_one_node_closes_is_closed_on_the_other_until_it_is_opened_again(nodes: Nodes) -> None:
    await change(nodes.one, "add")
    bob = await nodes.two.online("bob@new.example/desk")
    await change(nodes.one, "disable")
    assert bob.closed
    assert bob.error is not None
    assert bob.error.condition == "host-gone"
    with pytest.raises(StreamError):
        await nodes.two.login("bob@new.example/desk")
    await change(nodes.two, "enable")
    await nodes.one.login("bob@new.example/phone")
    await nodes.two.login("bob@new.example/desk")


async def test_what_one_node_removes_is_served_by_none(nodes: Nodes) -> None:
    await change(nodes.one, "add")
    bob = await nodes.two.online("bob@new.example/desk")
    await change(nodes.one, "remove")
    assert bob.closed
    assert "new.example" not in nodes.two.server.hosts
    assert "new.example" not in nodes.one.server.hosts
