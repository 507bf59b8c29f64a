"""BoshSession: one client's session with the connection manager, without a socket or a clock.

Implements XEP-0124 1.11 and XEP-0206 1.4 from the connection manager's side; the marks § point at sections of
XEP-0124. Left out: §16 (several streams in one session), `route` (there is no other server behind this one),
compressed bodies.

How it is driven: `receive` takes a request, the first one included, together with an *exchange*, any value
that stands for the HTTP request that waits, and gives the events that it means for the stream. `send` and
`close` are what the server says. After any of them `flush` gives the answers that are due; `expire` and
`flush` are called at `deadline`. Each exchange is answered once.

Invariants:
- requests are taken and answered in the order of their rid, each exactly once; a repeat changes nothing;
- at most `hold` requests are unanswered after a flush, unless one that comes before them has not arrived;
- elements go only into answers to which somebody listens, and stay in the cache for a repeat of the request;
- what is kept is bounded: the requests of the window, as many answers, and the outbox, whose size the driver
  watches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from enum import Enum, auto
from typing import Final

from tidings.wire.xmpp.bosh.body import LEGACY_STATUS, BindingError, Body, TerminalCondition, write_body
from tidings.wire.xmpp.bosh.events import Answer, Closed, Ending, Event, Opened, Received, Restarted
from tidings.wire.xmpp.bosh.keys import KeySequence
from tidings.wire.xmpp.bosh.options import BoshOptions
from tidings.wire.xmpp.bosh.request import Arrival, Request, SentAnswer
from tidings.wire.xmpp.bosh.terms import XMPP_VERSION, Terms

SLACK: Final = 0.5
"""Seconds by which an empty request may come too soon: two that were sent in pace arrive out of it."""
REPORT_AFTER: Final = 1.0
"""An answer that the client has not seen after so many seconds is reported to it (§9.2)."""


class BoshState(Enum):
    """Where a session stands."""

    OPEN = auto()
    FAREWELL = auto()
    """The client has asked for the end and is told so with the next flush."""
    CLOSING = auto()
    """The server has ended the stream; the next request takes the news."""
    ENDED = auto()


class BoshSession:
    """The connection manager's half of one BOSH session."""

    def __init__(
        self, first: Body, *, sid: str, now: float, options: BoshOptions, secure: bool = False
    ) -> None:
        """Prepare for this first request, which is then received like any other.

        `sid` comes from a generator that nobody can predict; `secure` tells whether it came over TLS.
        Raises `BindingError` when it cannot begin a session.
        """
        self.sid = sid
        self.secure = secure
        self.state = BoshState.OPEN
        self.buffered = 0
        """So many octets wait for a request that takes them."""
        self.terms = Terms.agree(first, options)
        self._options = options
        self._first = self._next = first.rid
        self._keys = KeySequence(None)
        self._early: dict[int, Request] = {}
        self._held: deque[Request] = deque()
        self._cache: dict[int, SentAnswer] = {}
        self._outbox: deque[bytes] = deque()
        self._direct: list[Answer] = []  # answers that no rule holds back
        self._alive = now  # when the client was last known to be there
        self._silence = self.terms.inactivity
        self._last_arrival: float | None = None
        self._last_was_empty = False
        self._last_answer_was_empty = False
        self._release = False  # answer everything that is held (§10)
        self._report: int | None = None
        self._farewell: tuple[TerminalCondition | None, bytes] = (None, b"")

    @property
    def deadline(self) -> float | None:
        """When `expire` and `flush` are to be called if nothing happens before; None for never."""
        if self.state is BoshState.ENDED:
            return None
        times = [self._alive + self._silence] if self._is_silent else []
        times += [request.arrived + self.terms.wait for request in self._held if request.exchange is not None]
        times += [request.arrived + self.terms.inactivity for request in self._early.values()]
        return min(times, default=None)

    @property
    def _is_silent(self) -> bool:
        """Whether no request of the client waits for an answer."""
        return not self._early and all(request.exchange is None for request in self._held)

    # --- the client

    def arrival(self, rid: int, extra: int = 0) -> Arrival:
        """Tell how a request with this rid stands to those before it; `extra` widens the window."""
        if rid in self._early or any(request.rid == rid for request in self._held):
            return Arrival.PENDING
        if rid in self._cache:
            return Arrival.ANSWERED
        if rid == self._next:
            return Arrival.NEXT
        # §14.2: the window begins behind the last request that was in order.
        if self._next < rid < self._next + self.terms.requests + extra:
            return Arrival.EARLY
        return Arrival.OUTSIDE

    def receive(self, body: Body, exchange: Hashable, now: float) -> list[Event]:
        """Take a request that names this session, or the first one; give what it means for the stream."""
        events: list[Event] = []
        culprit: Hashable | None = exchange
        try:
            rid = body.rid
            if self.state in {BoshState.FAREWELL, BoshState.ENDED}:
                raise BindingError(TerminalCondition.ITEM_NOT_FOUND, "the session has ended")
            self._alive = now
            request = Request(rid, body, exchange, now)
            match self.arrival(rid, request.extra):
                case Arrival.OUTSIDE:
                    raise BindingError(TerminalCondition.ITEM_NOT_FOUND, "the rid is outside of the window")
                case Arrival.ANSWERED:
                    self._repeat_answer(self._cache[rid], exchange)
                case Arrival.PENDING:
                    self._replace(self._pending(rid), exchange, now)
                case Arrival.NEXT | Arrival.EARLY:
                    self._check_crowd(request)
                    self._check_pace(request)
                    self._early[rid] = request
                    while self.state is BoshState.OPEN and self._next in self._early:
                        request = self._early.pop(self._next)
                        culprit = request.exchange
                        self._accept(request, now, events)
        except BindingError as error:
            events += self._refuse(error, culprit)
        return events

    def refuse(self, error: BindingError) -> list[Event]:
        """End the session for a request that named it and could not be read (§17.2)."""
        return self._refuse(error, None)

    def lost(self, exchange: Hashable, now: float) -> None:
        """Note that nobody waits for the answer of this exchange any more; its request stays taken."""
        for request in (*self._held, *self._early.values()):
            if request.exchange == exchange:
                request.exchange = None
                self._alive = now

    def expire(self, now: float) -> list[Event]:
        """End the session when its client has been silent for too long (§10)."""
        if self.state is BoshState.ENDED:
            return []
        overdue = any(request.arrived + self.terms.inactivity <= now for request in self._early.values())
        if not overdue and not (self._is_silent and self._alive + self._silence <= now):
            return []
        known = self.state is not BoshState.OPEN
        self._end()
        return [] if known else [Closed(Ending.SILENCE)]

    # --- the server

    def send(self, payload: bytes) -> None:
        """Queue one complete element; its prefixes are its own, but for `stream:`."""
        if self.state is BoshState.OPEN:
            self._outbox.append(payload)
            self.buffered += len(payload)

    def close(self, condition: TerminalCondition | None = None, payload: bytes = b"") -> None:
        """End the session; the client hears of it, with this payload, in the next answer (§17.2)."""
        if self.state is BoshState.OPEN:
            self.state = BoshState.CLOSING
            self._farewell = (condition, payload)

    def abandon(self) -> None:
        """End the session at once; whoever waits is told."""
        if self.state is BoshState.CLOSING and not self._is_silent:
            self._part([*self._outbox, self._farewell[1]])
        elif self.state is not BoshState.ENDED:
            self._end()

    def flush(self, now: float) -> list[Answer]:
        """Give the answers that are due now, in the order of their requests."""
        match self.state:
            case BoshState.OPEN:
                self._flush_elements(now)
                self._flush_due(now)
            case BoshState.FAREWELL:
                self._part([])
            case BoshState.CLOSING if not self._is_silent:
                self._part([*self._outbox, self._farewell[1]])
            case _:
                pass
        answers, self._direct = self._direct, []
        return answers

    # --- rules

    def _check_crowd(self, request: Request) -> None:
        """§11: no more requests at a time than agreed, and one more to pause or to end."""
        if self._unanswered >= self.terms.requests + request.extra:
            raise BindingError(TerminalCondition.POLICY_VIOLATION, "too many requests at a time")

    def _check_pace(self, request: Request) -> None:
        """§11 and §12: no empty request so soon after another."""
        empty = request.body.is_empty and request.rid != self._first
        since = float("inf") if self._last_arrival is None else request.arrived - self._last_arrival
        if empty and since < self.terms.polling - min(SLACK, self.terms.polling / 2):
            if self.terms.is_polling:
                broken = self._last_was_empty and self._last_answer_was_empty
            else:
                # Requests on two sockets overtake each other: only the newest can be the one too many.
                is_newest = all(rid < request.rid for rid in self._early)
                broken = is_newest and self._unanswered + 1 == self.terms.requests
            if broken:
                raise BindingError(TerminalCondition.POLICY_VIOLATION, "empty requests follow too soon")
        self._last_arrival = request.arrived
        self._last_was_empty = empty

    @property
    def _unanswered(self) -> int:
        """So many requests the client waits for; those whose connection broke it has given up."""
        return len(self._early) + sum(request.exchange is not None for request in self._held)

    def _accept(self, request: Request, now: float, events: list[Event]) -> None:
        """Take the request that is next in order."""
        body = request.body
        attributes = body.attributes
        if not self._keys.accept(attributes.get("key"), attributes.get("newkey")):
            raise BindingError(TerminalCondition.ITEM_NOT_FOUND, "the key does not follow")
        self._note_pause(body)
        self._note_ack(body, now)
        self._next += 1
        self._held.append(request)
        sender, language = attributes.get("from"), attributes.get("xml:lang")
        if request.rid == self._first:
            events.append(Opened(self.terms.domain, sender, language, attributes.get(XMPP_VERSION)))
        elif body.is_restart:
            to = attributes.get("to") or self.terms.domain
            if to.lower() != self.terms.domain.lower():
                self._held.pop()
                raise BindingError(
                    TerminalCondition.POLICY_VIOLATION, "a session stays with its first domain"
                )
            events.append(Restarted(self.terms.domain, sender, language))
        if not body.is_restart:  # XEP-0206 §5: what comes with a restart is ignored
            events += [Received(payload) for payload in body.payloads]
        if body.is_final:
            self.state = BoshState.FAREWELL
            events.append(Closed(Ending.CLIENT))

    def _note_pause(self, body: Body) -> None:
        """§10: the next silence may be longer, or shorter, than agreed."""
        self._silence = self.terms.inactivity
        pause = body.number("pause")
        if pause is not None:
            if pause > self.terms.max_pause:
                raise BindingError(TerminalCondition.POLICY_VIOLATION, "the pause is longer than maxpause")
            self._silence = pause
            self._release = True

    def _note_ack(self, body: Body, now: float) -> None:
        """§9.2: forget what the client has, tell it what it seems to have lost."""
        ack = body.number("ack") if self.terms.acknowledges else None
        if ack is None or ack < self._first:
            return
        for rid in [rid for rid in self._cache if rid <= ack]:
            del self._cache[rid]
        missed = self._cache.get(ack + 1)
        if missed is not None and now - missed.at >= REPORT_AFTER:
            self._report = ack + 1

    def _pending(self, rid: int) -> Request:
        return self._early.get(rid) or next(request for request in self._held if request.rid == rid)

    def _repeat_answer(self, sent: SentAnswer, exchange: Hashable) -> None:
        """§14.3: the same answer to the same request."""
        sent.repeats += 1
        if sent.repeats > self._options.repeats:
            raise BindingError(TerminalCondition.POLICY_VIOLATION, "a request was repeated too often")
        self._say(exchange, sent.body)

    def _replace(self, request: Request, exchange: Hashable, now: float) -> None:
        """§14.3: the answer goes to the latest copy; the one before hears that it may be repeated."""
        request.repeats += 1
        if request.repeats > self._options.repeats:
            raise BindingError(TerminalCondition.POLICY_VIOLATION, "a request was repeated too often")
        self._say(request.exchange, write_body({"type": "error"}))
        request.exchange = exchange
        request.arrived = now

    # --- answers

    def _flush_elements(self, now: float) -> None:
        """Hand what waits to the oldest requests that somebody listens to."""
        held = self._held
        while self._outbox and not all(request.exchange is None for request in held):
            if held[0].is_pause:
                break  # §10: its answer is empty
            request = held.popleft()
            self._answer(request, [] if request.exchange is None else self._fill(), now)

    def _flush_due(self, now: float) -> None:
        """Answer those that may not be held longer."""
        held = self._held
        while held and (
            self._release
            or len(held) > self.terms.hold
            or self._report is not None
            or (held[0].exchange is not None and held[0].arrived + self.terms.wait <= now)
        ):
            self._answer(held.popleft(), [], now)
        self._release = False

    def _fill(self) -> list[bytes]:
        """Take from the outbox what one answer carries."""
        payloads: list[bytes] = []
        room = self._options.answer_bytes
        while self._outbox and (not payloads or len(self._outbox[0]) <= room):
            payload = self._outbox.popleft()
            payloads.append(payload)
            room -= len(payload)
            self.buffered -= len(payload)
        return payloads

    def _answer(self, request: Request, payloads: list[bytes], now: float) -> None:
        """Answer a request that has been taken off, and remember the answer."""
        attributes: dict[str, str] = {}
        newest = self._next - 1
        if request.rid == self._first:
            attributes = self.terms.greeting(self.sid, self._first)
        elif newest != request.rid:
            attributes["ack"] = str(newest)  # §9.1
        if self._report is not None:
            missed = self._cache.get(self._report)
            if missed is not None:
                attributes["report"] = str(self._report)
                attributes["time"] = str(min(int((now - missed.at) * 1000), 65_535))
            self._report = None
        body = write_body(attributes, payloads)
        self._cache[request.rid] = SentAnswer(body, now)
        while len(self._cache) > self.terms.requests + 1:
            del self._cache[next(iter(self._cache))]
        self._last_answer_was_empty = not payloads
        if request.exchange is not None:
            self._alive = now
            self._say(request.exchange, body)

    def _part(self, payloads: Iterable[bytes]) -> None:
        """Tell the oldest request that the session has ended, release the others (§13)."""
        waiting = sorted((*self._held, *self._early.values()), key=lambda request: request.rid)
        exchanges = [request.exchange for request in waiting if request.exchange is not None]
        condition = self._farewell[0]
        attributes = {"type": "terminate"} | ({} if condition is None else {"condition": condition})
        for number, exchange in enumerate(exchanges):
            self._say(exchange, write_body({}) if number else write_body(attributes, payloads))
        self._held.clear()
        self._early.clear()
        self._end()

    def _refuse(self, error: BindingError, culprit: Hashable | None) -> list[Event]:
        """End the session for what this request did."""
        legacy = self.terms.version is None
        status = LEGACY_STATUS.get(error.condition, 200) if legacy else 200
        self._say(culprit, write_body({"type": "terminate", "condition": error.condition}), status)
        known = self.state is not BoshState.OPEN
        self._end(spared=culprit)
        return [] if known else [Closed(Ending.VIOLATION, error.condition, error.text)]

    def _end(self, spared: Hashable | None = None) -> None:
        """Release every request that waits; nothing is taken after that."""
        other = write_body({"type": "terminate", "condition": TerminalCondition.OTHER_REQUEST})
        for request in (*self._held, *self._early.values()):
            if request.exchange != spared:
                self._say(request.exchange, other)
        self._held.clear()
        self._early.clear()
        self.state = BoshState.ENDED

    def _say(self, exchange: Hashable | None, body: bytes, status: int = 200) -> None:
        if exchange is not None:
            self._direct.append(Answer(exchange, body, status, self.terms.content_type))
