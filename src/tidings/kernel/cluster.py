"""Cluster: the other nodes of this server, and what is told to them and by them.

Parts of the server say which items of the bus they take; what was handed over and has not come goes back to
whoever takes that kind. What is cached of the stores is read anew when another node has changed it: a slot's
feature does that itself where the object lives on (`@reloads`), else the slot is loaded again.

A server that is one node has nobody to tell, and all of this does nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import structlog

from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.kernel.clock import Clock
from tidings.kernel.entity import Entity
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.refreshing import Refresher
from tidings.kernel.slots import Slot
from tidings.kernel.supervisor import Supervisor
from tidings.ports.bus import DOMAIN, Bus, Changed, Item, NoAnswer

log = structlog.get_logger("tidings.cluster")

T = TypeVar("T")

RETRY_SECONDS: Final = 5.0
"""After so long a slot that could not be read anew is tried again."""


class Cluster:
    """The other nodes, as this one knows them."""

    def __init__(
        self, bus: Bus | None, hosts: Mapping[str, Host], clock: Clock, supervisor: Supervisor
    ) -> None:
        self._bus = bus
        self._hosts = hosts
        self._clock = clock
        self._supervisor = supervisor
        self._takers: dict[type[Any], Callable[[str, Any], MaybeAwaitable]] = {}
        self._returns: dict[type[Any], Callable[[str, Any], object]] = {}
        self._reloads = Refresher(supervisor, "reload", self._reload)
        self._domain_reloads = Refresher(supervisor, "reload domain", self._reload_domain)
        self._listeners: dict[tuple[str, str], Callable[[], Awaitable[None]]] = {}
        self._told = Refresher(supervisor, "reload of a domain", self._tell_listener)
        self.reload_domain: Callable[[str], Awaitable[None]] | None = None
        """Makes of a domain what is stored of it, which another node has changed."""
        if bus is not None:
            bus.attach(self)

    # --- telling others

    def hand_over(self, node: str, item: Item) -> None:
        """Send an item to another node; never waits."""
        assert self._bus is not None  # who is alone knows no other node
        self._bus.hand_over(node, item)

    async def call(self, node: str, question: Item) -> bool:
        """Have another node do something; tell whether it has said that it is done."""
        assert self._bus is not None
        try:
            await self._bus.call(node, question)
        except NoAnswer as error:
            log.warning("node_silent", node=node, question=type(question).__name__, reason=str(error))
            return False
        return True

    def publish(self, entity: Jid, slot: Slot[Any] | None = None) -> None:
        """Say that what is stored of an entity is another now: what this slot holds.

        Without a slot: whether it exists, and what guards read.
        """
        if self._bus is not None:
            self._bus.publish(Changed(entity.text, "" if slot is None else slot.name))

    def publish_domain(self, domain: str, slot: str = DOMAIN) -> None:
        """Say that a domain was added, closed or opened again, or is to go; or what else is stored of it."""
        if self._bus is not None:
            self._bus.publish(Changed(domain, slot))

    # --- who takes what

    def takes(
        self,
        kind: type[T],
        take: Callable[[str, T], MaybeAwaitable],
        give_back: Callable[[str, T], object] | None = None,
    ) -> None:
        """Have items of this kind taken by `take(node, item)`; `give_back` gets what has not come."""
        self._takers[kind] = take
        if give_back is not None:
            self._returns[kind] = give_back

    def listen(self, domain: str, slot: str, reload: Callable[[], Awaitable[None]] | None) -> None:
        """Call this when another node has changed what a domain has under this slot; None ends it."""
        if reload is None:
            self._listeners.pop((domain, slot), None)
        else:
            self._listeners[domain, slot] = reload

    def reload_domain_slot(self, domain: str, slot: str) -> None:
        """Have who listens for this read it anew, soon, and again until that is done."""
        self._told.ask((domain, slot))

    # --- the bus's Receiver

    def take(self, sender: str, items: Sequence[Item]) -> None:
        """Take what another node has handed over."""
        for item in items:
            try:
                wait = self._takers[type(item)](sender, item)
            except Exception as error:  # noqa: BLE001  # one item, not the rest of its frame
                self._supervisor.report("bus", error)
                continue
            if wait is not None:
                self._supervisor.start("bus", until_done(wait))

    def undelivered(self, node: str, items: Sequence[Item]) -> None:
        """Take back what another node has not said to have."""
        log.warning("items_undelivered", node=node, items=len(items))
        for item in items:
            give_back = self._returns.get(type(item))
            if give_back is not None:
                give_back(node, item)

    def answer(self, question: Item, done: Callable[[], object]) -> None:
        """Do what another node waits for."""
        wait = self._takers[type(question)]("", question)
        if wait is None:
            done()
        else:
            self._supervisor.when_done("bus", wait, done)

    def changed(self, change: Changed) -> None:
        """Read anew what is in memory of it."""
        if change.slot == DOMAIN:
            self._domain_reloads.ask(change.entity)
            return
        if (change.entity, change.slot) in self._listeners:
            self.reload_domain_slot(change.entity, change.slot)
            return
        entity = Jid(change.entity)
        host = self._hosts.get(entity.domain)
        if host is None:
            return
        if host.directory.is_pinned(entity):
            self._reloads.ask((entity, change.slot))
        else:
            host.directory.forget(entity)

    async def _reload_domain(self, domain: str) -> None:
        if self.reload_domain is None:
            return
        try:
            await self.reload_domain(domain)
        except BackendError as error:
            log.error("reload_delayed", entity=domain, reason=str(error))
            self._clock.call_later(RETRY_SECONDS, functools.partial(self._domain_reloads.ask, domain))

    async def _tell_listener(self, key: tuple[str, str]) -> None:
        listener = self._listeners.get(key)
        if listener is None:
            return
        try:
            await listener()
        except BackendError as error:
            log.error("reload_delayed", entity=key[0], slot=key[1], reason=str(error))
            self._clock.call_later(RETRY_SECONDS, functools.partial(self._told.ask, key))

    async def _reload(self, key: tuple[Jid, str]) -> None:
        jid, slot = key
        host = self._hosts.get(jid.domain)
        entity: Entity | None = None if host is None else host.directory.get(jid)
        if host is None or entity is None:
            return
        try:
            await host.directory.reload(entity, slot)
        except BackendError as error:
            log.error("reload_delayed", entity=str(jid), slot=slot, reason=str(error))
            self._clock.call_later(RETRY_SECONDS, functools.partial(self._reloads.ask, key))
