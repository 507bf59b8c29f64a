"""Who comes hears everything that is said in his rooms after the answer to whatever he asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.features.rooms.light.stage import BY_MUC, create, people, query, say, texts, user, world
from tests.harness.world import World, WorldClient
from tidings.base.errors import BackendError
from tidings.base.jid import Jid

__all__ = ["world"]

COME = "<presence/>"
ASK = "<iq type='get' id='ask'><ping xmlns='urn:xmpp:ping'/></iq>"


class Gate:
    """Holds back what is read about the rooms of an account while it is shut."""

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self._read = read
        self._is_open = asyncio.Event()
        self._is_open.set()
        self.failure: BackendError | None = None

    def shut(self) -> None:
        self._is_open.clear()

    def open(self) -> None:
        self._is_open.set()

    async def rooms_of(self, *which: Any, **more: Any) -> Any:
        """Read the rooms as they are now, and give them when the gate is open."""
        if self.failure is not None:
            raise self.failure
        found = await self._read(*which, **more)
        await self._is_open.wait()
        return found


@pytest.fixture
def gate(world: World, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(world.stores.ledger.rooms_of)
    monkeypatch.setattr(world.stores.ledger, "rooms_of", gate.rooms_of)
    return gate


async def room_of_two(world: World) -> WorldClient:
    """Give somebody who has made a room with one who is away."""
    [nina] = await people(world, "nina")
    await world.register("omar@localhost")
    await create(nina, user("omar"))
    return nina


async def turns() -> None:
    """Let the event loop turn so often that whatever does not wait for the gate is done."""
    for _ in range(100):
        await asyncio.sleep(0)


def said(client: WorldClient) -> list[str | None]:
    return [text for _, text in texts(client)]


async def test_a_second_device_is_answered_nothing_before_the_rooms_are_known(
    world: World, gate: Gate
) -> None:
    nina = await room_of_two(world)
    devices = [await world.login(f"omar@localhost/{name}") for name in ("phone", "tablet")]
    gate.shut()
    for device in devices:
        device.push(COME, ASK)
    await turns()
    assert [device.take("iq") for device in devices] == [[], []]
    gate.open()
    await world.settle()
    assert [[each.get("id") for each in device.take("iq")] for device in devices] == [["ask"], ["ask"]]
    await nina.send(say("hello"))
    assert [said(device) for device in devices] == [["hello"], ["hello"]]


@pytest.mark.parametrize("is_back", [False, True])
async def test_who_leaves_a_room_while_his_rooms_are_read_is_not_in_it(
    world: World, gate: Gate, *, is_back: bool
) -> None:
    nina = await room_of_two(world)
    phone = await world.login("omar@localhost/phone")
    gate.shut()
    phone.push(COME)
    await turns()
    for affiliation in ("none", "member") if is_back else ("none",):
        nina.push(query("set", "affiliations", user("omar", affiliation)))
        await turns()
    gate.open()
    await world.settle()
    light = world.server.hosts[Jid(BY_MUC).domain].kind.light  # type: ignore[attr-defined]
    there = sorted(account.jid.local for account in light.online.of(Jid(BY_MUC)))
    assert there == (["nina", "omar"] if is_back else ["nina"])
    phone.take()
    await nina.send(say("hello"))
    assert said(phone) == (["hello"] if is_back else [])


async def test_a_device_whose_rooms_cannot_be_read_is_sent_away(world: World, gate: Gate) -> None:
    nina = await room_of_two(world)
    phone = await world.login("omar@localhost/phone")
    gate.failure = BackendError("the database is away")
    await phone.send(COME)
    assert phone.session.ended
    gate.failure = None
    phone = await world.login("omar@localhost/phone")
    await phone.send(COME)
    await nina.send(say("hello"))
    assert said(phone) == ["hello"]
