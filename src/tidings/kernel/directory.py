"""Directory: the entities of a host that are in memory, with what features keep of them.

Invariants:
- there is at most one object for an address, and it stays while it is pinned: no living object, with its
  locks and tasks, is ever replaced under its users;
- an entity is in memory only with all its loaded slots filled; whoever changes what is stored writes the
  slot, too. Of one that does not exist, what guards read is not loaded: it is what nobody has written;
- those that do not exist take no room from those that do, whatever strangers ask for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.entity import Entity, EntityKind
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.slots import Slot
from tidings.kernel.time_slice import TimeSlice

_MOST_MISSING: Final = 1_000
"""So many that do not exist are remembered: asking for them again asks no store."""

Loader = Callable[[Jid], Awaitable[Any]]
Reloader = Callable[[Any], Awaitable[None]]
E = TypeVar("E", bound=Entity)


class Directory(Generic[E]):
    """The entities that are in memory: those that are pinned, and up to `limit` lately used ones."""

    def __init__(
        self,
        kind: EntityKind,
        limit: int,
        load_version: Loader | None = None,
        time_slice: TimeSlice | None = None,
    ) -> None:
        """Begin; those who wait for the same entity go on by the time slice, or all at once without one."""
        self._kind = kind
        self._limit = limit
        self._load_version = load_version
        self._time_slice = time_slice
        self._loaders: list[tuple[Slot[Any], Loader]] = []
        self._reloaders: dict[str, Reloader] = {}
        self.locate: Callable[[E], MaybeAwaitable] | None = None
        """Finds out where else an entity that comes into memory is; set where there are other nodes."""
        self._pinned: dict[Jid, E] = {}
        self._recent: OrderedDict[Jid, E] = OrderedDict()
        self._missing: OrderedDict[Jid, E] = OrderedDict()
        self._loading: dict[Jid, asyncio.Future[E]] = {}
        self._stale: set[Jid] = set()  # changed in the stores while they are being loaded
        self._closed: set[Jid] = set()

    def use_limit(self, limit: int) -> None:
        """Keep up to so many lately used ones from now on."""
        self._limit = limit
        self._evict()

    def add_loader(self, slot: Slot[Any], loader: Loader) -> None:
        """Fill this slot of every entity that comes into memory; each slot has one loader."""
        if any(slot is filled for filled, _ in self._loaders):
            raise ValueError(f"{slot!r} has a loader already")
        self._loaders.append((slot, loader))

    def add_reloader(self, slot: Slot[Any], reloader: Reloader) -> None:
        """Have this slot, whose value lives on, brought up to date by its owner."""
        if slot.name in self._reloaders:
            raise ValueError(f"{slot!r} has a reloader already")
        self._reloaders[slot.name] = reloader

    def get(self, jid: Jid) -> E | None:
        """Give the entity of a bare JID if it is in memory; nothing is read."""
        entity = self._pinned.get(jid)
        if entity is None:
            entity = self._recent.get(jid)
            if entity is not None:
                self._recent.move_to_end(jid)
            elif self._missing:
                entity = self._missing.get(jid)
        return entity

    async def load(self, jid: Jid) -> E:
        """Give the entity of a bare JID, from the stores if need be. Raises `BackendError`."""
        while True:
            entity = self.get(jid)
            if entity is not None:
                return entity
            loading = self._loading.get(jid)
            if loading is None:
                return await self._load(jid)
            # Nobody who gives up takes the entity away from the others: neither one who waits, nor the one
            # who loads, whose place the next then takes.
            await asyncio.wait((loading,))
            if self._time_slice is not None:  # what thousands do with it is not done in one turn of the loop
                await until_done(self._time_slice.turn())
            if not loading.cancelled():
                loading.result()  # raises what kept it from being loaded

    async def _load(self, jid: Jid) -> E:
        future = self._loading[jid] = asyncio.get_running_loop().create_future()
        try:
            entity = await self._read(jid)
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # somebody has looked: it is raised here, too
            else:
                future.cancel()
            raise
        else:
            entity = self._pinned.get(jid, entity)
            if entity.jid not in self._pinned:
                (self._recent if entity.exists else self._missing)[jid] = entity
            future.set_result(entity)
            self._evict()
            return entity
        finally:
            del self._loading[jid]
            self._stale.discard(jid)

    async def _read(self, jid: Jid) -> E:
        """Ask the stores, and ask again when they were changed meanwhile."""
        while True:
            self._stale.discard(jid)
            entity: E = self._kind.make(jid, exists=await self._exists(jid))  # type: ignore[assignment]
            if entity.exists:
                await self._fill(entity, self._loaders)
            else:  # nothing is kept for it that guards would have to look at
                await self._load_slots(entity, [each for each in self._loaders if not each[0].is_guarded])
            wait = None if self.locate is None else self.locate(entity)
            if wait is not None:
                await wait
            if jid not in self._stale:
                return entity

    async def _exists(self, jid: Jid) -> bool:
        return await self._kind.exists(jid) and jid not in self._closed

    async def refresh(self, entity: E) -> None:
        """Read anew what guards read of an entity in memory, changed elsewhere; raises `BackendError`.

        What else features keep of it stays as it is: it may have locks, and tasks that wait for it.
        """
        entity.exists = await self._exists(entity.jid) or entity.exists
        # Of one that was ended here there is nothing to read but the version.
        await self._fill(entity, [each for each in self._loaders if each[0].is_guarded and entity.exists])

    async def reload(self, entity: E, name: str) -> None:
        """Read anew what one slot of an entity in memory holds, by the slot's name; raises `BackendError`.

        Without a name, what guards read, and whether the entity exists.
        """
        if not name:
            entity.exists = await self._exists(entity.jid)
            await self.refresh(entity)
            return
        reloader = self._reloaders.get(name)
        if reloader is not None:
            await reloader(entity)
            return
        for slot, loader in self._loaders:
            if slot.name == name:
                await self._replace(entity, slot, loader)

    async def _replace(self, entity: E, slot: Slot[Any], loader: Loader) -> None:
        """Load a slot again, once more where somebody here writes it meanwhile."""
        while True:
            before = entity[slot]
            after = await loader(entity.jid)
            if entity[slot] is before:
                entity[slot] = after
                return

    async def _fill(self, entity: E, loaders: list[tuple[Slot[Any], Loader]]) -> None:
        if self._load_version is not None:  # before what it is the version of
            entity.archive_version = await self._load_version(entity.jid)
        await self._load_slots(entity, loaders)

    async def _load_slots(self, entity: E, loaders: list[tuple[Slot[Any], Loader]]) -> None:
        for slot, loader in loaders:
            entity[slot] = await loader(entity.jid)

    def pin(self, entity: E) -> None:
        """Keep an entity in memory from now on."""
        self._recent.pop(entity.jid, None)
        self._missing.pop(entity.jid, None)
        self._pinned[entity.jid] = entity

    def is_pinned(self, jid: Jid) -> bool:
        """Tell whether an entity is kept in memory."""
        return jid in self._pinned

    def unpin(self, entity: E) -> None:
        """Let an entity go when there are too many; at once where it does not exist. Twice is once."""
        if self._pinned.pop(entity.jid, None) is not None and entity.exists:
            self._recent[entity.jid] = entity
            self._evict()

    def forget(self, jid: Jid) -> None:
        """Drop what is in memory of an entity that is not pinned, since what is stored has changed."""
        self._recent.pop(jid, None)
        self._missing.pop(jid, None)
        if jid in self._loading:
            self._stale.add(jid)

    def close(self, jid: Jid) -> None:
        """Let an entity not exist for anybody here until it is opened again, whatever the stores say.

        Raises StanzaError `conflict` where somebody else has closed it.
        """
        if jid in self._closed:
            raise StanzaError("conflict", f"{jid} is being renamed at this moment")
        self._closed.add(jid)
        entity = self.get(jid)
        if entity is not None:
            entity.exists = False
        self.forget(jid)

    def reopen(self, jid: Jid) -> None:
        """Believe the stores again about an entity that was closed; they are asked anew."""
        self._closed.discard(jid)
        self.forget(jid)

    def pinned(self) -> Iterator[E]:
        """Go through the entities that are kept in memory."""
        yield from list(self._pinned.values())

    def _evict(self) -> None:
        while len(self._recent) > self._limit:
            self._recent.popitem(last=False)
        while len(self._missing) > _MOST_MISSING:
            self._missing.popitem(last=False)
