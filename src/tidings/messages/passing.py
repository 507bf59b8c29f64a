"""Passing on: messages for entities that live on other nodes, and what becomes of them there."""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.kernel.seats import Seats
from tidings.messages.refusals import Refusals
from tidings.messages.submission import Outcome, Submission, outcome_of
from tidings.ports.bus import ForOwner, Handled
from tidings.ports.ledger.batch import Place


async def owner_of(seats: Seats, submission: Submission) -> str | None:
    """Give the node where the recipient of a message lives; None where it is this one, or any."""
    recipient = submission.recipient
    if recipient.domain not in seats.living or not recipient.local:
        return None
    return await seats.owner_of(recipient, takes=submission.message.kind != "error")


async def pass_on(seats: Seats, node: str, submission: Submission, refusals: Refusals) -> None:
    """Have the owner of the recipient deal with a message, and note what became of it."""
    origin, message = submission.origin, submission.message
    stream = origin.stream_key if submission.number else None
    item = ForOwner(message.to_bytes(), 0, origin.via.value, stream, submission.number)
    answer = await seats.pass_on(node, submission.recipient, item)
    if answer.condition:
        error = StanzaError(answer.condition, answer.text, kind=answer.kind or None, payload=answer.payload)
        refusals.refuse(submission, error)
        return
    place = Place(answer.archive, answer.epoch, answer.position) if answer.position else None
    submission.outcome = Outcome(
        place=place, time=answer.time, is_repeated=answer.is_repeated, is_dropped=answer.is_dropped
    )


def handled(pass_id: int, submission: Submission) -> Handled:
    """Tell the node that has passed a message on what became of it."""
    outcome = submission.outcome or outcome_of(submission)
    if outcome.error is not None:
        error = outcome.error
        return Handled(pass_id, error.condition, error.text, error.kind, error.payload)
    place = outcome.place
    return Handled(
        pass_id,
        archive="" if place is None else place.archive,
        epoch="" if place is None else place.epoch,
        position=0 if place is None else place.position,
        time=outcome.time,
        is_repeated=outcome.is_repeated,
        is_dropped=outcome.is_dropped,
    )
