"""Passing on: messages for entities that live on other nodes, and what becomes of them there."""

from __future__ import annotations

from collections.abc import Callable

from tidings.base.errors import StanzaError
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.seats import Seats
from tidings.messages.refusals import Refusals
from tidings.messages.submission import Outcome, Submission, outcome_of
from tidings.ports.bus import ForOwner, Handled
from tidings.ports.ledger.batch import Place


class ByOwner:
    """Takes messages to where their recipients live; works for the pipeline, which does the rest."""

    def __init__(
        self, seats: Seats, begin: Callable[[list[Submission]], MaybeAwaitable], refusals: Refusals
    ) -> None:
        self._seats = seats
        self._begin = begin
        self._refusals = refusals

    def take(self, submissions: list[Submission]) -> MaybeAwaitable:
        """Deal with messages of one origin here, but for those whose recipients live on other nodes."""
        seats = self._seats
        for submission in submissions:
            if submission.recipient.domain in seats.living and not seats.is_here(submission.recipient):
                return self._take_apart(submissions)
        return self._begin(submissions)

    async def _take_apart(self, submissions: list[Submission]) -> None:
        """Take messages in their order, each to its node."""
        here: list[Submission] = []
        for submission in submissions:
            try:
                node = await self._owner_of(submission)
                if node is None:
                    here.append(submission)
                    continue
                if here:
                    waiting, here = here, []
                    await until_done(self._begin(_found_again(waiting)))
                await self._pass_on(node, submission)
            except Exception as error:  # noqa: BLE001  # where a bug of the ports ends
                self._refusals.refuse_for(submission, error)
        if here:
            await until_done(self._begin(_found_again(here)))

    async def _owner_of(self, submission: Submission) -> str | None:
        """Give the node where the recipient of a message lives; None where it is this one, or any."""
        recipient = submission.recipient
        if recipient.domain not in self._seats.living or not recipient.local:
            return None
        return await self._seats.owner_of(recipient, takes=submission.message.kind != "error")

    async def _pass_on(self, node: str, submission: Submission) -> None:
        """Have the owner of the recipient deal with a message, and note what became of it."""
        origin, message = submission.origin, submission.message
        stream = origin.stream_key if submission.number else None
        item = ForOwner(message.to_bytes(), 0, origin.via.value, stream, submission.number)
        answer = await self._seats.pass_on(node, submission.recipient, item)
        if answer.condition:
            error = StanzaError(
                answer.condition, answer.text, kind=answer.kind or None, payload=answer.payload
            )
            self._refusals.refuse(submission, error)
            return
        place = Place(answer.archive, answer.epoch, answer.position) if answer.position else None
        submission.outcome = Outcome(
            place=place, time=answer.time, is_repeated=answer.is_repeated, is_dropped=answer.is_dropped
        )


def _found_again(submissions: list[Submission]) -> list[Submission]:
    """Take the objects that are in memory now, or none: what was before the seat was taken is out of date."""
    submissions[0].origin.refresh()
    for submission in submissions:
        if submission.host is not None and submission.recipient.local:
            submission.entity = submission.host.directory.get(submission.recipient)
    return submissions


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
