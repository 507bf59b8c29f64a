"""Nodes: two servers over one database, with stores of their own, one table of sessions and one bus.

Without a URL both have the same stores in memory.

nodes = await Nodes.start(url, loss=0.3, delay=0.2)
alice = await nodes.one.online("alice@localhost/phone")
bob = await nodes.two.online("bob@localhost/desk")
alice.push("<message to='bob@localhost' type='chat'><body>hi</body></message>")
await nodes.run(5)
await nodes.stop()
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from tests.harness.clock import VirtualClock
from tests.harness.unreliable_bus import UnreliableHub
from tests.harness.world import World, memory_stores
from tidings.adapters.memory.sessions import MemorySessions, MemorySessionTable
from tidings.adapters.sql import open_stores
from tidings.app.hosts import ServiceKind
from tidings.base.jid import Jid
from tidings.ports.sessions import Bound, BoundSession

T = TypeVar("T")
STEP = 0.02
TURNS = 100
"""Turns of the event loop after which time passes for who waits for frames that are late or lost."""


class SlowRegistry:
    """A registry whose answers all have to be waited for, as those that are in no cache."""

    def __init__(self, registry: MemorySessions) -> None:
        self._registry = registry
        self.node = registry.node
        self.is_alone = registry.is_alone

    @property
    def on_change(self) -> Callable[[Jid], object] | None:
        return self._registry.on_change

    @on_change.setter
    def on_change(self, told: Callable[[Jid], object] | None) -> None:
        self._registry.on_change = told

    async def claim(self, account: Jid, resource: str, bound: BoundSession) -> BoundSession | None:
        await asyncio.sleep(0)
        before = self._registry.claim(account, resource, bound)
        await asyncio.sleep(0)
        return before

    async def hold(self, entity: Jid, bound: BoundSession) -> BoundSession:
        await asyncio.sleep(0)
        return self._registry.hold(entity, bound)

    async def release(self, account: Jid, resource: str, id: str) -> bool:  # noqa: A002
        await asyncio.sleep(0)
        return self._registry.release(account, resource, id)

    async def update(self, account: Jid, resource: str, bound: BoundSession) -> bool:
        await asyncio.sleep(0)
        return self._registry.update(account, resource, bound)

    async def of(self, account: Jid) -> Bound:
        await asyncio.sleep(0)
        bound = self._registry.of(account)
        await asyncio.sleep(0)
        return bound

    async def nodes_of(self, account: Jid) -> frozenset[str]:
        await asyncio.sleep(0)
        return self._registry.nodes_of(account)


def _never(_name: str, work: Coroutine[object, object, None]) -> None:
    """Begin nothing more."""
    work.close()


class Nodes:
    """A server of two nodes in one process, on one clock."""

    def __init__(self, clock: VirtualClock, hub: UnreliableHub) -> None:
        self.clock = clock
        self.hub = hub
        self.table = MemorySessionTable()
        self.worlds: list[World] = []

    @classmethod
    async def start(
        cls,
        url: str | None = None,
        *,
        loss: float = 0.0,
        delay: float = 0.0,
        seed: int = 0,
        stale: float = 0.0,
        is_slow: bool = False,
        names: Sequence[str] = ("one", "two"),
        services: Iterable[ServiceKind] = (),
        options: Mapping[str, msgspec.Struct] | None = None,
    ) -> Nodes:
        """Start all; a node hears `stale` seconds late what the others do with sessions.

        `is_slow`: whoever asks the registry has to wait for the answer.
        """
        clock = VirtualClock()
        nodes = cls(clock, UnreliableHub(clock, seed=seed, loss=loss, delay=delay))
        table = nodes.table
        shared = await memory_stores(clock) if url is None else None
        for name in names:
            registry = table.join(name)
            world = await World.start(
                ("localhost",),
                stores=shared or await open_stores(url, readers=1),
                clock=clock,
                registry=SlowRegistry(registry) if is_slow else registry,
                bus=nodes.hub.hub.join(name),
                services=services,
                options=options,
            )
            world.settle = nodes.settle  # type: ignore[method-assign]  # what one does, the other may have to
            nodes.worlds.append(world)
            if stale:
                told = registry.on_change
                registry.on_change = lambda jid, told=told: clock.call_later(stale, lambda: told(jid))
        return nodes

    @property
    def one(self) -> World:
        return self.worlds[0]

    @property
    def two(self) -> World:
        return self.worlds[1]

    async def settle(self) -> None:
        """Wait until neither server has anything left to do before more time passes."""
        quiet = turns = 0
        while quiet < 5:
            self.clock.advance(0)
            await asyncio.sleep(0)
            busy = any(world.server.supervisor.busy for world in self.worlds)
            quiet = 0 if busy else quiet + 1
            if busy and (self.hub.delay or self.hub.loss):
                turns += 1
                if turns % TURNS == 0:  # somebody may be waiting for another node's answer
                    await asyncio.sleep(0.001)
                    self.clock.advance(STEP)

    async def run(self, seconds: float) -> None:
        """Let time pass in small steps, and wait at each for what it causes."""
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            await self.settle()

    async def wait_for(self, work: Coroutine[object, object, T]) -> T:
        """Let time pass until something is done that waits for other nodes."""
        task = asyncio.get_running_loop().create_task(work)
        while not task.done():
            await self.run(STEP)
        return task.result()

    async def kill(self, world: World) -> None:
        """End a node without a word: its claims are free, and nobody tells the others more than that."""
        self.worlds.remove(world)
        name = world.server._manager.node
        self.hub.hub.leave(name)
        await world.server.supervisor.finish(0)
        world.server.supervisor.start = _never  # type: ignore[method-assign,assignment]  # it is dead
        if self.worlds and world.stores is not self.worlds[0].stores:
            await world.stores.close()
        self.table.leave(name)
        await self.settle()

    async def stop(self) -> None:
        for world in self.worlds:
            await world.stop()
