"""Refusals: how an origin hears that a message was not accepted, and why."""

from __future__ import annotations

from typing import Final

import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.base.shares import ShareExceeded
from tidings.kernel.hooks import Dropped
from tidings.kernel.reasons import Reason
from tidings.kernel.routing import Routing
from tidings.kernel.supervisor import Supervisor
from tidings.messages import message_spans, tracing
from tidings.messages.submission import Outcome, Submission
from tidings.ports.ledger.batch import Conflict, Full, Refused

log = structlog.get_logger("tidings.messages")

BACKEND_TEXT: Final = "the server cannot store this now; try again later"
_USED_KEY: Final = "another message was accepted under this key"
_FULL: Final = "the recipient's archive is full"
_DROPPED: Final = Outcome(is_dropped=True)


class Refusals:
    """Ends submissions that were not accepted; works for the pipeline."""

    def __init__(self, routing: Routing, supervisor: Supervisor) -> None:
        self._routing = routing
        self._supervisor = supervisor
        self._traces = routing.traces

    def refuse(self, submission: Submission, error: StanzaError) -> None:
        """Give the origin the reason: as a stanza, or as the outcome alone."""
        submission.outcome = Outcome(error=error)
        if self._traces.is_on:
            tracing.remember_refusal(self._traces, submission, error)
        message_spans.refused(submission, error)
        if submission.origin.is_answered:
            self._routing.refuse(submission.message, error)

    def refuse_for(self, submission: Submission, error: Exception) -> None:
        """Refuse a message because of what was raised on its way; a drop is silent."""
        if isinstance(error, Dropped):
            submission.outcome = _DROPPED
            if self._traces.is_on:
                tracing.remember_refusal(self._traces, submission, error)
            message_spans.refused(submission, None)
            return
        self.refuse(submission, self._routing.refusal(error))

    def refuse_all(self, submissions: list[Submission], error: BaseException) -> None:
        """Nothing of a batch is accepted: say so to the origin."""
        if isinstance(error, BackendError):
            log.error("commit_failed", messages=len(submissions), reason=str(error))
            refusal = StanzaError("resource-constraint", BACKEND_TEXT, by=Reason.NO_ANSWER)
        else:
            self._supervisor.report("commit", error)
            refusal = StanzaError("internal-server-error")
        for submission in submissions:
            self.refuse(submission, refusal)

    def refuse_by_ledger(self, submission: Submission, answer: Refused | Conflict | Full) -> None:
        """Refuse a message that the ledger does not take."""
        if isinstance(answer, Conflict):
            self.refuse(submission, StanzaError("conflict", _USED_KEY, by=Reason.USED_KEY))
            return
        if isinstance(answer, Full):
            self.refuse(submission, _without_room(submission, answer))
            return
        log.warning("message_unstorable", trace=submission.trace, reason=answer.reason)
        self.refuse(submission, StanzaError("not-acceptable", answer.reason, by=Reason.UNSTORABLE))

    def refuse_stale(self, submission: Submission) -> None:
        """Give up on a message whose guards have read something else each time."""
        log.warning("message_too_stale", trace=submission.trace)
        self.refuse(submission, StanzaError("resource-constraint", BACKEND_TEXT, by=Reason.TOO_STALE))


def _without_room(submission: Submission, full: Full) -> StanzaError:
    """Tell the sender how full its own archive is; of another one, only that there is no room."""
    if full.archive != submission.origin.jid.text:
        return StanzaError("resource-constraint", _FULL, by=Reason.RECIPIENT_FULL)
    error = ShareExceeded(f"the archive of {full.archive}", full.octets, full.allowed)
    error.by = Reason.SENDER_FULL
    return error
