"""Who is bound where, for the nodes of one process; a server that is alone is one node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.ports.sessions import WHOLE, Bound, BoundSession

_NOBODY: Final[Bound] = {}
_NOWHERE: Final[frozenset[str]] = frozenset()


class MemorySessionTable:
    """What the registries of all nodes share."""

    def __init__(self) -> None:
        self.bound: dict[Jid, dict[str, BoundSession]] = {}
        self.nodes: dict[str, MemorySessions] = {}

    def join(self, node: str) -> MemorySessions:
        """Give a node its view."""
        return MemorySessions(self, node)

    def leave(self, node: str) -> None:
        """Free all that a node has claimed, and tell the others, as when its process was killed."""
        registry = self.nodes.pop(node)
        for account, sessions in list(self.bound.items()):
            kept = {resource: bound for resource, bound in sessions.items() if bound.node != node}
            if len(kept) == len(sessions):
                continue
            if kept:
                self.bound[account] = kept
            else:
                del self.bound[account]
            self.tell(account, registry)

    def tell(self, account: Jid, by: MemorySessions) -> None:
        """Tell the other nodes that an account has changed."""
        for registry in self.nodes.values():
            if registry is not by and registry.on_change is not None:
                registry.on_change(account)


class MemorySessions:
    """The sessions port over a dict; every answer is there at once."""

    def __init__(self, table: MemorySessionTable | None = None, node: str = "") -> None:
        self._table = MemorySessionTable() if table is None else table
        self._is_alone = table is None
        self._node = node or token(6)
        self._table.nodes[self._node] = self
        self.on_change: Callable[[Jid], object] | None = None

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._node

    @property
    def is_alone(self) -> bool:
        """Whether nobody shares its table."""
        return self._is_alone

    def claim(self, account: Jid, resource: str, bound: BoundSession) -> BoundSession | None:
        """Bind a resource, and give whom it was taken from."""
        sessions = self._table.bound.setdefault(account, {})
        before = sessions.get(resource)
        sessions[resource] = bound
        self._table.tell(account, self)
        return before

    def hold(self, entity: Jid, bound: BoundSession) -> BoundSession:
        """Let an entity that nobody holds be held by this claim, and give who holds it now."""
        sessions = self._table.bound.setdefault(entity, {})
        held = sessions.get(WHOLE)
        if held is not None:
            return held
        sessions[WHOLE] = bound
        self._table.tell(entity, self)
        return bound

    def release(self, account: Jid, resource: str, id: str) -> bool:  # noqa: A002  # its name
        """Free a resource where this claim still holds it."""
        sessions = self._table.bound.get(account, {})
        held = sessions.get(resource)
        if held is None or held.id != id:
            return False
        del sessions[resource]
        if not sessions:
            del self._table.bound[account]
        self._table.tell(account, self)
        return True

    def update(self, account: Jid, resource: str, bound: BoundSession) -> bool:
        """Change the priority where the claim of the same id still holds the resource."""
        sessions = self._table.bound.get(account, {})
        held = sessions.get(resource)
        if held is None or held.id != bound.id:
            return False
        if held.priority != bound.priority:
            sessions[resource] = msgspec.structs.replace(held, priority=bound.priority)
            self._table.tell(account, self)
        return True

    def of(self, account: Jid) -> Bound:
        """Give the sessions of an account on all nodes."""
        found = self._table.bound.get(account)
        return _NOBODY if found is None else dict(found)

    def nodes_of(self, account: Jid) -> frozenset[str]:
        """Give the nodes that have sessions of an account."""
        found = self._table.bound.get(account)
        return _NOWHERE if found is None else frozenset(bound.node for bound in found.values())
