"""Seats: on which node an entity lives that lives on one alone, as a room with its occupants does.

Whoever is asked something of such an entity first takes its seat; the others pass on to that node what they
are asked, and it answers who has asked. An entity that nobody is in, and of which nothing was asked for a
while, has no seat. When a node dies, its seats are free.

Invariants:
- what is said to an entity is dealt with by the node that has its seat, and by no other: a seat is taken
  together with another version of the entity's archive, so that what an earlier owner planned is stale;
- what one sender passes on is dealt with in its order, since each waits for the answer to the one before.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Mapping
from typing import Final, Protocol

import msgspec
import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.clock import Clock
from tidings.kernel.host import Host
from tidings.kernel.lanes import Lanes
from tidings.kernel.session_manager import SessionManager, answered, read, until_told
from tidings.kernel.supervisor import Supervisor
from tidings.ports.bus import ForOwner, Handled, WorkForOwner
from tidings.ports.ledger import Ledger
from tidings.ports.sessions import WHOLE, Bound, BoundSession, SessionRegistry
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.seats")

IDLE_SECONDS: Final = 60.0
"""A seat that nobody needs is given up after this time, and before twice of it."""
LOST_AFTER: Final = 3.0
"""Seconds after which nobody waits any more for the answer of an owner who has gone."""


class Living(Protocol):
    """Who keeps what lives in the entities of a host; all of it is of this node."""

    def is_live(self, entity: Jid) -> bool:
        """Tell whether an entity has to keep its seat: somebody is in it, or it is being changed."""
        ...

    def end(self, entity: Jid) -> None:
        """Let nothing live in an entity any more: its seat is another node's."""
        ...


class Desk(Protocol):
    """The router, as it takes what other nodes pass on."""

    hosts: dict[str, Host]

    async def take_passed(self, stanza: Stanza, item: ForOwner) -> Handled:
        """Deal with a stanza, and tell what became of it."""
        ...


class Seats:
    """The seats of this node, and the way to those of others."""

    def __init__(
        self,
        registry: SessionRegistry,
        sessions: SessionManager,
        lanes: Lanes,
        desk: Desk,
        ledger: Ledger | None,
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self.node = registry.node
        self.living: dict[str, Living] = {}
        """By domain: the hosts whose entities live on one node each."""
        self.doors: set[str] = set()
        """These domains, and others whose addresses stand for such entities."""
        self.answered_anywhere: set[tuple[str, str]] = set()
        """The payloads of requests that every node answers, from the archives."""
        self._registry = registry
        self._sessions = sessions
        self._lanes = lanes
        self._desk = desk
        self._ledger = ledger
        self._clock = clock
        self._supervisor = supervisor
        self._held: dict[Jid, str] = {}
        self._used: set[Jid] = set()
        self._taking: dict[Jid, asyncio.Lock] = {}
        self._passed: dict[int, tuple[asyncio.Future[Handled], Jid, str]] = {}
        self._count = 0
        self._is_sweeping = False
        sessions.watchers.append(self._changed)
        lanes.takes(ForOwner, self._take)
        lanes.takes(Handled, self._take_answer)
        lanes.when_broken.append(self._lost)

    # --- whose an entity is

    def is_here(self, entity: Jid) -> bool:
        """Tell whether this node has the seat of an entity."""
        if entity in self._held:
            self._used.add(entity)
            return True
        return False

    async def owner_of(self, entity: Jid, *, takes: bool = True) -> str | None:
        """Give the other node that has the seat of an entity; None where it is this one.

        Where none has, this one takes it, if `takes`. Raises `BackendError`.
        """
        if self.is_here(entity):
            return None
        if not takes:
            held = (await answered(self._registry.of(entity))).get(WHOLE)
            return None if held is None or held.node == self.node else held.node
        lock = self._taking.setdefault(entity, asyncio.Lock())
        try:
            async with lock:
                return None if self.is_here(entity) else await self._take_seat(entity)
        finally:
            if not lock.locked():
                self._taking.pop(entity, None)

    async def _take_seat(self, entity: Jid) -> str | None:
        held = await answered(self._registry.hold(entity, BoundSession(self.node, token(9))))
        if held.node != self.node:
            return held.node
        host = self._desk.hosts[entity.domain]
        try:
            if self._ledger is not None and await host.kind.exists(entity):
                await self._ledger.bump_version(entity)
            known = host.directory.get(entity)
            if known is None or not host.directory.is_pinned(entity):
                host.directory.forget(entity)
            else:
                await host.directory.reload(known, "")
        except BaseException:
            self._release(entity, held.id)
            raise
        self._held[entity] = held.id
        self._used.add(entity)
        self._sweep_later()
        log.info("seat_taken", entity=entity.text)
        return None

    async def confirm(self, entity: Jid) -> None:
        """Find out whether the seat is still this node's; asked when what is stored is read again."""
        if entity in self._held:
            self._note(entity, await answered(self._registry.of(entity)))

    def _changed(self, entity: Jid) -> None:
        """Another node has taken a seat, or given it up."""
        if entity.domain not in self.living:
            return
        if entity in self._held:
            bound = self._registry.of(entity)
            if isinstance(bound, Mapping):
                self._note(entity, bound)
            else:
                self._supervisor.start("seat", self._note_later(entity, bound))
        if any(jid == entity for _, jid, _ in self._passed.values()):
            self._clock.call_later(LOST_AFTER, functools.partial(self._look_for_owner_soon, entity))

    async def _note_later(self, entity: Jid, bound: Awaitable[Bound]) -> None:
        try:
            self._note(entity, await bound)
        except BackendError as error:
            log.error("registry_unreachable", reason=str(error))

    def _note(self, entity: Jid, bound: Bound) -> None:
        held, mine = bound.get(WHOLE), self._held.get(entity)
        if mine is not None and (held is None or held.id != mine):
            log.warning("seat_lost", entity=entity.text, node="" if held is None else held.node)
            del self._held[entity]
            self.living[entity.domain].end(entity)

    # --- seats that nobody needs

    def _sweep_later(self) -> None:
        if not self._is_sweeping:
            self._is_sweeping = True
            self._clock.call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._is_sweeping = False
        for entity in list(self._held):
            living = self.living.get(entity.domain)
            if entity not in self._used and (living is None or not living.is_live(entity)):
                self.give_up(entity)
        self._used.clear()
        if self._held:
            self._sweep_later()

    def give_up(self, entity: Jid) -> None:
        """Let another node have the seat of an entity at once; nothing happens where this one has it not."""
        claim = self._held.pop(entity, None)
        if claim is not None:
            self._release(entity, claim)

    def _release(self, entity: Jid, claim: str) -> None:
        answer = self._registry.release(entity, WHOLE, claim)
        if not isinstance(answer, bool):
            self._supervisor.start("seat", until_told(answer))

    # --- a worker of the server

    async def start(self) -> None:
        """Begin with no seat."""

    def wind_down(self) -> None:
        """Keep the seats while the sessions of this node end, and leave what they are in."""

    async def stop(self) -> None:
        """Give up all seats: those who are in the entities from other nodes are told by their own."""
        for entity in list(self._held):
            self.give_up(entity)

    # --- passing on

    async def pass_on(self, node: str, entity: Jid, item: ForOwner | WorkForOwner) -> Handled:
        """Have the owner deal with something; raises `recipient-unavailable` where nobody knows if it has."""
        self._count += 1
        item = msgspec.structs.replace(item, pass_id=self._count)
        waiting: asyncio.Future[Handled] = asyncio.get_running_loop().create_future()
        self._passed[item.pass_id] = waiting, entity, node
        self._lanes.send(node, item)
        try:
            return await waiting
        finally:
            del self._passed[item.pass_id]

    def _take(self, node: str, item: ForOwner) -> Awaitable[None]:
        return self._handle(node, item)

    async def _handle(self, node: str, item: ForOwner) -> None:
        stanza, answer = read(item.stanza), Handled(item.pass_id, "internal-server-error")
        if stanza.sender is not None and stanza.sender.domain in self._desk.hosts:
            self._sessions.hear(stanza.sender, node)
        try:
            answer = await self._desk.take_passed(stanza, item)
        finally:
            self._lanes.send(node, answer)

    def _take_answer(self, _node: str, item: Handled) -> None:
        found = self._passed.get(item.pass_id)
        if found is not None and not found[0].done():
            found[0].set_result(item)

    def _lost(self, node: str) -> None:
        for waiting, _, owner in self._passed.values():
            if owner == node:
                _give_up(waiting)

    def _look_for_owner_soon(self, entity: Jid) -> None:
        self._supervisor.start("seat", self._look_for_owner(entity))

    async def _look_for_owner(self, entity: Jid) -> None:
        """Wait no more for the answer of a node that has not the seat any more."""
        try:
            held = (await answered(self._registry.of(entity))).get(WHOLE)
        except BackendError as error:
            log.error("registry_unreachable", reason=str(error))
            return
        for waiting, jid, owner in list(self._passed.values()):
            if jid == entity and (held is None or held.node != owner):
                _give_up(waiting)


def _give_up(waiting: asyncio.Future[Handled]) -> None:
    if not waiting.done():
        text = "nobody knows whether this has arrived; try again"
        waiting.set_exception(StanzaError("recipient-unavailable", text))
