"""Elsewhere: the kind of what is no entity of this server: addresses of other servers and of components."""

from __future__ import annotations

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.entity import Entity
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.reasons import Reason
from tidings.kernel.routing import Routing
from tidings.messages import entries
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger.batch import Accepted, Entry, OutboxTarget
from tidings.ports.ledger.reading import Archived
from tidings.wire.xmpp.classification import Classification, Storage
from tidings.wire.xmpp.stanza import Stanza


class Elsewhere:
    """Whatever is not served here: the sender keeps what goes there, and a service takes it on."""

    name = "elsewhere"
    identity = host_identity = ("", "")
    has_parties = False
    reads_messages = False

    def __init__(self, routing: Routing) -> None:
        self._routing = routing

    async def exists(self, jid: Jid) -> bool:  # noqa: ARG002  # whatever it is
        """Nothing of it is here."""
        return False

    def make(self, jid: Jid, *, exists: bool) -> Entity:
        """Nothing of it is ever in memory."""
        raise TypeError(f"{jid} is no entity of this server (exists: {exists})")

    def shown(self, entry: Archived, body: bytes) -> bytes:  # noqa: ARG002  # whatever it is
        """Give it as it is kept."""
        return body

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:
        """Nothing of it can be read here."""
        raise StanzaError("item-not-found", f"{asker} asks here for the archive of {entity.jid}")

    def address(self, jid: Jid) -> Jid:
        """Give the JID itself: whoever serves it knows whether it has others."""
        return jid

    def parties(self, submission: Submission) -> tuple[Jid, ...]:  # noqa: ARG002  # whoever it is
        """Name nobody: its own server guards those."""
        return ()

    def keep(self, submission: Submission, classification: Classification) -> Entry | None:  # noqa: ARG002
        """Keep nothing: the archives of others are theirs."""
        return None

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:
        """Let the sender keep it, if there is a way to where it goes."""
        domain = submission.recipient.domain
        if not self._routing.has_way_to(domain):
            raise StanzaError("remote-server-not-found", f"{domain} is not served here", by=Reason.NO_WAY)
        if classification.storage is Storage.NONE:
            return Plan(classification, reason=Reason.STRAIGHT)
        append = entries.append_of(submission, classification, () if kept is None else (kept,))
        append = msgspec.structs.replace(append, outbox=(OutboxTarget(domain),))
        return Plan(classification, append, reason=Reason.IN_OUTBOX)

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:
        """Hand what is in no outbox to the service that answers for its domain."""
        if accepted is not None:
            return None
        return self._routing.pass_on(submission.message, submission.recipient)

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:
        """Nothing of it is routed here."""
        raise TypeError(f"{entity.jid} is no entity of this server: {stanza.name}")
