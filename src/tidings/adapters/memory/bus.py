"""The bus between the nodes of one process; a server that is alone is the only node on its own.

Frames go through `carry`, which by default lets each arrive in the next turn of the event loop. Tests put
another one in its place, which delays, drops or reorders them.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Protocol

from tidings.base.ids import token
from tidings.ports.bus import ANSWERED_WITHIN, WAITING_ITEMS, Changed, Item, NoAnswer, Receiver


class Cancellable(Protocol):
    """A timer."""

    def cancel(self) -> None:
        """Make it not happen."""
        ...


CallLater = Callable[[float, Callable[[], object]], Cancellable]
Carry = Callable[[Callable[[], None]], None]
"""Has one frame, or one answer, arrive: calls it once, soon; or never, where it is lost."""


def _call_later(seconds: float, function: Callable[[], object]) -> Cancellable:
    return asyncio.get_running_loop().call_later(seconds, function)


def _carry(arrive: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(arrive)


class MemoryBusHub:
    """What joins the nodes of one process."""

    def __init__(self, carry: Carry = _carry, call_later: CallLater = _call_later) -> None:
        self.carry = carry
        self.call_later = call_later
        self.nodes: dict[str, MemoryBus] = {}

    def join(self, node: str, limit: int = WAITING_ITEMS) -> MemoryBus:
        """Give a node its end; `limit` items wait for each other node at most."""
        return MemoryBus(self, node, limit)

    def leave(self, node: str) -> None:
        """Take a node off the bus, as when its process is killed."""
        self.nodes.pop(node, None)


class _Peer:
    """What waits for one other node."""

    __slots__ = ("queue", "unanswered", "waiting")

    def __init__(self) -> None:
        self.queue: list[Item] = []
        self.unanswered: dict[int, tuple[tuple[Item, ...], Cancellable]] = {}
        self.waiting = 0


class MemoryBus:
    """One node's end of the bus."""

    def __init__(self, hub: MemoryBusHub | None = None, node: str = "", limit: int = WAITING_ITEMS) -> None:
        self._hub = MemoryBusHub() if hub is None else hub
        self._node = node or token(6)
        self._hub.nodes[self._node] = self
        self._limit = limit
        self.receiver: Receiver | None = None
        """Who gets what comes to this node."""
        self._peers: dict[str, _Peer] = {}
        self._is_flushing = False
        self._number = 0
        self._calls: dict[int, asyncio.Future[None]] = {}

    def attach(self, receiver: Receiver) -> None:
        """Give what comes to this receiver from now on."""
        self.receiver = receiver

    @property
    def waiting(self) -> int:
        """How many items wait to be sent or answered."""
        return sum(peer.waiting for peer in self._peers.values())

    # --- handing over

    def hand_over(self, node: str, item: Item) -> None:
        """Put an item into the frame of this turn; what is too much comes back."""
        peer = self._peers.setdefault(node, _Peer())
        if peer.waiting >= self._limit:
            asyncio.get_running_loop().call_soon(self._give_back, node, (item,))
            return
        peer.queue.append(item)
        peer.waiting += 1
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        for node, peer in list(self._peers.items()):
            if peer.queue:
                frame, peer.queue = tuple(peer.queue), []
                self._number += 1
                self._send(node, peer, self._number, frame)

    def _send(self, node: str, peer: _Peer, number: int, frame: tuple[Item, ...]) -> None:
        timer = self._hub.call_later(ANSWERED_WITHIN, lambda: self._lost(node, number))
        peer.unanswered[number] = frame, timer

        def arrive() -> None:
            other = self._hub.nodes.get(node)
            if other is not None and other.receiver is not None:
                other.receiver.take(self._node, frame)
                self._hub.carry(lambda: self._answered(node, number))

        self._hub.carry(arrive)

    def _answered(self, node: str, number: int) -> None:
        peer = self._peers[node]
        found = peer.unanswered.pop(number, None)
        if found is not None:
            frame, timer = found
            timer.cancel()
            peer.waiting -= len(frame)

    def _lost(self, node: str, number: int) -> None:
        peer = self._peers[node]
        found = peer.unanswered.pop(number, None)
        if found is not None:
            peer.waiting -= len(found[0])
            self._give_back(node, found[0])

    def _give_back(self, node: str, items: tuple[Item, ...]) -> None:
        if self.receiver is not None:
            self.receiver.undelivered(node, items)

    # --- asking

    async def call(self, node: str, question: Item) -> None:
        """Have another node do something, and return when it is done."""
        self._number += 1
        number = self._number
        waiting = self._calls[number] = asyncio.get_running_loop().create_future()
        timer = self._hub.call_later(ANSWERED_WITHIN, lambda: self._give_up(number, node))
        self._hub.carry(lambda: self._ask(node, number, question))
        try:
            await waiting
        finally:
            timer.cancel()
            del self._calls[number]

    def _ask(self, node: str, number: int, question: Item) -> None:
        other = self._hub.nodes.get(node)
        if other is not None and other.receiver is not None:
            other.receiver.answer(question, lambda: self._hub.carry(lambda: self._done(number)))

    def _done(self, number: int) -> None:
        waiting = self._calls.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _give_up(self, number: int, node: str) -> None:
        waiting = self._calls.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_exception(NoAnswer(f"node {node} does not answer"))

    # --- telling all

    def publish(self, change: Changed) -> None:
        """Tell all other nodes."""
        for node, other in self._hub.nodes.items():
            if node != self._node:
                self._hub.carry(functools.partial(_tell, other, change))


def _tell(bus: MemoryBus, change: Changed) -> None:
    if bus.receiver is not None:
        bus.receiver.changed(change)
