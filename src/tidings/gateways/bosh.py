"""BOSH over HTTP (XEP-0124, XEP-0206): brings requests and time to the machine in `wire/xmpp/bosh`.

A session is a Connection whose transport is the machine: what the server writes waits there for a request
that takes it. Sessions outlive requests and sockets.

Invariants:
- each request waits on one future, its exchange, which is resolved once, by an answer of the machine;
- one timer a session, armed for the machine's deadline;
- a session is in `_sessions` until its machine has ended, and counts at the limiter for as long.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from tidings.base.errors import LocalProtocolError
from tidings.base.ids import token
from tidings.base.jid import Jid, JidError
from tidings.gateways.bosh_framing import BoshFraming
from tidings.gateways.http import HttpGateway, Peer, text_response
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.kernel.feature import Spec
from tidings.kernel.session import Client
from tidings.streams.connection import Connection
from tidings.streams.listener import Item, ListenerContext
from tidings.wire.xml.fragment import StreamTail
from tidings.wire.xmpp.bosh import (
    CONTENT_TYPE,
    Answer,
    BindingError,
    Body,
    BoshOptions,
    BoshSession,
    BoshState,
    Closed,
    Ending,
    Event,
    Opened,
    Received,
    Restarted,
    TerminalCondition,
    read_body,
    write_body,
)
from tidings.wire.xmpp.bosh.body import LEGACY_STATUS
from tidings.wire.xmpp.negotiation.values import StreamHeader, TlsInfo

if TYPE_CHECKING:
    from tidings.kernel.clock import Timer

log = structlog.get_logger("tidings.bosh")

PATH: Final = "/http-bind"
_ABOUT: Final = "This is BOSH (XEP-0124): POST a <body/> here."
_SID_OCTETS: Final = 24
_POLL_SECONDS: Final = 0.05
"""The answer to a client that polls waits so long for what the server says to the request itself."""
_SID_HINT: Final = re.compile(rb"""\ssid\s*=\s*(?:"([^"&<]{1,64})"|'([^'&<]{1,64})')""")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    # A client chooses the type of its answers: a browser that shows one must run nothing in our name.
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


SPECS = (Spec.xep(124, "1.11.2"), Spec.xep(206, "1.4"))
"""What this door implements."""


class BoshDoor:
    """Answers `/http-bind`."""

    def __init__(
        self,
        gateway: HttpGateway,
        policy: ListenerPolicy,
        *,
        options: BoshOptions = BoshOptions(),  # noqa: B008  # frozen
    ) -> None:
        self.gateway = gateway
        self.policy = policy
        self.options = options
        self._sessions: dict[str, BoshStream] = {}
        self._waiting = 0
        gateway.add(PATH, {"POST": self._post, "GET": _tell}, about=_ABOUT, origins=gateway.options.origins)
        telemetry = policy.local.server.telemetry
        telemetry.gauge("bosh_sessions", "BOSH sessions", lambda: len(self._sessions))
        telemetry.gauge("bosh_requests", "BOSH requests that wait for an answer", lambda: self._waiting)

    def __len__(self) -> int:
        """Count the sessions, with or without a request."""
        return len(self._sessions)

    @property
    def waiting(self) -> int:
        """How many requests wait for an answer."""
        return self._waiting

    def forget(self, stream: BoshStream) -> None:
        """Take out a session that has ended."""
        if self._sessions.pop(stream.sid, None) is not None:
            self.gateway.limiter.leave(stream.client.address)

    async def _post(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await self.gateway.read_body(request, self.policy.after.stanza_bytes)
        peer = self.gateway.peer(request)
        exchange: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        body: Body | None = None
        try:
            body = self._read(raw)
            stream = self._find(body, peer) if body.sid is not None else self._open(body, request, peer)
        except BindingError as error:
            log.debug("bosh_refused", condition=error.condition, reason=error.text, address=peer.address)
            named = self._named(raw) if body is None else None
            if named is not None and named.may_come_from(peer):
                named.refuse(error)
            return _refusal(error, body)
        stream.receive(body, exchange)
        self._waiting += 1
        try:
            answer = await exchange
        except asyncio.CancelledError:
            stream.lost(exchange)
            raise
        finally:
            self._waiting -= 1
        headers = _HEADERS | {"Content-Type": answer.content_type}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    def _read(self, raw: bytes) -> Body:
        """Parse a request, with the limits of the session that it seems to be for."""
        named = self._named(raw)
        limits = self.policy.before if named is None else named.limits
        if len(raw) > limits.stanza_bytes:
            raise BindingError(
                TerminalCondition.POLICY_VIOLATION, f"a request may have {limits.stanza_bytes} octets"
            )
        body = read_body(raw, limits)
        if named is not None and body.sid != named.sid:
            raise BindingError(TerminalCondition.ITEM_NOT_FOUND, "no such session")
        return body

    def _named(self, raw: bytes) -> BoshStream | None:
        """Find the session that a request seems to be for, before or although it cannot be read."""
        hint = _SID_HINT.search(raw[:2_048])
        return self._sessions.get((hint[1] or hint[2]).decode(errors="replace")) if hint is not None else None

    def _find(self, body: Body, peer: Peer) -> BoshStream:
        """Find the session that a request names."""
        stream = self._sessions.get(body.sid or "")
        if stream is None:
            raise BindingError(TerminalCondition.ITEM_NOT_FOUND, "no such session")
        if not stream.may_come_from(peer):
            # XEP-0124 §19.1: the session goes on; who merely saw its sid cannot end it.
            raise BindingError(
                TerminalCondition.ITEM_NOT_FOUND, "the session is encrypted, the request is not"
            )
        return stream

    def _open(self, body: Body, request: web.BaseRequest, peer: Peer) -> BoshStream:
        """Begin a session."""
        context = self.policy.context(peer.address)
        server = context.server
        if server.draining:
            raise BindingError(TerminalCondition.SYSTEM_SHUTDOWN, "the server is stopping")
        session = BoshSession(
            body,
            sid=token(_SID_OCTETS),
            now=server.clock.monotonic(),
            options=self.options,
            secure=peer.secure,
        )
        if not _serves(context, session.terms.domain):
            raise BindingError(TerminalCondition.HOST_UNKNOWN, "this domain is not served here")
        if not self.gateway.limiter.admit(peer.address):
            raise BindingError(TerminalCondition.POLICY_VIOLATION, "too many connections from this address")
        client = Client(transport="bosh", address=peer.address, secure=peer.secure, since=server.clock.now())
        stream = BoshStream(self, context, session, client, self.gateway.tls_info(request))
        self._sessions[session.sid] = stream
        return stream


class BoshStream:
    """One session: the machine, its timer, and the transport of a Connection."""

    def __init__(
        self,
        door: BoshDoor,
        context: ListenerContext,
        session: BoshSession,
        client: Client,
        tls: TlsInfo | None,
    ) -> None:
        self._door = door
        self._session = session
        self._clock = context.server.clock
        self._log = context.server.session_log
        self._timer: Timer | None = None
        self._due = 0.0
        self._flushing = False
        self._paused = False
        self._framing = BoshFraming()
        self.client = client
        self.limits = door.policy.before
        self._connection = Connection(context, self, self._framing, client, tls)

    @property
    def sid(self) -> str:
        """The name of the session."""
        return self._session.sid

    # --- what the client does

    def receive(self, body: Body, exchange: asyncio.Future[Answer]) -> None:
        """Take a request; the exchange is resolved with its answer."""
        events = self._session.receive(body, exchange, self._clock.monotonic())
        self._tell(events)
        if self._session.terms.is_polling and not body.is_empty and self._session.state is BoshState.OPEN:
            self._arm()
            self._clock.call_later(_POLL_SECONDS, self._flush)
        else:
            self._schedule()

    def may_come_from(self, peer: Peer) -> bool:
        """Tell whether a request may be for this session: one that is encrypted takes no others."""
        return peer.secure or not self.client.secure

    def refuse(self, error: BindingError) -> None:
        """End for a request that could not be read: its sender is told `terminate` (XEP-0124 §17.2)."""
        self._tell(self._session.refuse(error))
        self._schedule()

    def lost(self, exchange: asyncio.Future[Answer]) -> None:
        """Nobody waits for the answer of this exchange any more."""
        self._session.lost(exchange, self._clock.monotonic())
        self._arm()

    # --- what the connection asks for

    def write(self, pieces: list[bytes]) -> None:
        """Let the pieces leave with the next answers."""
        for piece in pieces:
            if piece:
                self._session.send(piece)
        self._schedule()

    def backlog(self) -> int:
        """Tell how much no request has taken yet."""
        return self._session.buffered

    def close(self) -> None:
        """Let the next answer say that the stream has ended, and why; the kernel need not wait for it."""
        error = self._framing.error
        self._session.close(TerminalCondition.REMOTE_STREAM_ERROR if error else None, error)
        self._schedule()
        asyncio.get_running_loop().call_soon(self._connection.lost)

    def abort(self) -> None:
        """End the session at once."""
        self.close()
        self._session.abandon()

    def pause(self) -> None:
        """Answer nothing for now: a client without answers may send no more than the window holds."""
        self._paused = True

    def resume(self) -> None:
        """Answer again."""
        self._paused = False
        self._schedule()

    def start_tls(self) -> None:
        """Not on this transport: encryption is the HTTP server's."""
        raise LocalProtocolError("BOSH has no STARTTLS")

    def logged_in(self) -> None:
        """Apply the larger limits."""
        self.limits = self._door.policy.after

    def rest(self) -> None:
        """Nothing is kept between requests that could be given back."""

    # --- the machine

    def _tell(self, events: list[Event]) -> None:
        """Tell the connection what a request means."""
        items: list[Item] = []
        octets = 0
        for event in events:
            match event:
                case Opened(to, sender, language, version):
                    items.append(_header(to, sender, language, version or "1.0"))
                case Restarted(to, sender, language):
                    items.append(_header(to, sender, language, "1.0"))
                case Received(payload):
                    items.append(payload)
                    octets += len(payload.content)
                case Closed(Ending.CLIENT):
                    items.append(StreamTail())
                case Closed(ending, condition, text):
                    self._tell_end(ending, condition, text)
                    if items:
                        self._connection.receive(items)
                    self._connection.lost()
                    return
        self._connection.receive(items, octets)  # an empty request, too, is a sign of life

    def _tell_end(self, ending: Ending, condition: TerminalCondition | None, reason: str) -> None:
        """Log that the session has ended without the client's goodbye."""
        of = self._connection.session
        how, why = ending.name.lower(), str(condition or "")
        self._log.connection_failed("bosh_ended", self.client, of, reason, ending=how, condition=why)

    def _schedule(self) -> None:
        """Flush once in this turn of the event loop."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._paused or self._session.state is not BoshState.OPEN:
            for answer in self._session.flush(self._clock.monotonic()):
                exchange = answer.exchange
                assert isinstance(exchange, asyncio.Future)
                if not exchange.done():
                    exchange.set_result(answer)
        self._arm()

    def _arm(self) -> None:
        """Have the timer ring at the machine's deadline; one that rings too early is set again then."""
        deadline = self._session.deadline
        if self._session.state is BoshState.ENDED:
            self._door.forget(self)
        if self._timer is not None:
            if deadline is not None and self._due <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._due = deadline
            self._timer = self._clock.call_later(max(0.0, deadline - self._clock.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._tell(self._session.expire(self._clock.monotonic()))
        self._flush()


def _serves(context: ListenerContext, domain: str) -> bool:
    try:
        return context.policy.host(Jid(domain).domain) is not None
    except JidError:
        return False


def _header(to: str, sender: str | None, language: str | None, version: str) -> StreamHeader:
    return StreamHeader(to=to, sender=sender or "", version=version, lang=language or "")


async def _tell(_request: web.BaseRequest) -> web.StreamResponse:
    """Tell a person, or who watches the server, what is here."""
    return text_response(_ABOUT)


def _refusal(error: BindingError, body: Body | None) -> web.Response:
    """Answer a request that belongs to no session."""
    legacy = body is not None and body.sid is None and "ver" not in body.attributes
    return web.Response(
        status=LEGACY_STATUS.get(error.condition, 200) if legacy else 200,
        body=write_body({"type": "terminate", "condition": error.condition}),
        headers=_HEADERS | {"Content-Type": CONTENT_TYPE},
    )
