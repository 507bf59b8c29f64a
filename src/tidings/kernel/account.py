"""Account: a bare JID that people log in to, with its sessions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from tidings.base.jid import Jid
from tidings.kernel.entity import Entity
from tidings.kernel.host import Host
from tidings.ports.sessions import Bound

if TYPE_CHECKING:
    from tidings.kernel.session import Session


NOWHERE: Final[Bound] = {}
"""What an account has on other nodes where there are none."""


class Account(Entity):
    """The kind of entity that has sessions, by resource.

    `sessions` are those of this node. Whoever asks whether somebody is there at all asks `is_connected`,
    `has` or `resources`; whoever has something for all devices gives it to the `SessionManager`.
    """

    __slots__ = ("elsewhere", "sessions")

    def __init__(self, jid: Jid, *, exists: bool) -> None:
        super().__init__(jid, exists=exists)
        self.sessions: dict[str, Session] = {}
        """Those of this node."""
        self.elsewhere: Bound = NOWHERE
        """Those of other nodes, as far as this one has heard; kept by the `SessionManager`."""

    @property
    def is_connected(self) -> bool:
        """Whether it has a session, on any node."""
        return bool(self.sessions or self.elsewhere)

    def has(self, resource: str) -> bool:
        """Tell whether this resource is bound, on any node."""
        return resource in self.sessions or resource in self.elsewhere

    @property
    def resources(self) -> Collection[str]:
        """The resources that are bound, on any node."""
        return {*self.sessions, *self.elsewhere} if self.elsewhere else self.sessions

    @property
    def nodes_elsewhere(self) -> set[str]:
        """The other nodes that have sessions of the account."""
        return {bound.node for bound in self.elsewhere.values()}

    @property
    def available_jids(self) -> list[Jid]:
        """The addresses of the sessions, on any node, that have sent available presence."""
        here = [session.jid for session in self.available]
        return here + [
            self.jid.with_resource(resource)
            for resource, bound in self.elsewhere.items()
            if bound.priority is not None
        ]

    @property
    def available(self) -> list[Session]:
        """The sessions of this node that have sent available presence, of any priority."""
        return [session for session in self.sessions.values() if session.priority is not None]

    def __repr__(self) -> str:
        return f"Account({str(self.jid)!r}, {len(self.sessions)} sessions)"


def account_of(entity: Entity | None) -> Account:
    """Take an entity for the account that it is, on a host of accounts."""
    assert isinstance(entity, Account)
    return entity


def admit(session: Session) -> None:
    """Add a session to its account, which stays in memory from now on."""
    account = session.account
    account.sessions[session.jid.resource] = session
    session.host.directory.pin(account)


def dismiss(session: Session) -> None:
    """Take a session from its account; a second call does nothing."""
    account = session.account
    if account.sessions.get(session.jid.resource) is not session:
        return
    del account.sessions[session.jid.resource]
    if not account.sessions:
        if session.client.anonymous:
            account.exists = False  # it lasts as long as its sessions
        session.host.directory.unpin(account)


def sessions_of(host: Host) -> Iterator[Session]:
    """Go through all sessions of a host; one whose entities are no accounts has none."""
    for entity in host.directory.pinned():
        if isinstance(entity, Account):
            yield from list(entity.sessions.values())
