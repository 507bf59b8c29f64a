"""Service kind: hosts that have no entities. There is nobody at them, only the service itself.

What is sent to the service as a message is for the features of its host, where it reads any (`HostMessage`).
"""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.entity import Entity
from tidings.kernel.events import HostMessage
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.reasons import Reason
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger.batch import Accepted, Entry
from tidings.ports.ledger.reading import Archived
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.stanza import Stanza


class ServiceWithoutEntities:
    """Hosts that have no entities."""

    has_parties = False

    def __init__(self, name: str, identity: tuple[str, str], *, reads_messages: bool = False) -> None:
        """Take what disco calls the service, and whether it reads messages to itself."""
        self.name = name
        self.identity = self.host_identity = identity
        self.reads_messages = reads_messages

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

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:  # noqa: ARG002  # nobody keeps it
        """Let the service read what is for itself, and refuse every other message."""
        if submission.entity is not None:
            raise StanzaError("service-unavailable", "nobody reads messages here")
        return Plan(reason=Reason.FOR_SERVICE)

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:  # noqa: ARG002  # nobody keeps it
        """Tell the features of the host."""
        assert submission.host is not None
        return submission.host.hooks.tell(HostMessage(submission.message))

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:  # noqa: ARG002  # nobody is there
        """Refuse requests to nobody."""
        if stanza.name == "presence" or stanza.kind in {"result", "error"}:
            return None
        raise StanzaError("service-unavailable")
