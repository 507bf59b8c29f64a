"""The contract of the bus port: what arrives, in which frames, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest

from tests.harness.clock import VirtualClock
from tests.harness.unreliable_bus import UnreliableHub
from tidings.adapters.memory.bus import MemoryBusHub
from tidings.ports.bus import (
    ANSWERED_WITHIN,
    Bus,
    Changed,
    Delivery,
    EndSessions,
    Item,
    Missed,
    NoAnswer,
    ShowPresence,
    ToDevices,
    ToResource,
)


class Node:
    """A receiver that remembers what came."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.frames: list[tuple[str, tuple[Item, ...]]] = []
        self.returned: list[tuple[str, tuple[Item, ...]]] = []
        self.asked: list[tuple[Item, Callable[[], object]]] = []
        self.changes: list[Changed] = []
        bus.attach(self)

    def take(self, sender: str, items: Sequence[Item]) -> None:
        self.frames.append((sender, tuple(items)))

    def undelivered(self, node: str, items: Sequence[Item]) -> None:
        self.returned.append((node, tuple(items)))

    def answer(self, question: Item, done: Callable[[], object]) -> None:
        self.asked.append((question, done))

    def changed(self, change: Changed) -> None:
        self.changes.append(change)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def missed(number: int) -> Missed:
    return Missed("alice@localhost", number)


@pytest.fixture(params=["memory"])
def nodes(request: pytest.FixtureRequest) -> tuple[Node, Node]:
    hub = MemoryBusHub()
    return Node(hub.join("one")), Node(hub.join("two"))


async def test_what_is_handed_over_in_one_turn_comes_in_one_frame(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    for number in range(3):
        one.bus.hand_over("two", missed(number))
    assert two.frames == []
    await until(lambda: two.frames)
    assert two.frames == [("one", (missed(0), missed(1), missed(2)))]
    await until(lambda: not one.bus.waiting)
    assert one.returned == []


async def test_a_call_returns_when_the_other_node_is_done(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    call = asyncio.ensure_future(one.bus.call("two", missed(1)))
    await until(lambda: two.asked)
    [(question, done)] = two.asked
    assert question == missed(1)
    assert not call.done()
    done()
    await asyncio.wait_for(call, 5)


async def test_what_is_published_comes_to_all_others(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    one.bus.publish(Changed("alice@localhost", "blocking.blocked"))
    await until(lambda: two.changes)
    assert two.changes == [Changed("alice@localhost", "blocking.blocked")]
    assert one.changes == []


async def test_a_limit_holds_for_what_waits_and_the_rest_comes_back() -> None:
    hub = MemoryBusHub()
    one, two = Node(hub.join("one", limit=2)), Node(hub.join("two"))
    for number in range(3):
        one.bus.hand_over("two", missed(number))
    assert one.bus.waiting == 2
    await until(lambda: one.returned and two.frames)
    assert one.returned == [("two", (missed(2),))]
    assert two.frames == [("one", (missed(0), missed(1)))]


async def test_what_is_lost_comes_back_and_a_call_to_nobody_fails() -> None:
    clock = VirtualClock()
    hub = UnreliableHub(clock, loss=1.0)
    one, two = Node(hub.hub.join("one")), Node(hub.hub.join("two"))
    one.bus.hand_over("two", missed(1))
    call = asyncio.ensure_future(one.bus.call("two", missed(2)))
    await until(lambda: hub.lost == 2)
    clock.advance(ANSWERED_WITHIN)
    assert one.returned == [("two", (missed(1),))]
    assert one.bus.waiting == 0
    assert two.frames == two.asked == []
    with pytest.raises(NoAnswer):
        await call


async def test_a_node_that_has_left_gets_nothing() -> None:
    clock = VirtualClock()
    hub = UnreliableHub(clock)
    one, two = Node(hub.hub.join("one")), Node(hub.hub.join("two"))
    hub.hub.leave("two")
    one.bus.hand_over("two", missed(1))
    await asyncio.sleep(0)
    clock.advance(ANSWERED_WITHIN)
    assert two.frames == []
    assert one.returned == [("two", (missed(1),))]


@pytest.mark.parametrize(
    "item",
    [
        Delivery("alice@localhost", b"<message/>", 7, "epoch", 1_000, True),
        Missed("alice@localhost", 3),
        ToResource(b"<iq/>"),
        ToDevices("alice@localhost", "available", b"<presence/>"),
        ShowPresence("alice@localhost", "bob@localhost/phone"),
        EndSessions("alice@localhost", "conflict", "taken", "phone", "claim"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_items_are_values_that_can_be_written(item: Item) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(item), type=Item) == item
