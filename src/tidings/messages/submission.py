"""Submission: a message on its way, the plan for it, and what each kind of entity has to say about both.

The plan is made once guards have passed, from what is loaded and nothing else: who keeps the message and who
gets it, with the reason; or it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.entity import Entity, EntityKind
from tidings.kernel.events import MessageSubmitted
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.reasons import Reason
from tidings.kernel.session import Session
from tidings.kernel.traces import Note, Trace, short
from tidings.messages.origin import Origin
from tidings.ports.ledger.batch import Accepted, Append, Entry, Place
from tidings.ports.tracer import Span
from tidings.wire.xmpp.classification import NOTHING, Classification
from tidings.wire.xmpp.stanza import Stanza


class Plan(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Who keeps a message and who gets it."""

    classification: Classification = NOTHING
    append: Append | None = None
    """What the ledger is to write; None where nobody keeps it."""
    sessions: list[Session] | None = None
    """Those that get it, where it is delivered in the turn in which they were found."""
    reason: str = ""
    """Why it is kept so, or not, in words for logs and `explain`."""


UNPLANNED: Final = Plan(reason=Reason.UNPLANNED)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a submission: accepted, repeated, refused or dropped."""

    place: Place | None = None
    """Where the sender's archive has it, or that of the room it was said in; None where neither keeps it."""
    time: int = 0
    """When it was accepted, in microseconds; 0 where nobody keeps it."""
    is_repeated: bool = False
    """It had been accepted before: place and time are those of the first."""
    error: StanzaError | None = None
    """Why it was refused."""
    is_dropped: bool = False
    """It was taken and will reach nobody, without a word to whom it was for."""


class MessageKind(EntityKind, Protocol):
    """What a kind of entity says about messages from it and for it.

    `parties` is asked when the entity is loaded, `keep` and `plan` when guards have passed: they are pure.
    """

    has_parties: bool
    """Whether `parties` may name anybody."""
    reads_messages: bool
    """Whether it plans and delivers messages to the host itself, for which there is no entity."""

    def parties(self, submission: Submission) -> tuple[Jid, ...]:
        """Name whom else to load and to guard: the person behind an occupant, the invited."""
        ...

    def keep(self, submission: Submission, classification: Classification) -> Entry | None:
        """Give the entry of the origin's archive; None where it keeps nothing of this message."""
        ...

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:
        """Say who keeps a message for one of its entities and who gets it; raises `StanzaError` to refuse.

        `kept` is what its origin keeps.
        """
        ...

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:
        """Hand on what is accepted; `accepted` is the ledger's answer, None where nobody keeps it."""
        ...

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:
        """Take an iq or a presence for a full JID; raises `StanzaError` to refuse."""
        ...


class Submission(msgspec.Struct, eq=False):
    """A message and all that has been found out about it on its way."""

    origin: Origin
    message: Stanza
    """As it is now: decisions may have rewritten it."""
    recipient: Jid
    """The canonical bare JID that it is for."""
    host: Host | None
    """The host of that, where it is served here."""
    kind: MessageKind
    entity: Entity | None
    """The recipient, once it is loaded; None for what is no entity of this server."""
    submitted: Stanza | None = None
    """As it was submitted, where a decision has rewritten it since."""
    number: int = 0
    """Which stanza of its stream it is, 0 where nobody counts."""
    parties: tuple[tuple[Host, Entity], ...] | None = None
    """Whom else guards are asked about; None until they are loaded."""
    plan: Plan = UNPLANNED
    tries: int = 0
    outcome: Outcome | None = None
    """Why it was not accepted, once that is known."""
    sent_to: list[Session] | None = None
    """The sessions that it was for, once it is delivered."""
    notes: list[Note] | None = None
    """What was decided about it; see `kernel/traces.py`."""
    accepted: Accepted | None = None
    """What the ledger has answered, where it has accepted it."""
    timed_since: float | None = None
    """When it was submitted, on the monotonic clock, if it is one of those that are timed."""
    trace_id: str = ""
    """Its id in logs, empty while nobody has asked for it."""
    span: Span | None = None
    """Where its steps are told with their times, if it is one of those that are traced so."""

    @property
    def trace(self) -> str:
        """Its short id in logs, made when it is asked for first."""
        if not self.trace_id:
            self.trace_id = token(6)
        return self.trace_id

    @property
    def is_for_host(self) -> bool:
        """Whether it is for a host itself, which keeps nothing of it: what that sends is told of instead."""
        return self.host is not None and not self.recipient.local

    def summary(self, now: float) -> Trace:
        """Give what is remembered of it; nothing of that grows with it."""
        message, plan, accepted, sent_to = self.message, self.plan, self.accepted, self.sent_to
        append = plan.append
        assert message.sender is not None  # stamped, or verified
        return Trace(
            time=accepted.time / SECOND if accepted is not None and accepted.time else now,
            id=self.trace_id,
            sender=message.sender,
            to=message.to,
            recipient=self.recipient,
            stanza_id=short(message.id),
            kind=short(message.kind) or "normal",
            via=self.origin.via.value,
            reason=plan.reason,
            rule=plan.classification.rule,
            keys=() if append is None else append.keys,
            outbox=() if append is None else append.outbox,
            accepted=accepted,
            sent_to=None if sent_to is None else tuple(session.jid for session in sent_to),
            notes=self.notes,
        )

    def has_to_be_loaded(self) -> bool:
        """Tell whether the recipient, or a third party, is to be brought into memory first."""
        if self.entity is None:
            return self.host is not None and bool(self.recipient.local)
        if self.kind.has_parties and self.parties is None:
            if self.kind.parties(self):
                return True
            self.parties = ()  # as with most messages: nobody has to be waited for
        return False

    def ours(self) -> tuple[Jid, ...]:
        """Name the parties that are served here: nobody else may speak in their name."""
        sides = ((self.origin.jid, self.origin.host), (self.recipient, self.host))
        return tuple(jid for jid, host in sides if host is not None)

    def body(self) -> bytes:
        """Give the message as it is kept, or would be."""
        return self.message.to_bytes() if self.plan.append is None else self.plan.append.body

    async def load(self, hosts: Mapping[str, Host]) -> None:
        """Bring the recipient and third parties into memory. Raises `BackendError`."""
        assert self.host is not None
        if self.entity is None:
            self.entity = await self.host.directory.load(self.recipient)
        if self.kind.has_parties:
            jids = [jid for jid in self.kind.parties(self) if jid.domain in hosts]
            loaded = [(hosts[jid.domain], await hosts[jid.domain].directory.load(jid)) for jid in jids]
            self.parties = tuple(loaded)

    def refresh(self) -> None:
        """Take the objects that are in memory now: nobody is there for good who is not pinned."""
        if self.host is not None and self.entity is not None:
            self.entity = self.host.directory.get(self.recipient) or self.entity
        if self.parties:
            self.parties = tuple(
                (host, host.directory.get(party.jid) or party) for host, party in self.parties
            )


def refresh(submissions: list[Submission]) -> None:
    """Take the objects that are in memory now, for messages of one origin."""
    submissions[0].origin.refresh()
    for submission in submissions:
        submission.refresh()


def deciding_hosts(submission: Submission) -> tuple[Host, ...]:
    """Give the hosts where somebody has a say: the origin's, and the recipient's if that is another."""
    ours, theirs = submission.origin.host, submission.host
    first = () if ours is None or not ours.hooks.has(MessageSubmitted) else (ours,)
    if theirs is None or theirs is ours or not theirs.hooks.has(MessageSubmitted):
        return first
    return (*first, theirs)


def outcome_of(submission: Submission) -> Outcome:
    """Say what became of a message that was accepted."""
    accepted = submission.accepted
    if accepted is None:
        return Outcome()
    own = submission.origin.jid.text
    place = next((place for place in accepted.places if place.archive == own), None)
    if place is None and submission.message.kind == "groupchat":
        place = next(iter(accepted.places), None)
    return Outcome(place=place, time=accepted.time, is_repeated=accepted.repeated)
