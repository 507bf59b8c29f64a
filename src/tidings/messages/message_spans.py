"""Message spans: of some messages, every step is told to a tracer with its time.

A span begins when a message is submitted and ends when it is delivered or refused. On the way it notes what
was planned, that it is committed, and which sessions it was written to. What a client acknowledges later
(XEP-0198) is a span of its own below it.

Invariants:
- nothing of a message's content is told, and of addresses what the options say;
- a message that is not chosen costs the drawing of a number, and nothing where nobody traces;
- what waits for acknowledgements is bounded for each session.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from tidings.base.clock import TimeSource
from tidings.base.errors import StanzaError
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.kernel.traces import short
from tidings.messages.submission import Submission
from tidings.ports.ledger.batch import Accepted
from tidings.ports.ledger.batch import Outcome as LedgerOutcome
from tidings.ports.tracer import Span, Tracer

Addresses: TypeAlias = Literal["none", "domains", "full"]
"""How much of the addresses of a message is told."""

MOST_WAITING: Final = 64
"""So many traced messages of one session wait for its acknowledgement; beyond it the oldest are forgotten."""


class Waiting(NamedTuple):
    """A traced message that a session was sent and that its client has not acknowledged."""

    number: int
    """Which stanza of the session it is."""
    since: float
    span: Span
    attributes: dict[str, str | int | bool]


WAITING: Final[Slot[deque[Waiting]]] = Slot(
    "message_spans.waiting", factory=lambda: deque(maxlen=MOST_WAITING)
)
"""What a session's client has still to acknowledge."""


class MessageSpans:
    """Chooses messages and tells a tracer of them; a worker of the server."""

    def __init__(self, tracer: Tracer, clock: TimeSource, ratio: float, addresses: Addresses) -> None:
        """`ratio` is the part of all messages that is chosen, from 0 to 1."""
        self._tracer = tracer
        self._clock = clock
        self._ratio = ratio
        self._addresses = addresses
        self._chance = random.Random()  # noqa: S311  # nothing secret hangs on it

    async def start(self) -> None:
        """Begin; the tracer is there already."""

    def wind_down(self) -> None:
        """What is under way goes on to be told."""

    async def stop(self) -> None:
        """Hand on what was told."""
        await self._tracer.close()

    # --- the steps of the pipeline, in their order

    def begin(self, submissions: Sequence[Submission]) -> None:
        """Choose some of the messages that somebody has submitted."""
        draw, ratio = self._chance.random, self._ratio
        for submission in submissions:
            if draw() < ratio:
                submission.span = self._tracer.begin("message", self._known_of(submission))

    def planned(self, submissions: Sequence[Submission]) -> None:
        """Guards have let them pass, and it is said who keeps them."""
        for submission in submissions:
            if submission.span is not None:
                plan = submission.plan
                told: dict[str, str | int | bool] = {
                    "tidings.storage": plan.classification.storage.name.lower(),
                    "tidings.rule": str(plan.classification.rule),
                    "tidings.reason": str(plan.reason),
                    "tidings.try": submission.tries + 1,
                }
                submission.span.note("planned", told)

    def committed(self, submissions: Sequence[Submission], answers: Sequence[LedgerOutcome]) -> None:
        """The ledger has answered."""
        remaining = iter(answers)
        for submission in submissions:
            answer = None if submission.plan.append is None else next(remaining)
            if submission.span is not None and isinstance(answer, Accepted):
                submission.span.note(
                    "repeated" if answer.repeated else "committed", {"tidings.archives": len(answer.places)}
                )

    def delivered(self, submissions: Sequence[Submission]) -> None:
        """They have been written to the sessions that they are for, of which there may be none."""
        for submission in submissions:
            is_stale = submission.plan.append is not None and submission.accepted is None  # it is tried again
            if submission.span is not None and not is_stale:
                self._end(submission, submission.span)

    def _end(self, submission: Submission, span: Span) -> None:
        passed_over = {note.who for note in submission.notes or () if note.what == "not_sent"}
        for number, session in enumerate(submission.sent_to or (), 1):
            if session.jid.text in passed_over:
                continue
            told = self._known_of_session(session, number)
            span.note("delivered", told)
            # What a filter holds back is not written yet, so that no count says when the client has it.
            if session.flow.window is not None and session.outbound_filter is None:
                session[WAITING].append(Waiting(session.flow.sent, self._clock.now(), span, told))
        span.end()

    def acknowledged(self, session: Session, count: int) -> None:
        """The client of a session has its first `count` stanzas."""
        waiting = session[WAITING]
        while waiting and waiting[0].number <= count:
            first = waiting.popleft()
            first.span.follow("acknowledged", first.since, first.attributes)

    # --- what is told

    def _known_of(self, submission: Submission) -> dict[str, str | int | bool]:
        message, origin = submission.message, submission.origin
        told: dict[str, str | int | bool] = {
            "tidings.trace": submission.trace,
            "tidings.via": origin.via.value,
            "tidings.kind": short(message.kind) or "normal",
        }
        if self._addresses != "none":
            told["tidings.sender.domain"] = origin.jid.domain
            told["tidings.recipient.domain"] = submission.recipient.domain
        if self._addresses == "full":
            told["tidings.sender"] = (message.sender or origin.jid).text
            told["tidings.recipient"] = (message.to or submission.recipient).text
        return told

    def _known_of_session(self, session: Session, number: int) -> dict[str, str | int | bool]:
        """Tell the devices of a message apart, without their names unless addresses are told."""
        told: dict[str, str | int | bool] = {
            "tidings.device": number,
            "tidings.transport": session.transport,
            "tidings.detached": session.detached,
        }
        if self._addresses == "full":
            told["tidings.session"] = session.jid.text
        return told


def refused(submission: Submission, error: StanzaError | None) -> None:
    """End the span of a message that is refused, or dropped without a word where there is no error."""
    span = submission.span
    if span is None:
        return
    submission.span = None
    if error is None:
        span.note("dropped", {})
        span.end("dropped")
        return
    # The text of an error may have addresses; who has refused it is a rule or a feature.
    span.note("refused", {"tidings.condition": error.condition, "tidings.reason": str(error.by)})
    span.end(error.condition)
