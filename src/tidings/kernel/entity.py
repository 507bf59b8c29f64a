"""Entity: a bare JID that owns an archive and is a target of stanzas, and the kinds that there are.

An account is one kind of entity, with sessions; a room is another, with occupants. All entities of a host are
of one kind, which the host names: whoever asks "is this somebody's archive?" asks the kind.
"""

from __future__ import annotations

from typing import Protocol

from tidings.base.jid import Jid
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.slots import Slotted
from tidings.ports.ledger.reading import Archived


class Entity(Slotted):
    """One bare JID of a host.

    `exists` is false for an address that nobody has made: stanzas to it may have to be answered all the same,
    so that the difference cannot be told.
    """

    __slots__ = ("archive_version", "exists", "jid", "position")

    def __init__(self, jid: Jid, *, exists: bool) -> None:
        super().__init__()
        self.jid = jid
        self.exists = exists
        self.position = 0
        """The last position of its archive that has been dealt with here; 0 before there was any."""
        self.archive_version: int | None = None
        """The version of its archive when what guard reads was loaded; None is not compared."""


class EntityKind(Protocol):
    """What the entities of a host are."""

    name: str
    """One word: account, room."""
    identity: tuple[str, str]
    """What disco calls one of them (XEP-0030): category and type."""
    host_identity: tuple[str, str]
    """What it calls a host of them: server and im, conference and text."""

    async def exists(self, jid: Jid) -> bool:
        """Tell whether there is an entity of this bare JID. Raises `BackendError`."""
        ...

    def make(self, jid: Jid, *, exists: bool) -> Entity:
        """Make the object that stands for it in memory, with nothing loaded yet."""
        ...

    def address(self, jid: Jid) -> Jid:
        """Give the canonical bare JID of an entity that has several."""
        ...

    def shown(self, entry: Archived, body: bytes) -> bytes | None:
        """Give the bytes of a message of an archive as who knows its entity by this host is shown them.

        None where its content is for nobody's eyes.
        """
        ...

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:
        """Tell what a full JID may read of the archive of an entity; raises `StanzaError` for nothing."""
        ...
