"""Tracing: the debug lines of the pipeline's steps, and what is remembered of a message.

Every line names the event and has the trace id; none has a body. The pipeline calls this only where somebody
reads the debug log, or where something is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import structlog

from tidings.base.errors import StanzaError
from tidings.kernel.events import MessageSubmitted
from tidings.kernel.hooks import Dropped, Listener
from tidings.kernel.reasons import Reason
from tidings.kernel.traces import Traces, short
from tidings.messages.submission import Submission
from tidings.ports.ledger.batch import Accepted
from tidings.ports.ledger.batch import Outcome as LedgerOutcome
from tidings.wire.xmpp.payloads.stanza_ids import origin_id_of

log = structlog.get_logger("tidings.traces")


def tell_loaded(submissions: Iterable[Submission]) -> None:
    """Tell that sender and recipient had to be brought into memory."""
    for submission in submissions:
        log.debug("loaded", trace=submission.trace, recipient=submission.recipient.text)


def tell_planned(submission: Submission) -> None:
    """Tell that guards have let it pass, and who is to keep it and why."""
    message, origin, plan = submission.message, submission.origin, submission.plan
    sender = message.sender
    log.debug(
        "guarded",
        trace=submission.trace,
        sender=None if sender is None else sender.text,
        recipient=submission.recipient.text,
        id=short(message.id),
        origin_id=short(origin_id_of(message)),
        kind=short(message.kind),
        via=origin.via.value,
    )
    append = plan.append
    log.debug(
        "planned",
        trace=submission.trace,
        storage=plan.classification.storage.name.lower(),
        rule=str(plan.classification.rule),
        kept_by=() if append is None else tuple(entry.archive for entry in append.entries),
        outbox=() if append is None else tuple(outgoing.domain for outgoing in append.outbox),
        reason=str(plan.reason),
    )


def tell_accepted(submissions: Iterable[Submission], answers: Sequence[LedgerOutcome]) -> None:
    """Tell what the ledger has accepted, where it is kept, and what needed no storage."""
    remaining = iter(answers)
    for submission in submissions:
        answer = None if submission.plan.append is None else next(remaining)
        if answer is not None and not isinstance(answer, Accepted):
            continue  # the refusal is told, or that guard is asked again
        log.debug(
            "accepted" if answer is None or not answer.repeated else "repeated",
            trace=submission.trace,
            places={} if answer is None else {place.archive: place.id for place in answer.places},
            time=None if answer is None else answer.time,
        )


def tell_delivered(submission: Submission) -> None:
    """Tell which sessions were sent it."""
    if submission.sent_to is not None:
        passed_over = {note.who for note in submission.notes or () if note.what == "not_sent"}
        sessions = [session.jid.text for session in submission.sent_to if session.jid.text not in passed_over]
        log.debug("delivered", trace=submission.trace, sessions=sessions)


def observe(traces: Traces, submission: Submission, *, is_waited_for: bool) -> None:
    """Remember what became of a message that was accepted, and tell it where somebody reads that."""
    if traces.is_logged:
        tell_delivered(submission)
    if is_waited_for and submission.notes is None:
        submission.notes = []  # who is waited for may decide something yet
    traces.remember(submission)


def rewriting(traces: Traces, submission: Submission, event: MessageSubmitted) -> Callable[[Listener], None]:
    """Give what notes who has put another message in the place of this one."""
    before = event.stanza

    def asked(listener: Listener) -> None:
        nonlocal before
        if event.stanza is not before:
            before = event.stanza
            traces.note(submission, "rewritten", Reason.REWRITTEN, listener.title)

    return asked


def remember_refusal(traces: Traces, submission: Submission, error: StanzaError | Dropped) -> None:
    """Remember that a message is refused or dropped, why, and by whom."""
    if isinstance(error, Dropped):
        traces.note(submission, "dropped", Reason.DROPPED, error.by)
    else:
        told = f"{error.condition}: {error.text}" if error.text else error.condition
        traces.note(submission, "refused", short(told) or "", error.by)
    traces.remember_refused(submission)
