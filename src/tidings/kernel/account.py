"""Account: a bare JID that people log in to, with its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tidings.base.jid import Jid
from tidings.kernel.entity import Entity
from tidings.kernel.host import Host

if TYPE_CHECKING:
    from tidings.kernel.session import Session


class Account(Entity):
    """The kind of entity that has sessions, by resource."""

    __slots__ = ("sessions",)

    def __init__(self, jid: Jid, *, exists: bool) -> None:
        super().__init__(jid, exists=exists)
        self.sessions: dict[str, Session] = {}

    @property
    def available(self) -> list[Session]:
        """The sessions that have sent available presence, of any priority."""
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
