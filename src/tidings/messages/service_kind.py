"""Service kind: hosts that have no entities. There is nobody at them, only the service itself.

A message to the service is for the feature of its host that reads such. Nobody keeps it; what the service
sends for it is kept before the sender is told.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.entity import Entity
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.reasons import Reason
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger.batch import Accepted, Entry
from tidings.ports.ledger.reading import Archived
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.stanza import Stanza


@runtime_checkable
class ReadsMessages(Protocol):
    """A feature that reads the messages to its host."""

    def check_message(self, submission: Submission) -> None:
        """Raise `StanzaError` for a message that it does not take."""
        ...

    def take_message(self, submission: Submission) -> MaybeAwaitable:
        """Do what a message asks for; the sender is told that it is accepted when that is done."""
        ...


class ServiceWithoutEntities:
    """Hosts that have no entities."""

    has_parties = False
    reads_messages = True

    def __init__(self, name: str, identity: tuple[str, str]) -> None:
        """Take what disco calls the service."""
        self.name = name
        self.identity = self.host_identity = identity

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
        """Let the service read what is for itself and it takes; nobody reads anything else."""
        reader = _reader(submission)
        if reader is None or submission.recipient.local:
            raise StanzaError("service-unavailable", "nobody reads messages here", by=Reason.NO_MESSAGES)
        reader.check_message(submission)
        return Plan(reason=Reason.FOR_SERVICE)

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:  # noqa: ARG002  # nobody keeps it
        """Hand the message to who reads it."""
        reader = _reader(submission)
        return None if reader is None else reader.take_message(submission)

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:  # noqa: ARG002  # nobody is there
        """Refuse requests to nobody."""
        if stanza.name == "presence" or stanza.kind in {"result", "error"}:
            return None
        raise StanzaError("service-unavailable")


def _reader(submission: Submission) -> ReadsMessages | None:
    host = submission.host
    return None if host is None else host.feature(ReadsMessages)  # type: ignore[type-abstract]  # whoever does
