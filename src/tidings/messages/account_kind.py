"""Account kind: what accounts say about messages from them and for them (RFC 6121 §8.5).

Each local account that takes part has one entry; a note to oneself has one altogether.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.account import Account, account_of
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.entity import Entity
from tidings.kernel.events import MessageDelivered
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.reasons import Reason
from tidings.kernel.routing import Routing
from tidings.kernel.stored_copy import StoredCopy, stored_copy
from tidings.messages import delivery, entries
from tidings.messages.delivery import Undelivered
from tidings.messages.handover import Handover
from tidings.messages.origin import Via
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger.batch import Accepted, Entry
from tidings.ports.ledger.reading import Archived
from tidings.wire.xmpp.classification import Classification, Storage
from tidings.wire.xmpp.stanza import Stanza

# Looking up a member of an enumeration costs more than a call.
_NOT_STORED = Storage.NONE
_NOT_KEPT, _OF_A_ROOM, _NOBODY_KEEPS = Reason.NOT_KEPT, Reason.OF_A_ROOM, Reason.NOBODY_KEEPS
_BOTH_KEEP, _SENDER_KEEPS, _RECIPIENT_KEEPS = Reason.BOTH_KEEP, Reason.SENDER_KEEPS, Reason.RECIPIENT_KEEPS
_OWN_NOTE, _IGNORED = Reason.OWN_NOTE, Reason.IGNORED


class AccountKind:
    """Hosts whose entities people log in to."""

    name = "account"
    host_identity = ("server", "im")
    has_parties = False
    reads_messages = False

    def __init__(
        self,
        exists: Callable[[Jid], Awaitable[bool]],
        routing: Routing,
        handover: Handover | None = None,
        *,
        is_anonymous: bool = False,
    ) -> None:
        self.identity = ("account", "anonymous" if is_anonymous else "registered")
        """XEP-0175 §5: nobody has registered a guest."""
        self._exists = exists
        self._routing = routing
        self._handover = handover
        """The way to sessions on other nodes; None where this is the only one."""

    async def exists(self, jid: Jid) -> bool:
        """Tell whether somebody has registered the account."""
        return await self._exists(jid)

    def make(self, jid: Jid, *, exists: bool) -> Account:
        """Make an account in memory."""
        return Account(jid, exists=exists)

    def address(self, jid: Jid) -> Jid:
        """Give the JID itself: an account has one."""
        return jid

    def parties(self, submission: Submission) -> tuple[Jid, ...]:  # noqa: ARG002  # nobody stands behind an account
        """Name nobody: behind an account there is nobody else."""
        return ()

    def shown(self, entry: Archived, body: bytes) -> bytes:  # noqa: ARG002  # whatever it is
        """Give it as it is kept."""
        return body

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:
        """Let the owner read all, and nobody else anything; refused in MongooseIM's words."""
        if asker.bare != entity.jid:
            raise StanzaError("not-allowed", "The action is not allowed.")
        return ArchiveView(archive=entity.jid)

    # --- before the commit: pure

    def keep(self, submission: Submission, classification: Classification) -> Entry | None:
        """Keep what the account sends, unless its owner does not want that; a room keeps what goes to it."""
        account, message, host = submission.origin.entity, submission.message, submission.origin.host
        assert account is not None
        assert host is not None
        if message.kind == "groupchat":
            return None
        to = message.to
        return entries.sent_entry(account, classification, to or submission.recipient, host.archive_octets)

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:
        """Keep what its devices can get later; deliver the rest now, or refuse it."""
        message, host, account = submission.message, submission.host, submission.entity
        assert isinstance(account, Account)
        assert host is not None
        reason = _NOT_KEPT
        if message.kind == "groupchat":
            reason = _OF_A_ROOM
        elif classification.storage is not _NOT_STORED:
            has_archive = host.has_archives and account.exists
            if delivery.is_stored(message, account, has_archive=has_archive):
                if has_archive:
                    room = host.archive_octets
                    received = entries.received_entry(message, account, classification, room)
                    found: tuple[Entry, ...]
                    if submission.origin.entity is account:
                        found, reason = (received,), _OWN_NOTE
                    elif kept is None:
                        found, reason = (received,), _RECIPIENT_KEEPS
                    else:
                        found, reason = (kept, received), _BOTH_KEEP
                    append = entries.append_of(submission, classification, found)
                    return Plan(classification, append, None, reason)
                if kept is not None and submission.origin.entity is not account:
                    append = entries.append_of(submission, classification, (kept,))
                    return Plan(classification, append, None, _SENDER_KEEPS)
            reason = _NOBODY_KEEPS
        if (
            message.kind == "error"
            and submission.origin.via is Via.SELF
            and host.has_archives
            and account.exists
        ):
            append = entries.failure_of(submission, account)
            return Plan(classification, append, delivery.available(account), Reason.COULD_NOT_ARRIVE)
        sessions = delivery.recipients(message, account)
        if not sessions and not (account.elsewhere and delivery.reaches_somebody(message, account)):
            if delivery.outcome(message) is Undelivered.REFUSE:
                raise StanzaError("service-unavailable", by=Reason.NOBODY_THERE)
            reason = _IGNORED
        return Plan(classification, None, sessions, reason)

    # --- after it

    def deliver(
        self, submission: Submission, accepted: Accepted | None, *, is_next: bool = False
    ) -> MaybeAwaitable:
        """Send it to the sessions that it is for, and tell the features of the host.

        `is_next`: it is the turn of this message among those that the nodes of the server have committed.
        """
        message, host, account = submission.message, submission.host, submission.entity
        plan = submission.plan
        assert isinstance(account, Account)
        assert host is not None
        sessions = delivery.recipients(message, account) if plan.sessions is None else plan.sessions
        submission.sent_to = sessions
        stored = None if accepted is None else stored_copy(plan.classification, accepted, account.jid)
        if self._handover is not None and not is_next:
            for node in account.nodes_elsewhere:
                self._routing.traces.note(submission, "handed_over", Reason.ON_OTHER_NODE, node)
            here = functools.partial(self.deliver, submission, accepted, is_next=True)
            effects = functools.partial(_tell_effects, submission, host, account, stored)
            return self._handover.deliver(account, submission.body(), stored, here, effects)
        delivered = MessageDelivered(account, message, sessions, stored, submission)
        if stored is None or stored.place is None:
            for session in sessions:
                session.send_unkept(message)
        else:
            account.position = stored.place.position
            if sessions:
                assert plan.append is not None
                traces = self._routing.traces
                delivery.send_live(delivered, plan.append.body, stored.place, stored.time, traces)
        if (
            not sessions
            and stored is None
            and delivery.outcome(message) is Undelivered.REFUSE
            and not delivery.reaches_somebody(message, account)
        ):
            self._routing.traces.note(submission, "refused", "service-unavailable", Reason.NOBODY_THERE)
            self._routing.refuse(message, StanzaError("service-unavailable", by=Reason.NOBODY_THERE))
            return None
        told = host.hooks.tell(delivered)
        if stored is not None and (stored.target or stored.returned):
            return in_turn((told, _tell_effects(submission, host, account, stored)))
        return told

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:
        """Send it to the session of that resource (RFC 6121 §8.5.3)."""
        assert stanza.to is not None
        account = account_of(entity)
        session = account.sessions.get(stanza.to.resource)
        if session is not None:
            session.send(stanza)
        elif self._handover is None or not self._handover.sessions.to_resource(account, stanza):
            raise StanzaError("service-unavailable")  # §8.5.3.2.3
        return None


def _tell_effects(
    submission: Submission, host: Host, account: Account, stored: StoredCopy | None
) -> MaybeAwaitable:
    """Tell what a message that is stored has done to others; the node that has committed it does."""
    if stored is None:
        return None
    effects = entries.effects_of(account, submission.origin.jid, stored, is_own=False)
    return in_turn(map(host.hooks.tell, effects))
