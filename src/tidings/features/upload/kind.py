"""Upload kind: the hosts of upload services. There is nobody at them, only the service itself."""

from __future__ import annotations

from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.clock import Clock
from tidings.kernel.entity import Entity
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.messages.router import Router
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger.batch import Accepted, Entry
from tidings.ports.ledger.reading import Archived
from tidings.ports.stores import Stores
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.stanza import Stanza

PREFIX: Final = "upload"
"""What the name of the service begins with, before that of its domain."""


class UploadKind:
    """Hosts that have no entities."""

    name = "upload"
    identity = ("store", "file")
    host_identity = ("store", "file")  # XEP-0363 §3
    has_parties = False

    def __init__(self, domain: str, router: Router, stores: Stores, clock: Clock) -> None:
        """Take what every kind of service is made with."""
        del domain, router, stores, clock

    async def exists(self, jid: Jid) -> bool:  # noqa: ARG002  # whoever it is
        """Tell that there is nobody."""
        return False

    def make(self, jid: Jid, *, exists: bool) -> Entity:
        """Make what stands for an address where nobody is."""
        return Entity(jid, exists=exists)

    def address(self, jid: Jid) -> Jid:
        """Give the address itself."""
        return jid

    def shown(self, entry: Archived, body: bytes) -> bytes | None:  # noqa: ARG002  # there are no archives
        """Show nothing."""
        return None

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:  # noqa: ARG002  # as above
        """Refuse: there are no archives."""
        raise StanzaError("item-not-found")

    def parties(self, submission: Submission) -> tuple[Jid, ...]:  # noqa: ARG002  # nobody stands behind it
        """Name nobody."""
        return ()

    def keep(self, submission: Submission, classification: Classification) -> Entry | None:  # noqa: ARG002  # nothing is sent from here
        """Keep nothing."""
        return None

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:  # noqa: ARG002  # whatever it is
        """Refuse every message: nobody reads them."""
        raise StanzaError("service-unavailable", "nobody reads messages here")

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:  # noqa: ARG002  # never accepted
        """Do nothing: nothing is accepted."""
        return None

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:  # noqa: ARG002  # nobody is there
        """Refuse requests to nobody."""
        if stanza.name == "presence" or stanza.kind in {"result", "error"}:
            return None
        raise StanzaError("service-unavailable")
