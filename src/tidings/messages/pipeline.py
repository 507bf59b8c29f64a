"""Pipeline: a message's way from whoever submits it through the ledger to whom it is for.

load → decide → guard → plan → append → ack → deliver → copy → observe: the steps stand in this order. Store
first, then deliver: nobody sees a message that could still vanish.

Invariants:
- from guard to commit nothing is awaited; what guard has read is compared again under the ledger's lock;
- what a batch brings is delivered in the callback of the ledger's answer, and the ledger answers in the order
  of the archives: sessions get messages in the order of their positions;
- each submission has one outcome when its batch is done, whoever submitted it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tidings.base.errors import BackendError, StanzaError
from tidings.kernel.account import Account
from tidings.kernel.events import (
    CommitUncertain,
    MessageAccepted,
    MessageSubmitted,
    StanzaArriving,
    StanzaSubmitted,
)
from tidings.kernel.hooks import Dropped
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn, until_done
from tidings.kernel.reasons import Reason
from tidings.kernel.routing import Routing
from tidings.kernel.seats import Seats
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import DELIVERY_SAMPLE, Telemetry
from tidings.messages import entries, tracing
from tidings.messages.delivery_times import note_delivery
from tidings.messages.handover import Handover
from tidings.messages.message_spans import MessageSpans
from tidings.messages.origin import Origin, Via
from tidings.messages.passing import ByOwner, handled
from tidings.messages.refusals import Refusals
from tidings.messages.submission import (
    MessageKind,
    Outcome,
    Submission,
    deciding_hosts,
    outcome_of,
    refresh,
)
from tidings.ports.bus import ForOwner, Handled
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Committed,
    LedgerBatch,
    Stale,
)
from tidings.ports.ledger.batch import Outcome as LedgerOutcome
from tidings.wire.xmpp.classification import NOTHING, Storage, classify
from tidings.wire.xmpp.payloads.arrival import has_claims, without_forgeries
from tidings.wire.xmpp.stanza import Stanza

_NOT_STORED: Final = Storage.NONE  # looking up a member of an enumeration costs more than a call
_MOST_TRIES: Final = 5


class Pipeline:
    """Takes messages from every origin; works for the router."""

    def __init__(
        self,
        routing: Routing,
        kinds: Mapping[str, MessageKind],
        elsewhere: MessageKind,
        ledger: Ledger | None,
        supervisor: Supervisor,
        telemetry: Telemetry,
    ) -> None:
        self._routing = routing
        self._kinds = kinds
        self._elsewhere = elsewhere
        self._ledger = ledger
        self._supervisor = supervisor
        self._telemetry = telemetry
        self._traces = routing.traces
        self._refusals = Refusals(routing, supervisor)
        self._untimed = DELIVERY_SAMPLE - 1  # the first is timed: a quiet server shows something, too
        self.handover: Handover | None = None
        """The way to sessions on other nodes; None where this is the only one."""
        self.by_owner: ByOwner | None = None
        """Takes what is for entities that live on one node there; None where there is one node."""
        self.spans: MessageSpans | None = None
        """Who tells a collector of some messages; None where nobody does."""
        self.may_decide = False
        """Whether somebody has a say about messages before guard, on any host that was ever served."""

    # --- who submits

    def submit(
        self, origin: Origin, messages: Sequence[Stanza], numbers: Sequence[int] = ()
    ) -> MaybeAwaitable:
        """Take messages of one origin that arrived together; errors are answered, and none is raised.

        Their `from` is stamped or verified. `numbers` are theirs on the origin's stream, where it counts.
        """
        return self._take(self._submissions(origin, messages, numbers))

    async def send(self, origin: Origin, messages: Sequence[Stanza]) -> list[Outcome]:
        """Take messages of one origin and give their outcomes, in order, when all that they cause is done."""
        submissions = self._submissions(origin, messages)
        await until_done(self._take(submissions))
        return [submission.outcome or outcome_of(submission) for submission in submissions]

    def _submissions(
        self, origin: Origin, messages: Sequence[Stanza], numbers: Sequence[int] = ()
    ) -> list[Submission]:
        """Find out where messages go: without an address, to the sender's own account (§10.3.1)."""
        self._telemetry.stanzas_in["message"] += len(messages)
        submissions = []
        for message in messages:
            to = message.to
            recipient = origin.jid if to is None else to.bare
            kind = self._kinds.get(recipient.domain, self._elsewhere)
            host = entity = None
            if kind is not self._elsewhere:
                recipient = kind.address(recipient)
                host = self._routing.hosts[recipient.domain]
                entity = host.directory.get(recipient) if recipient.local else None
            submissions.append(Submission(origin, message, recipient, host, kind, entity))
        if numbers:
            for submission, number in zip(submissions, numbers, strict=True):
                submission.number = number
        self._untimed += 1
        if self._untimed == DELIVERY_SAMPLE:
            self._untimed = 0
            submissions[0].timed_since = self._telemetry.now()
        if self.spans is not None:
            self.spans.begin(submissions)
        return submissions

    # --- where the recipient lives on one node

    def _take(self, submissions: list[Submission]) -> MaybeAwaitable:
        by_owner = self.by_owner
        return self._begin(submissions) if by_owner is None else by_owner.take(submissions)

    def join(self, handover: Handover, seats: Seats) -> None:
        """Reach sessions and entities on other nodes from now on."""
        self.handover = handover
        self.by_owner = ByOwner(seats, self._begin, self._refusals)

    async def take_passed(self, message: Stanza, item: ForOwner) -> Handled:
        """Take a message that another node has passed on, and tell what became of it."""
        assert message.sender is not None
        sender = message.sender.bare
        host = self._routing.hosts.get(sender.domain)
        origin = Origin(sender, host, Via(item.via), passed_stream=item.stream, is_passed=True)
        submissions = self._submissions(origin, (message,), (item.number,))
        await until_done(self._take(submissions))
        return handled(item.pass_id, submissions[0])

    # --- load

    def _begin(self, submissions: list[Submission]) -> MaybeAwaitable:
        """Go on at once with what is in memory and nobody has to decide about, as most messages are."""
        origin = submissions[0].origin
        if origin.entity is None and origin.is_unloaded:
            return self._load(submissions)
        for submission in submissions:
            if (submission.entity is None or submission.kind.has_parties) and submission.has_to_be_loaded():
                return self._load(submissions)
        return self._decide(submissions) if self.may_decide else self._commit(submissions)

    async def _load(self, submissions: list[Submission]) -> None:
        """load: what guards need of the origin, of the recipients and of third parties."""
        origin = submissions[0].origin
        try:
            if origin.is_unloaded:
                await origin.load()
            for submission in submissions:
                if submission.has_to_be_loaded():
                    await submission.load(self._routing.hosts)
        except Exception as error:  # noqa: BLE001  # where a loader's bug ends
            refusal = self._routing.refusal(error, "load")
            for submission in submissions:
                self._refusals.refuse(submission, refusal)
            return
        if self._traces.is_logged:
            tracing.tell_loaded(submissions)
        refresh(submissions)
        await until_done(self._decide(submissions))

    # --- decide

    def _decide(self, submissions: list[Submission]) -> MaybeAwaitable:
        """decide: others may have a say, on both sides' hosts, and may be waited for."""
        ours = submissions[0].origin.host
        if ours is not None and ours.hooks.has(MessageSubmitted):
            return self._decide_all(submissions)
        for submission in submissions:
            theirs = submission.host
            if theirs is not None and theirs is not ours and theirs.hooks.has(MessageSubmitted):
                return self._decide_all(submissions)
        return self._commit(submissions)

    async def _decide_all(self, submissions: list[Submission]) -> None:
        """Ask for all of a batch together, and take the answers in order."""
        await asyncio.gather(*(self._decide_one(submission) for submission in submissions))
        remaining = [submission for submission in submissions if submission.outcome is None]
        if remaining:
            refresh(remaining)
            await until_done(self._commit(remaining))

    async def _decide_one(self, submission: Submission) -> None:
        origin, before = submission.origin, submission.message
        try:
            for host in deciding_hosts(submission):
                event = MessageSubmitted(
                    submission.message, origin.jid, submission.recipient, origin.via.value, origin.session
                )
                await until_done(host.hooks.decide(event, tracing.rewriting(self._traces, submission, event)))
                if event.stanza is not submission.message:
                    submission.submitted = before
                    submission.message = event.stanza.replace(sender=before.sender, to=before.to)
        except (StanzaError, BackendError, Dropped) as error:
            self._refusals.refuse_for(submission, error)

    # --- guard, plan, append: from here on nothing is awaited but the commit

    def _commit(self, submissions: list[Submission]) -> MaybeAwaitable:
        accepted: list[Submission] = []
        appends: list[Append] = []
        for submission in submissions:
            try:
                self._guard(submission)
                self._plan(submission)
            except (StanzaError, BackendError, Dropped) as error:
                self._refusals.refuse_for(submission, error)
                continue
            accepted.append(submission)
            if submission.plan.append is not None:
                appends.append(submission.plan.append)
        if not accepted:
            return None
        if self._traces.is_logged:
            for submission in accepted:
                tracing.tell_planned(submission)
        if self.spans is not None:
            self.spans.planned(accepted)
        if not appends:
            wait = self._accept(accepted, ())
            if self.spans is not None:
                self.spans.delivered(accepted)
            if accepted[0].timed_since is not None:
                note_delivery(accepted[0], self._telemetry)
            return wait
        assert self._ledger is not None  # hosts with archives have one
        try:
            committing = self._ledger.commit(LedgerBatch(appends=tuple(appends)))
        except Exception as error:  # noqa: BLE001  # where a ledger's bug ends
            self._refusals.refuse_all(accepted, error)
            return None
        return self._accept_later(committing, accepted)

    def _guard(self, submission: Submission) -> None:
        """guard: may it pass? Asked of the sender's side, then of the recipient's, then of third parties."""
        message, origin = submission.message, submission.origin
        if origin.entity is not None:
            assert origin.host is not None
            origin.host.hooks.guard(StanzaSubmitted(origin.entity, message))
        if submission.entity is not None:
            assert submission.host is not None
            submission.host.hooks.guard(StanzaArriving(submission.entity, message))
            if submission.parties:
                for host, party in submission.parties:
                    host.hooks.guard(StanzaArriving(party, message))

    def _plan(self, submission: Submission) -> None:
        """plan: who keeps it and who gets it, from what is loaded; or why not."""
        origin, host, ours = submission.origin, submission.host, submission.origin.host
        if has_claims(submission.message):
            submission.message = without_forgeries(submission.message, *submission.ours())
        message = submission.message
        home = ours if ours is not None and ours.has_archives and origin.entity is not None else None
        classification, kept = NOTHING, None
        if self._ledger is not None and (home is not None or host is None or host.has_archives):
            classification = classify(message)
            if home is not None and classification.storage is not _NOT_STORED:
                kind = self._kinds.get(home.domain)
                if kind is None:
                    text = f"{home.domain} is not served any more"
                    raise StanzaError("service-unavailable", text, by=Reason.UNSERVED)
                kept = kind.keep(submission, classification)
        if host is not None and submission.entity is None and not submission.kind.reads_messages:
            raise StanzaError("service-unavailable", by=Reason.NO_MESSAGES)
        submission.plan = submission.kind.plan(submission, classification, kept)

    # --- ack

    def _accept_later(
        self, committing: asyncio.Future[Committed], submissions: list[Submission]
    ) -> Awaitable[None]:
        """Deliver in the very callback of the ledger's answer, which come in the order of the archives.

        A task that awaits the answer would not do: it may find it there when it first runs, and go ahead of
        tasks that have been woken by earlier ones.
        """
        done: asyncio.Future[None] = committing.get_loop().create_future()
        committing.add_done_callback(functools.partial(self._answered, submissions, done))
        return done

    def _answered(
        self,
        submissions: list[Submission],
        done: asyncio.Future[None],
        committing: asyncio.Future[Committed],
    ) -> None:
        if committing.cancelled():
            done.cancel()
            return
        error = committing.exception()
        if error is not None:
            session = submissions[0].origin.session
            if session is not None and session.ended:
                session.flow.stop_counting = True  # nobody is there to be told of the error
            self._refusals.refuse_all(submissions, error)
            self._settle(done, in_turn(self._doubt(submissions)))
            return
        # What was loaded before the commit may have been dropped since, and then it has no session; and what
        # nobody keeps goes to those who are there now, as what was kept before it does.
        refresh(submissions)
        for submission in submissions:
            if submission.plan.append is None and submission.plan.sessions is not None:
                submission.plan = msgspec.structs.replace(submission.plan, sessions=None)
        wait = None
        try:
            answers = committing.result().outcomes
            if self.spans is not None:
                self.spans.committed(submissions, answers)
            wait = self._accept(submissions, answers)
            if self.spans is not None:
                self.spans.delivered(submissions)
            if submissions[0].timed_since is not None:
                note_delivery(submissions[0], self._telemetry)
        except Exception as bug:  # noqa: BLE001  # else it would end in the event loop, and the origin wait
            self._supervisor.report("accept", bug)
        self._settle(done, wait)

    def _settle(self, done: asyncio.Future[None], wait: MaybeAwaitable) -> None:
        """Let those go on who wait for a batch, once the rest of it is done, too."""
        if wait is not None:
            self._supervisor.when_done("accept", wait, functools.partial(self._settle, done, None))
        elif not done.done():  # the server may have given up waiting
            done.set_result(None)

    def _accept(self, submissions: list[Submission], answers: Sequence[LedgerOutcome]) -> MaybeAwaitable:
        """ack, deliver, copy, observe: the messages are durable, or need no storage."""
        waits: list[Awaitable[None]] = []
        stale: list[Submission] = []
        remaining = iter(answers)
        origin, traces = submissions[0].origin, self._traces
        if traces.is_logged:
            tracing.tell_accepted(submissions, answers)
        for submission in submissions:
            accepted = None
            if submission.plan.append is not None:
                answer = next(remaining)
                if isinstance(answer, Stale):
                    stale.append(submission)
                    traces.note(submission, "stale", Reason.STALE, answer.archive)
                    continue
                if not isinstance(answer, Accepted):
                    self._refusals.refuse_by_ledger(submission, answer)
                    continue
                accepted = submission.accepted = answer
            try:
                if accepted is None or not accepted.repeated:
                    wait = submission.kind.deliver(submission, accepted)
                    if wait is not None:
                        waits.append(wait)
            except Exception as error:  # noqa: BLE001  # one message that cannot be handed over, not its batch
                self._supervisor.report("deliver", error)
            if origin.entity is not None and not submission.is_for_host:
                waits += self._tell_sender(submission, accepted)
            if traces.has_room:
                tracing.observe(traces, submission, is_waited_for=bool(waits))
        if stale:
            waits.append(self._submit_again(stale))
        return self._all(waits) if waits else None

    def _tell_sender(self, submission: Submission, accepted: Accepted | None) -> Iterable[Awaitable[None]]:
        """copy, observe, on the sender's side."""
        origin, plan = submission.origin, submission.plan
        host, entity = origin.host, origin.entity
        if host is None or not isinstance(entity, Account):
            return ()
        new = None if accepted is None or accepted.repeated else accepted
        event = MessageAccepted(
            entity, origin.session, submission.message, plan.classification, accepted, submission
        )
        if self.handover is not None:
            is_to_self = submission.entity is entity
            told = self.handover.tell_sender(host, event, submission.body, is_to_self=is_to_self)
        else:
            if new is not None and new.places and new.places[0].archive == entity.jid:
                entity.position = new.places[0].position
            told = host.hooks.tell(event)
        if new is None or not (new.targets or new.returned) or event.stored is None:
            return () if told is None else (told,)
        peer, session = submission.recipient, origin.session
        effects = entries.effects_of(entity, peer, event.stored, is_own=True, by=session)
        return [wait for wait in (told, *map(host.hooks.tell, effects)) if wait is not None]

    async def _all(self, waits: list[Awaitable[None]]) -> None:
        for wait in waits:
            try:
                await wait
            except Exception as error:  # noqa: BLE001  # one message that cannot be handed over, not its batch
                self._supervisor.report("deliver", error)

    # --- what was guarded too early, and what was refused

    async def _submit_again(self, submissions: list[Submission]) -> None:
        """What guard saw had changed before the commit: read it anew and ask guard again."""
        for submission in submissions:
            submission.tries += 1
            if submission.tries > _MOST_TRIES:
                self._refusals.refuse_stale(submission)
        submissions = [submission for submission in submissions if submission.tries <= _MOST_TRIES]
        try:
            for submission in submissions:
                origin = submission.origin
                if submission.entity is not None and submission.host is not None:
                    await submission.host.directory.refresh(submission.entity)
                if origin.entity is not None and origin.host is not None:
                    await origin.host.directory.refresh(origin.entity)
                for host, party in submission.parties or ():
                    await host.directory.refresh(party)
        except Exception as error:  # noqa: BLE001  # where a loader's bug ends
            self._refusals.refuse_all(submissions, error)
            return
        if submissions:
            await until_done(self._commit(submissions))

    def _doubt(self, submissions: list[Submission]) -> Iterable[MaybeAwaitable]:
        """Tell those whose archives may have a message after all: nobody has delivered it."""
        concerned: dict[Account, Host] = {}
        for submission in submissions:
            if submission.plan.append is not None and isinstance(submission.entity, Account):
                assert submission.host is not None
                concerned[submission.entity] = submission.host
        for account, host in concerned.items():
            if self.handover is not None:
                self.handover.doubt(account)
            yield host.hooks.tell(CommitUncertain(account))
