"""The contract of the sessions port: claims, and what other nodes see of them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import pytest

from tidings.adapters.memory.sessions import MemorySessions, MemorySessionTable
from tidings.base.jid import Jid
from tidings.ports.sessions import WHOLE, BoundSession, SessionRegistry, beside

ALICE = Jid("alice@localhost")
ROOM = Jid("tea@conference.localhost")
T = TypeVar("T")


async def result(answer: T | Awaitable[T]) -> T:
    return await answer if isinstance(answer, Awaitable) else answer


@pytest.fixture(params=["memory"])
def nodes(request: pytest.FixtureRequest) -> tuple[SessionRegistry, SessionRegistry]:
    """The registries of two nodes of one server."""
    table = MemorySessionTable()
    return table.join("one"), table.join("two")


def bound(node: str, claim: str, priority: int | None = None) -> BoundSession:
    return BoundSession(node, claim, priority)


async def test_an_account_begins_without_sessions(nodes: tuple[SessionRegistry, SessionRegistry]) -> None:
    one, _ = nodes
    assert await result(one.of(ALICE)) == {}
    assert await result(one.nodes_of(ALICE)) == frozenset()


async def test_every_node_sees_what_each_has_claimed(nodes: tuple[SessionRegistry, SessionRegistry]) -> None:
    one, two = nodes
    assert await result(one.claim(ALICE, "phone", bound("one", "a"))) is None
    assert await result(two.claim(ALICE, "desk", bound("two", "b", 5))) is None
    for registry in nodes:
        found = await result(registry.of(ALICE))
        assert found == {"phone": bound("one", "a"), "desk": bound("two", "b", 5)}
        assert await result(registry.nodes_of(ALICE)) == {"one", "two"}
    assert (one.node, two.node) == ("one", "two")


async def test_who_claims_a_resource_is_told_whom_it_is_taken_from(
    nodes: tuple[SessionRegistry, SessionRegistry],
) -> None:
    one, two = nodes
    await result(one.claim(ALICE, "phone", bound("one", "a")))
    assert await result(two.claim(ALICE, "phone", bound("two", "b"))) == bound("one", "a")
    assert await result(one.of(ALICE)) == {"phone": bound("two", "b")}
    assert await result(one.nodes_of(ALICE)) == {"two"}


async def test_a_late_release_or_update_changes_nothing(
    nodes: tuple[SessionRegistry, SessionRegistry],
) -> None:
    one, two = nodes
    await result(one.claim(ALICE, "phone", bound("one", "a")))
    await result(two.claim(ALICE, "phone", bound("two", "b")))
    assert not await result(one.update(ALICE, "phone", bound("one", "a", 9)))
    assert not await result(one.release(ALICE, "phone", "a"))
    assert await result(one.of(ALICE)) == {"phone": bound("two", "b")}
    assert await result(two.release(ALICE, "phone", "b"))
    assert not await result(two.release(ALICE, "phone", "b"))
    assert await result(one.of(ALICE)) == {}


async def test_a_priority_comes_and_goes(nodes: tuple[SessionRegistry, SessionRegistry]) -> None:
    one, two = nodes
    await result(one.claim(ALICE, "phone", bound("one", "a")))
    assert await result(one.update(ALICE, "phone", bound("one", "a", 3)))
    assert (await result(two.of(ALICE)))["phone"].priority == 3
    assert await result(one.update(ALICE, "phone", bound("one", "a")))
    assert (await result(two.of(ALICE)))["phone"].priority is None


async def test_a_node_that_has_read_an_account_is_told_of_changes(
    nodes: tuple[SessionRegistry, SessionRegistry],
) -> None:
    one, two = nodes
    told: list[object] = []
    two.on_change = told.append
    await result(two.of(ALICE))
    await result(one.claim(ALICE, "phone", bound("one", "a")))
    assert told == [ALICE]
    await result(two.of(ALICE))
    await result(one.update(ALICE, "phone", bound("one", "a", 1)))
    assert told == [ALICE, ALICE]
    await result(two.of(ALICE))
    await result(one.release(ALICE, "phone", "a"))
    assert told == [ALICE, ALICE, ALICE]


async def test_what_was_read_does_not_change_under_its_reader(
    nodes: tuple[SessionRegistry, SessionRegistry],
) -> None:
    one, two = nodes
    await result(one.claim(ALICE, "phone", bound("one", "a")))
    before = await result(two.of(ALICE))
    await result(one.release(ALICE, "phone", "a"))
    assert before == {"phone": bound("one", "a")}


def test_a_server_of_one_node_is_alone_and_one_that_shares_a_table_is_not(
    nodes: tuple[SessionRegistry, SessionRegistry],
) -> None:
    assert MemorySessions().is_alone
    assert not any(registry.is_alone for registry in nodes)


async def test_what_lives_on_one_node_is_held_by_who_asks_first(
    nodes: tuple[SessionRegistry, SessionRegistry],
) -> None:
    one, two = nodes
    told: list[Jid] = []
    two.on_change = told.append
    assert await result(one.hold(ROOM, bound("one", "a"))) == bound("one", "a")
    assert told == [ROOM]
    assert await result(two.hold(ROOM, bound("two", "b"))) == bound("one", "a")
    assert await result(one.hold(ROOM, bound("one", "c"))) == bound("one", "a")
    assert (await result(two.of(ROOM)))[WHOLE] == bound("one", "a")
    assert not await result(two.release(ROOM, WHOLE, "b"))
    assert await result(one.release(ROOM, WHOLE, "a"))
    assert await result(two.hold(ROOM, bound("two", "b"))) == bound("two", "b")


async def test_who_holds_something_is_apart_from_who_has_sessions_for_it(
    nodes: tuple[SessionRegistry, SessionRegistry],
) -> None:
    one, two = nodes
    await result(two.claim(ROOM, beside("two"), bound("two", "m")))
    assert await result(one.hold(ROOM, bound("one", "a"))) == bound("one", "a")
    assert await result(one.of(ROOM)) == {WHOLE: bound("one", "a"), beside("two"): bound("two", "m")}


async def test_what_a_dead_node_has_claimed_is_free() -> None:
    table = MemorySessionTable()
    one, two = table.join("one"), table.join("two")
    told: list[Jid] = []
    two.on_change = told.append
    one.claim(ALICE, "phone", bound("one", "a"))
    two.claim(ALICE, "desk", bound("two", "b"))
    one.hold(ROOM, bound("one", "c"))
    told.clear()
    table.leave("one")
    assert sorted(told) == sorted([ALICE, ROOM])
    assert two.of(ALICE) == {"desk": bound("two", "b")}
    assert two.hold(ROOM, bound("two", "d")) == bound("two", "d")
