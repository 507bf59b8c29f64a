"""Origin: on whose behalf something is sent, and by which way it has come."""

from __future__ import annotations

import enum

import msgspec

from tidings.base.jid import Jid
from tidings.kernel.entity import Entity
from tidings.kernel.host import Host
from tidings.kernel.session import Session


class Via(enum.Enum):
    """How something has come to the router; its words are those of logs."""

    SESSION = "session"
    OPERATION = "operation"
    SERVER = "server"
    """Another server, or a component."""
    SELF = "self"
    """This server itself."""


class Origin(msgspec.Struct, eq=False):
    """Who submits: every door has one, and gets the outcome of each stanza back.

    A session has one origin for all that it sends. `entity` is filled when it is loaded.
    """

    jid: Jid
    """The bare JID that sends."""
    host: Host | None
    """The host of that JID, where it is served here."""
    via: Via
    entity: Entity | None = None
    session: Session | None = None
    passed_stream: bytes | None = None
    """What the ledger calls the stream on another node that it has come on, which has passed it on."""
    is_passed: bool = False
    """Another node has passed it on, and tells the origin what became of it."""
    outbox_id: str = ""
    """Of the row whose message could not arrive, where this is said: it is said once of each."""

    @property
    def is_unloaded(self) -> bool:
        """Whether its entity is one of this server and not in memory."""
        return self.entity is None and self.host is not None and bool(self.jid.local)

    @property
    def is_answered(self) -> bool:
        """Whether a refusal goes back as a stanza; others hear of it by the outcome alone."""
        return (self.via is Via.SESSION or self.via is Via.SERVER) and not self.is_passed

    @property
    def stream_key(self) -> bytes | None:
        """What the ledger calls its stream, if that can be resumed."""
        return self.passed_stream if self.session is None else self.session.flow.stream_key

    async def load(self) -> None:
        """Bring its entity into memory. Raises `BackendError`."""
        assert self.host is not None
        self.entity = await self.host.directory.load(self.jid)

    def refresh(self) -> None:
        """Take the object that is in memory now: what was loaded may have been dropped since."""
        if self.session is None and self.entity is not None and self.host is not None:
            self.entity = self.host.directory.get(self.jid) or self.entity
