"""The sessions port: which resource of an account is bound on which node.

A node is one running process of a server that shares its stores with others. What every node has to know of
the sessions of others is little: that they are there, where, and whether they are available. Everything else
of a session is known on its own node, and asked or told over the bus.

A claim stands until it is released, or another claim takes its resource: whoever claims is told whom it has
taken it from, and of two who claim at the same time one is told of the other. `BoundSession.id` names one
claim for good, so that a late `release` or `update` never changes what somebody else has claimed meanwhile.

An entity that lives on one node, as a room with its occupants does, is held by that node in the same way,
under no resource: `hold` gives it to whoever asks first. A node may say besides, by a claim under
`beside(node)`, that it has sessions which what happens there concerns.

A node that has died loses its claims after a moment, with whatever the adapter knows it to live by;
`on_change` is called with each of the addresses.

What is read may be a moment old, and nothing that matters hangs on it: "somebody is there" is found out to be
wrong by whoever is asked there; against "nobody is there" a device claims before it reads its archive, and
reads the head of the archive again a moment after it is bound.

Methods that change something take effect at once where they can, and give an awaitable where they have to
wait; reading gives an awaitable only for an account that is not in the cache. What is awaited may raise
`BackendError`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec

from tidings.base.jid import Jid


class BoundSession(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A resource that is bound, as other nodes know it."""

    node: str
    """The node that has the session, by the name under which it has joined the bus."""
    id: str
    """Names this claim and no other."""
    priority: int | None = None
    """The priority of its presence; None while it is not available."""


Bound = Mapping[str, BoundSession]
"""The sessions of an account by resource."""

WHOLE: Final = ""
"""The resource under which an entity is held that lives on one node."""


def beside(node: str) -> str:
    """Give the resource by which a node says that it has sessions for an entity that lives on another."""
    return f"@{node}"


class SessionRegistry(Protocol):
    """One node's view of who is bound where."""

    @property
    def node(self) -> str:
        """The node that asks here, under the name that its claims carry."""
        ...

    @property
    def is_alone(self) -> bool:
        """Whether no other node can take part: then the sessions of this one are all there are."""
        ...

    on_change: Callable[[Jid], object] | None
    """Called with an account when what `of` says of it has changed by another node's doing.

    For every account that this node has read and that is still in its cache; it may be called for others.
    """

    def claim(
        self, account: Jid, resource: str, bound: BoundSession
    ) -> BoundSession | Awaitable[BoundSession | None] | None:
        """Bind a resource, and give whom it was taken from; None where it was free."""
        ...

    def hold(self, entity: Jid, bound: BoundSession) -> BoundSession | Awaitable[BoundSession]:
        """Let an entity that nobody holds be held by this claim, and give who holds it now.

        That is never answered from a cache: of two nodes that ask at the same time one holds it, and both are
        told which. What `of` says here from then on has it.
        """
        ...

    def release(self, account: Jid, resource: str, id: str) -> bool | Awaitable[bool]:  # noqa: A002  # its name
        """Free a resource where this claim still holds it, and tell whether it did."""
        ...

    def update(self, account: Jid, resource: str, bound: BoundSession) -> bool | Awaitable[bool]:
        """Change the priority where the claim of the same id still holds the resource; tells if it did."""
        ...

    def of(self, account: Jid) -> Bound | Awaitable[Bound]:
        """Give the sessions of an account on all nodes, the own ones included."""
        ...

    def nodes_of(self, account: Jid) -> frozenset[str] | Awaitable[frozenset[str]]:
        """Give the nodes that have sessions of an account."""
        ...
