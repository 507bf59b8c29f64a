"""Connection: one stream of one client, from its opening to its end, on any transport.

A gateway gives it a `Transport` and tells it what arrives: `receive` for headers, elements and the end,
`fail` for what its parser refuses, `lost` when the peer is gone. The negotiator that its listener
makes has the word until the stream is established; then what comes goes to a `StreamInput`. For a client that
is the input of a session, whose `Link` the connection then is.

Invariants:
- either there is a negotiator, or an input, with a session or without, or the stream has ended;
- what is written goes out in order, in one piece for each turn of the event loop; nothing ever waits for a
  slow reader: when more than `outbound_bytes` gather, and one stanza, the connection is cut;
- every ending goes through `_end`, once.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tidings.base.errors import StreamError
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Client, Session
from tidings.streams.acks import request_ack
from tidings.streams.client_input import ReceivedStreamError
from tidings.streams.listener import Item, ListenerContext, StreamInput, StreamNegotiator, Transport
from tidings.streams.pace import UNPACED, PacedReading
from tidings.streams.silence import ask_for_sign_of_life
from tidings.wire.xml.element import Element
from tidings.wire.xml.fragment import Fragment, StreamTail
from tidings.wire.xmpp.framing import Framing, TcpFraming, stream_error_element
from tidings.wire.xmpp.negotiation.values import StreamHeader, TlsInfo

if TYPE_CHECKING:
    from tidings.kernel.clock import Timer

_CLOSE_SECONDS = 5.0
_COUNTED = 4_096
"""Less than this is about to leave, and is counted nowhere."""


class Connection:
    """A client's stream; see the module."""

    __slots__ = (
        "_closing",
        "_context",
        "_counted",
        "_ended",
        "_flushing",
        "_frames",
        "_framing",
        "_heard",
        "_input",
        "_is_lost",
        "_is_used",
        "_leaving",
        "_negotiator",
        "_out",
        "_outbound_bytes",
        "_reading",
        "_timer",
        "_transport",
        "_unsent",
        "client",
        "rests_since",
        "session",
    )

    def __init__(
        self,
        context: ListenerContext,
        transport: Transport,
        framing: Framing,
        client: Client,
        tls: TlsInfo | None = None,
    ) -> None:
        self._context = context
        self._transport = transport
        self._framing = framing
        self._frames = not isinstance(framing, TcpFraming)  # there a stanza is its own frame
        self.client = client
        self.session: Session | None = None
        self._input: StreamInput | None = None
        self._out: list[bytes] = []
        self._outbound_bytes = context.options.outbound_bytes
        self._unsent = 0  # of `_out`, in octets
        self._counted = 0  # of what waits here, in the budget of the server
        self._flushing = False
        self._leaving = False
        self._closing = False
        self._ended = False
        self._heard = True
        self._is_lost = False
        self._is_used = False
        self._reading = PacedReading(transport, context.server.clock, UNPACED)
        self.rests_since: float | None = context.server.clock.monotonic()
        self._negotiator: StreamNegotiator | None = context.negotiator(context, self)
        server = context.server
        server.connections.add(self)
        self._timer: Timer | None = None
        self._await_login(is_encrypted=tls is not None)
        if tls is not None:
            self._negotiator.tls_established(tls)
        if server.draining:
            self.close(StreamError("system-shutdown", "the server is stopping"))

    # --- what the gateway tells

    def heard(self, octets: int = 0) -> None:
        """Note a sign of life that is no element: white space (RFC 6120 §4.6.1), or a part of one."""
        self._heard = True
        self._reading.came(0, octets)

    def receive(self, items: list[Item], octets: int = 0) -> None:
        """Take what one read has brought, in order; a bug that it uncovers ends this stream alone."""
        try:
            self._receive(items)
            self._reading.came(len(items), octets)
        except Exception as error:  # noqa: BLE001  # else it would end in the event loop
            server = self._context.server
            server.supervisor.report(
                "connection", error, session=str(self.session.jid if self.session else "")
            )
            self.close(StreamError("internal-server-error"))

    def _receive(self, items: list[Item]) -> None:
        self._heard = True
        self._is_used = True
        if self.rests_since is not None:
            self.rests_since = None
            self._context.server.resting.wakes(self)
        if self._closing or self._leaving:
            if self._closing and any(type(item) is StreamTail for item in items):
                self._transport.close()
            return
        if self._input is not None:
            self._receive_stanzas(items)
        elif self._negotiator is not None:
            self._negotiator.receive(items)

    def fail(self, error: StreamError) -> None:
        """End the stream because of what the peer sent or of what cannot go on."""
        self.close(error)

    def tls_established(self, info: TlsInfo) -> None:
        """Go on after the handshake."""
        if self._negotiator is not None:
            self.client.secure = True
            self._await_login(is_encrypted=True)
            self._negotiator.tls_established(info)

    def lost(self) -> None:
        """The transport is gone, in order or not; the stream ends soon, since many may be lost at once."""
        self._is_lost = True
        server = self._context.server
        if server.draining:
            self._lost()
        else:
            server.leaving.do(self._lost)

    def _lost(self) -> None:
        reason = None if self._closing else StreamError("connection-timeout", "the connection was lost")
        self._end(reason, is_lost=not self._closing)

    def nod_off(self) -> bool:
        """Give back what only reading needs, unless something has come since this was asked last."""
        if self._is_used and not self._ended:
            self._is_used = False
            return False
        self.rests_since = self._context.server.clock.monotonic()
        self._transport.rest()
        return True

    # --- the session's link

    def send(self, out: Outgoing) -> None:
        """Write a stanza; it leaves with everything else of this turn of the event loop."""
        self._write(self._framing.stanza(out.to_bytes()) if self._frames else out.to_bytes())

    def send_nonza(self, raw: bytes) -> None:
        """Write an element that is no stanza and declares its own namespace."""
        self._write(raw)

    def request_ack(self) -> None:
        """Ask the client what it has, if that is due (XEP-0198)."""
        if self.session is not None:
            request_ack(self.session.flow, self._write)

    def backlog(self) -> int:
        """Count what the transport has not taken."""
        if self._ended or self._is_lost:
            return 0
        backlog = self._transport.backlog()
        self._count(backlog)
        return backlog

    def has_room(self) -> bool:
        """Tell whether less waits than half of what may."""
        backlog = 0 if self._is_lost else self._transport.backlog()
        return (self._unsent + backlog) * 2 <= self._outbound_bytes

    def close(self, error: StreamError | None) -> None:
        """Say why, say goodbye and end."""
        if self._closing or self._ended:
            return
        if self._negotiator is not None and error is not None:
            self._negotiator.fail(error)
        self._close(error)

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()
        self._end(StreamError("system-shutdown"))

    def pause(self) -> None:
        """Read nothing from the client for now."""
        self._reading.pause()

    def resume(self) -> None:
        """Read from the client again, unless it has sent too much lately."""
        self._reading.resume()

    # --- what the negotiator asks for

    def send_opening(self, header: StreamHeader) -> None:
        """Write the opening of our stream."""
        self._write(self._framing.opening(header))

    def send_element(self, element: Element) -> None:
        """Write an element of the negotiation."""
        self._write(self._framing.element(element))

    def start_tls(self) -> None:
        """Send what has been written in plain text, then begin the handshake."""
        self._flush()
        self._transport.start_tls()

    def logged_in(self) -> None:
        """Apply the larger limits that hold after log-in."""
        self._transport.logged_in()

    def established(
        self, stream: StreamInput, session: Session | None, kept: list[Outgoing], rest: list[Item]
    ) -> None:
        """Go on without the negotiator: what comes is for this input from now on."""
        self._negotiator = None
        self.session = session
        self._input = stream
        self._reading = PacedReading(self._transport, self._context.server.clock, self._context.options.pace)
        for out in kept:
            self.send(out)
        if self._timer is not None:
            self._timer.cancel()
        self._watch_silence()
        if rest:
            self._receive_stanzas(rest)

    # --- a bound session

    def _receive_stanzas(self, items: list[Item]) -> None:
        stream = self._input
        assert stream is not None
        ending = next((item for item in items if type(item) is not Fragment), None)
        fragments: list[Fragment] = items if ending is None else items[: items.index(ending)]  # type: ignore[assignment]
        try:
            if fragments:
                stream.receive(fragments)
            if isinstance(ending, StreamHeader):
                raise StreamError("policy-violation", "this stream is open already")
        except StreamError as error:
            self._close(error)
            return
        if ending is None:
            return
        if stream.idle:
            self._close(None)
            return
        # RFC 6120 §4.4: what was sent before the end of the stream is dealt with and answered before ours.
        self._leaving = True
        stream.when_idle(functools.partial(self._close, None))

    # --- writing

    def _write(self, raw: bytes) -> None:
        out = self._out
        out.append(raw)
        self._unsent += len(raw)
        if not self._flushing:
            self._flushing = True
            self._context.server.flushing.put(self._flush)

    def _flush(self) -> None:
        session = self.session
        if session is not None and session.flow.window is not None and self._out and not self._closing:
            request_ack(session.flow, self._write)
        self._flushing = False
        self._unsent = 0
        if self._ended or self._is_lost:
            self._out.clear()
            return
        out = self._out
        if not out:
            return
        self._transport.write(out)
        backlog = self._transport.backlog()
        if backlog > _COUNTED or self._counted:
            self._count(backlog)
        is_cut = backlog > self._outbound_bytes and backlog - max(map(len, out)) > self._outbound_bytes
        out.clear()
        if is_cut:
            self._context.server.session_log.slow_reader(self.client, self.session, backlog)
            self._transport.abort()
            self._end(StreamError("resource-constraint", "too much is waiting to be read"), is_lost=True)

    def _count(self, backlog: int) -> None:
        """Count what waits here among what waits for all clients."""
        budget = self._context.server.outbound
        counted = backlog if backlog > _COUNTED else 0
        budget.octets += counted - self._counted
        self._counted = counted
        if budget.octets > budget.limit:
            budget.exceeded()

    # --- ending

    def _close(self, error: StreamError | None, *, is_lost: bool = False) -> None:
        """Write the goodbye and let the transport go when it has left."""
        if self._closing or self._ended:
            return
        if self._is_lost:  # nobody is there to be told
            self._end(error, is_lost=is_lost)
            return
        self._closing = True
        self._reading.stop()
        if error is not None:
            self._say_why(error)
        self._write(self._framing.closing())
        self._flush()
        self._leave(error, is_lost=is_lost)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._context.server.clock.call_later(_CLOSE_SECONDS, self._transport.abort)
        self._transport.close()

    def _say_why(self, error: StreamError) -> None:
        """Write a stream error, unless it is the client's own, and have the log tell of it."""
        server = self._context.server
        is_sent = not isinstance(error, ReceivedStreamError)
        if is_sent:
            server.telemetry.stream_errors[error.condition] += 1
            self._write(self._framing.element(stream_error_element(error)))
        if not server.draining:  # else all get the same, and the log says that the server stops
            server.session_log.stream_error(self.client, self.session, error, sent=is_sent)

    def _end(self, reason: StreamError | None, *, is_lost: bool = False) -> None:
        """Let go of everything."""
        if self._ended:
            return
        self._ended = True
        if self._counted:
            self._count(0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reading.stop()
        self._context.server.left(self)
        self._leave(reason, is_lost=is_lost)

    def _leave(self, reason: StreamError | None, *, is_lost: bool) -> None:
        """Part from the session, which ends unless another connection has it now or it can wait for one.

        Its client has ended it who has said goodbye, even if that was not answered any more.
        """
        negotiator, self._negotiator = self._negotiator, None
        if negotiator is not None:
            negotiator.end(reason)
        session, self.session = self.session, None
        if session is not None and session.link is self:
            self._context.server.abandon(session, reason, is_lost=is_lost and not self._leaving)

    # --- deadlines

    def _await_login(self, *, is_encrypted: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._context.options.time_to_log_in(is_encrypted=is_encrypted)
        self._timer = self._context.server.clock.call_later(seconds, self._login_overdue)

    def _login_overdue(self) -> None:
        self._timer = None
        self.close(StreamError("policy-violation", "log in faster"))

    def _watch_silence(self) -> None:
        """Ask a silent client for a sign of life, and give up on one that gives none."""
        self._timer, self._heard = None, False
        seconds = self._context.options.idle_seconds
        if seconds:
            self._timer = self._context.server.clock.call_later(seconds, self._silence)

    def _silence(self) -> None:
        session = self.session
        if self._heard or session is None:
            self._watch_silence()
            return
        ask_for_sign_of_life(session)
        self._timer = self._context.server.clock.call_later(60.0, self._silent_still)

    def _silent_still(self) -> None:
        if self._heard:
            self._watch_silence()
            return
        self._close(StreamError("connection-timeout", "no sign of life"), is_lost=True)
