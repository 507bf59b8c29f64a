"""Traces: what became of the messages that came last, remembered in memory and told to the debug log.

Of the messages that come within one second, the first are remembered, whether accepted or refused; the others
cost one test. So what is remembered reaches back for a while however many come, and keeps little in memory.

Invariants:
- nothing of a message's content is kept, and nothing large;
- a message is remembered once, when its outcome is known: accepted, repeated, refused or dropped;
- those that were refused take no room from those that were accepted;
- what is decided about it later, where somebody had to be waited for, is added to its notes.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, Protocol

import structlog

from tidings.base.jid import Jid
from tidings.kernel.clock import Clock, Timer
from tidings.kernel.reasons import Reason
from tidings.ports.ledger.batch import Accepted, OutboxTarget, Place
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.traces")

REMEMBERED: Final = 1_000
"""So many messages are remembered unless the configuration says otherwise; they take less than 4 MB."""

REACHES_BACK: Final = 5
"""What is remembered reaches back so many seconds at least."""

_LONGEST: Final = 256
"""Characters of an id or a text that are remembered."""


class Note(NamedTuple):
    """One decision about a message."""

    what: str
    """The name of the event in the log: `refused`, `copied`, `not_copied` …"""
    reason: str
    """By which rule: a `Reason`, or a `Rule` of the classification."""
    who: str = ""
    """Whom it concerns, or who decided: a session, a feature."""


class Traced(Protocol):
    """A message on its way, as far as those know it who tell what they decide about it."""

    message: Stanza
    notes: list[Note] | None
    """What was decided, besides what is the same for every message; None while there is nothing."""

    @property
    def trace(self) -> str:
        """The short id of the message in logs, made when it is asked for first."""
        ...

    def summary(self, now: float) -> Trace:
        """Give what is to be remembered; `now` is the time, for what has none."""
        ...


class Trace(NamedTuple):
    """What is remembered of a message."""

    time: float
    """When its outcome was known, in seconds; to the second where it was not stored."""
    id: str
    """The id that logs have for it; empty where no log has told of it."""
    sender: Jid
    """Its `from`."""
    to: Jid | None
    recipient: Jid
    """The bare JID that it is for."""
    stanza_id: str | None
    kind: str
    via: str
    """How it came: session, operation, server or self."""
    reason: str
    """Why it was kept so, or not."""
    rule: str
    """Why it is worth storing, or not."""
    keys: tuple[bytes, ...]
    """Its message keys."""
    outbox: tuple[OutboxTarget, ...]
    """The other servers that it is for."""
    accepted: Accepted | None
    sent_to: tuple[Jid, ...] | None
    """The sessions that it was for; `notes` tells of those that were not sent it."""
    notes: list[Note] | None

    @property
    def places(self) -> tuple[Place, ...]:
        """Where archives have it."""
        return () if self.accepted is None else self.accepted.places

    def noted(self, what: str) -> list[Note]:
        """Give the notes of one kind."""
        return [note for note in self.notes or () if note.what == what]


class Departure(NamedTuple):
    """A message that has left the outbox."""

    time: float
    domain: str
    places: tuple[Place, ...]
    """Its entries in archives here."""
    refusal: str
    """Why it was given back to its sender; empty where the other server has it."""


class Traces:
    """The messages that came last, the newest at the end; `keeps` is how many."""

    def __init__(self, keeps: int = 0, *, is_logged: bool = False, clock: Clock | None = None) -> None:
        self.keeps = keeps if clock is not None else 0
        self._clock = clock
        self.is_logged = is_logged
        """Whether somebody reads the debug log."""
        self.is_on = is_logged or self.keeps > 0
        self.a_second = -(-self.keeps // (2 * REACHES_BACK))
        """So many that were accepted within a second are remembered, and so many that were refused."""
        self.has_room = self.is_on
        """Whether a message that is accepted now is remembered, or told to the debug log."""
        self._accepted_left = self._refused_left = self.a_second
        self._recent: deque[Trace] = deque(maxlen=self.keeps)
        self._departures: deque[Departure] = deque(maxlen=self.keeps)
        self._timer: Timer | None = None

    @property
    def recent(self) -> list[Trace]:
        """What is remembered, the newest first."""
        return list(reversed(self._recent))

    def tell_debug_log(self, is_read: bool) -> None:  # a callback of one argument
        """Tell the debug log of messages from here on, or no longer."""
        self.is_logged = is_read
        self.is_on = is_read or self.keeps > 0
        self.has_room = is_read or self._accepted_left > 0

    def remember(self, traced: Traced) -> None:
        """Remember a message that is accepted, if there is room."""
        if self._accepted_left:
            self._accepted_left -= 1
            self.has_room = self.is_logged or self._accepted_left > 0
            self._add(traced)

    def remember_refused(self, traced: Traced) -> None:
        """Remember a message that is refused or dropped, if there is room."""
        if self._refused_left:
            self._refused_left -= 1
            self._add(traced)

    def _add(self, traced: Traced) -> None:
        if self._timer is None and self._clock is not None:
            self._timer = self._clock.call_later(1.0, self._begin_second)
        self._recent.append(traced.summary(self._now()))

    def _begin_second(self) -> None:
        self._timer = None
        self._accepted_left = self._refused_left = self.a_second
        self.has_room = self.is_on

    def _now(self) -> float:
        return 0.0 if self._clock is None else self._clock.now()

    def note(self, of: Traced | None, what: str, reason: str, who: object = "") -> None:
        """Tell of a decision about a message; None is one that came to be sent by another way."""
        if of is None or not self.is_on:
            return
        if of.notes is None:
            of.notes = []
        # The text of an address is there already: a thousand notes of one session share it.
        of.notes.append(Note(what, reason, who.text if isinstance(who, Jid) else str(who)))
        if self.is_logged:
            told = {"who": str(who)} if who else {}
            log.debug(what, trace=of.trace, reason=str(reason), **told)

    def left(self, domain: str, places: tuple[Place, ...], refusal: str = "") -> None:
        """Note that a message has left the outbox: the other server has it, or it was given back."""
        if self.keeps:
            self._departures.append(Departure(self._now(), domain, places, short(refusal) or ""))
        if self.is_logged:
            ids = {place.archive: place.id for place in places}
            what = "given_back" if refusal else "sent_on"
            log.debug(what, domain=domain, places=ids, reason=short(refusal) or Reason.SENT_ON.value)

    def departures(self, place: Place, domain: str) -> list[Departure]:
        """Give what is remembered of a message that has left the outbox of a domain."""
        return [each for each in self._departures if each.domain == domain and place in each.places]


def short(text: str | None) -> str | None:
    """Cut what somebody else has written to what is remembered of it."""
    return text if text is None or len(text) <= _LONGEST else text[:_LONGEST] + "…"
