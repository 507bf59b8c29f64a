"""Lanes: what one node sends to another in an order, over a bus that loses, doubles and reorders.

Each node has one lane to every other. What is sent on it is numbered, sent again while the bus gives it
back, and taken there once and in its order. A node that does not answer for long breaks the lane: what was
under way is lost, whoever listens is told on both sides, and the next item begins another lane.

Invariants:
- an item is taken after all earlier ones of its lane, and none is taken twice;
- nothing of a lane is taken after something of a later one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import structlog

from tidings.kernel.clock import Clock
from tidings.kernel.cluster import Cluster
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.supervisor import Supervisor
from tidings.ports.bus import InTurn, Ordered

log = structlog.get_logger("tidings.lanes")

SENT_AGAIN_AFTER: Final = 0.2
"""Seconds after which what has come back is sent again."""
MOST_TRIES: Final = 12
"""So often one item is sent before the lane is given up: a quarter of a minute."""

T = TypeVar("T")


class _Outward:
    """The lane to another node."""

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.last = 0


class _Inward:
    """The lane from another node."""

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.next = 1
        self.early: dict[int, Ordered] = {}


class Lanes:
    """The lanes of this node, to all others and from them."""

    def __init__(self, cluster: Cluster, clock: Clock, supervisor: Supervisor) -> None:
        self._cluster = cluster
        self._clock = clock
        self._supervisor = supervisor
        self._outward: dict[str, _Outward] = {}
        self._inward: dict[str, _Inward] = {}
        self._takers: dict[type[Any], Callable[[str, Any], MaybeAwaitable]] = {}
        self.when_broken: list[Callable[[str], object]] = []
        """Called with a node to which, or from which, something was lost."""
        cluster.takes(InTurn, self._take, self._returned)

    def takes(self, kind: type[T], take: Callable[[str, T], MaybeAwaitable]) -> None:
        """Have items of this kind taken by `take(node, item)`."""
        self._takers[kind] = take

    def send(self, node: str, item: Ordered) -> None:
        """Send an item to another node, behind all that was sent to it before; never waits."""
        outward = self._outward.get(node)
        if outward is None:
            outward = self._outward[node] = _Outward(1)
        outward.last += 1
        self._cluster.hand_over(node, InTurn(outward.lane, outward.last, item))

    def _returned(self, node: str, item: InTurn) -> None:
        """Nobody knows whether it has come: it is sent again, and taken there if it has not."""
        outward = self._outward[node]
        if item.lane != outward.lane:
            return
        if item.tries >= MOST_TRIES:
            log.warning("lane_broken", node=node, lost_from=item.number, upto=outward.last)
            self._outward[node] = _Outward(outward.lane + 1)
            self._tell_broken(node)
            return
        again = functools.partial(self._send_again, node, msgspec.structs.replace(item, tries=item.tries + 1))
        self._clock.call_later(SENT_AGAIN_AFTER, again)

    def _send_again(self, node: str, item: InTurn) -> None:
        if item.lane == self._outward[node].lane:
            self._cluster.hand_over(node, item)

    def _tell_broken(self, node: str) -> None:
        for told in self.when_broken:
            told(node)

    def _take(self, node: str, item: InTurn) -> MaybeAwaitable:
        inward = self._inward.get(node)
        if inward is None or item.lane > inward.lane:
            is_broken = inward is not None
            inward = self._inward[node] = _Inward(item.lane)
            if is_broken:
                self._tell_broken(node)
        if item.lane < inward.lane or item.number < inward.next:
            return None
        inward.early[item.number] = item.item
        while (found := inward.early.pop(inward.next, None)) is not None:
            inward.next += 1
            self._handle(node, found)
        return None

    def _handle(self, node: str, item: Ordered) -> None:
        try:
            wait = self._takers[type(item)](node, item)
        except Exception as error:  # noqa: BLE001  # one item, not those behind it
            self._supervisor.report("lane", error)
            return
        if wait is not None:
            self._supervisor.start("lane", until_done(wait))
