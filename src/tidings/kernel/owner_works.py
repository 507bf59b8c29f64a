"""Owner works: what is done with an entity by the node where it lives, whichever node was asked for it.

A stanza finds its way to the owner of a room by itself (`seats.py`). What an operation does with a room, or
the removal of an account, is no stanza: it is named, written down, done where the room lives, in the order of
what that node sends, and its answer comes back. On a server of one node everything lives here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.kernel.lanes import Lanes
from tidings.kernel.seats import Seats
from tidings.ports.bus import Handled, WorkForOwner

log = structlog.get_logger("tidings.seats")

Do = Callable[[Jid, bytes], Awaitable[bytes]]
"""Does a work with an entity that lives here; gets what it needs to know, and gives the answer."""

UNKNOWN: Final = "recipient-unavailable"
"""The condition that is raised where nobody knows whether a work was done: its owner has gone meanwhile."""


class OwnerWorks:
    """The works that this server knows, and the way of each to where it has to be done."""

    def __init__(self) -> None:
        self._works: dict[str, Do] = {}
        self._seats: Seats | None = None
        self._lanes: Lanes | None = None

    def join(self, seats: Seats, lanes: Lanes) -> None:
        """Do works for other nodes, too, from now on."""
        self._seats, self._lanes = seats, lanes
        lanes.takes(WorkForOwner, self._take)

    def offer(self, name: str, do: Do) -> None:
        """Have works of this name done so; the same on every node, for all entities."""
        self._works[name] = do

    def may_be_elsewhere(self, entity: Jid) -> bool:
        """Tell whether an entity may live on another node."""
        seats = self._seats
        return seats is not None and entity.domain in seats.living and not seats.is_here(entity)

    async def do(self, entity: Jid, name: str, asked: bytes = b"", *, takes: bool = True) -> bytes:
        """Have a work done where an entity lives, which this node becomes where none is, if `takes`.

        Raises `StanzaError` for what the owner refuses, and `UNKNOWN` where it has gone; `BackendError`.
        """
        if not self.may_be_elsewhere(entity):
            return await self._works[name](entity, asked)
        item = WorkForOwner(entity.text, name, asked, takes=takes)
        answer = await self._do(entity, item)
        if answer.condition:
            raise StanzaError(answer.condition, answer.text)
        return answer.payload

    async def _do(self, entity: Jid, item: WorkForOwner) -> Handled:
        assert self._seats is not None
        node = await self._seats.owner_of(entity, takes=item.takes)
        if node is None:
            return Handled(0, payload=await self._works[item.name](entity, item.asked))
        log.debug("work_passed_on", entity=entity.text, work=item.name, node=node)
        return await self._seats.pass_on(node, entity, item)

    def _take(self, node: str, item: WorkForOwner) -> Awaitable[None]:
        return self._handle(node, item)

    async def _handle(self, node: str, item: WorkForOwner) -> None:
        """Do what another node was asked for; an entity that has moved meanwhile is followed."""
        assert self._lanes is not None
        answer = Handled(item.pass_id, "internal-server-error", "the node that has it has failed")
        try:
            done = await self._do(Jid(item.entity), item)
            answer = Handled(item.pass_id, done.condition, done.text, payload=done.payload)
        except StanzaError as error:
            answer = Handled(item.pass_id, error.condition, error.text)
        except BackendError as error:
            log.error("backend_failed", reason=str(error))
            answer = Handled(item.pass_id, "resource-constraint", "the database does not answer")
        finally:
            self._lanes.send(node, answer)
