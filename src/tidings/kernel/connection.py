"""Connection: one stream of one client, from its opening to its end, on any transport.

A gateway gives it a `Transport` and tells it what arrives: `receive` for headers, elements and the end,
`fail` for what its parser refuses, `lost` when the peer is gone. The negotiation decides until a session is
bound; then stanzas go to the session's `Inbound`, and the connection is the session's `Link`.

Invariants:
- while the negotiation waits for an answer, or an action takes its time, what arrives waits in order, and not
  much of it;
- what is written goes out in order, in one piece for each turn of the event loop; nothing ever waits for a
  slow reader: when more than `outbound_bytes` gather, the connection is cut;
- every ending goes through `_end`, once.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec
import structlog

from tidings.base.errors import BackendError, StanzaError, StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.inbound import Inbound
from tidings.kernel.login import Brake, Credentials
from tidings.kernel.session import Client, Session
from tidings.wire.xml.element import Element
from tidings.wire.xml.parser import Fragment, StreamTail
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.framing import Framing, TcpFraming, stream_error_element
from tidings.wire.xmpp.negotiation import values
from tidings.wire.xmpp.negotiation.policy import StreamPolicy
from tidings.wire.xmpp.negotiation.server import ServerNegotiation
from tidings.wire.xmpp.negotiation.values import StreamHeader, TlsInfo
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.clock import Timer
    from tidings.kernel.server import Server

log = structlog.get_logger("tidings.connection")

Item = StreamHeader | Fragment | StreamTail
"""What a gateway reads from a stream."""

_CLOSE_SECONDS = 5.0
_PAUSE_AT = 16
_MOST_WAITING = 256
"""So many elements may wait for the negotiation; a client has nothing to say that needs more."""


class Anteroom:
    """Stands in for a connection whose client does not know yet that it has a session: what comes is kept."""

    __slots__ = ("_connection", "_octets", "kept")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._octets = 0
        self.kept: list[bytes] = []

    def send(self, raw: bytes) -> None:
        """Keep a stanza until the session is established."""
        self.kept.append(raw)
        self._octets += len(raw)
        if self._octets > self._connection.outbound_bytes:
            self.kept.clear()
            self._connection.close(StreamError("resource-constraint", "too much is waiting to be read"))

    def close(self, error: StreamError | None) -> None:
        """Close the connection."""
        self._connection.close(error)

    def pause(self) -> None:
        """Do nothing: nobody reads stanzas yet."""

    def resume(self) -> None:
        """Do nothing: nobody reads stanzas yet."""


class Transport(Protocol):
    """What a gateway does for a connection."""

    def write(self, pieces: list[bytes]) -> None:
        """Send these pieces, each whole in its framing; never waits, keeps no reference to the list."""
        ...

    def backlog(self) -> int:
        """Tell how many octets were written and have not left."""
        ...

    def close(self) -> None:
        """Send what was written, then end the connection."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
        ...

    def pause(self) -> None:
        """Read nothing for now."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def start_tls(self) -> None:
        """Begin the TLS handshake, dropping what was read; calls `tls_established` or `lost`."""
        ...

    def logged_in(self) -> None:
        """Apply the larger limits that hold after log-in."""
        ...

    def rest(self) -> None:
        """Give back memory that only reading needs; the peer is silent."""
        ...


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one connection."""

    login_seconds: float = 30
    idle_seconds: float = 600
    outbound_bytes: int = 4_194_304


class Doorway(msgspec.Struct, frozen=True, kw_only=True):
    """What the connections of one kind share; the composition makes it and gateways pass it on."""

    server: Server
    policy: StreamPolicy
    credentials: dict[str, Credentials]
    """By domain."""
    brake: Brake
    options: ConnectionOptions = ConnectionOptions()


@runtime_checkable
class Registrar(Protocol):
    """A feature that makes accounts before log-in (XEP-0077)."""

    async def register_before_login(self, iq: Element, address: str, *, secure: bool) -> Element:
        """Answer a jabber:iq:register request with the whole iq to send."""
        ...


class Connection:
    """A client's stream; see the module."""

    __slots__ = (
        "_actions",
        "_anteroom",
        "_awake",
        "_closing",
        "_doorway",
        "_ended",
        "_flushing",
        "_frames",
        "_framing",
        "_heard",
        "_held",
        "_hold",
        "_host_domain",
        "_inbound",
        "_items",
        "_lang",
        "_leaving",
        "_negotiation",
        "_out",
        "_paused",
        "_timer",
        "_transport",
        "client",
        "session",
    )

    def __init__(
        self,
        doorway: Doorway,
        transport: Transport,
        framing: Framing,
        client: Client,
        tls: TlsInfo | None = None,
    ) -> None:
        self._doorway = doorway
        self._transport = transport
        self._framing = framing
        self._frames = not isinstance(framing, TcpFraming)  # there a stanza is its own frame
        self.client = client
        self.session: Session | None = None
        self._inbound: Inbound | None = None
        self._anteroom: Anteroom | None = None
        self._lang: str | None = None
        self._host_domain = ""
        self._items: list[Item] = []
        self._out: list[bytes] = []
        self._flushing = False
        self._leaving = False
        self._closing = False
        self._ended = False
        self._heard = True
        self._awake = False
        self._paused = False
        self._actions: list[values.Action] = []
        self._held = False  # an action takes its time; what comes after it waits
        self._hold: Timer | None = None
        self._negotiation: ServerNegotiation | None = ServerNegotiation(doorway.policy)
        server = doorway.server
        server.connections.add(self)
        self._timer: Timer | None = server.clock.call_later(
            doorway.options.login_seconds, self._login_overdue
        )
        if tls is not None:
            self._negotiation.tls_established(tls)
            self._act()
        if server.draining:
            self.close(StreamError("system-shutdown", "the server is stopping"))

    @property
    def outbound_bytes(self) -> int:
        """How much may wait to be read by the client."""
        return self._doorway.options.outbound_bytes

    # --- what the gateway tells

    def heard(self) -> None:
        """Note a sign of life that is no element: white space (RFC 6120 §4.6.1)."""
        self._heard = True

    def receive(self, items: list[Item]) -> None:
        """Take what one read has brought, in order; a bug that it uncovers ends this stream alone."""
        try:
            self._receive(items)
        except Exception as error:  # noqa: BLE001  # else it would end in the event loop
            server = self._doorway.server
            server.supervisor.report(
                "connection", error, session=str(self.session.jid if self.session else "")
            )
            self.close(StreamError("internal-server-error"))

    def _receive(self, items: list[Item]) -> None:
        self._heard = True
        if not self._awake:
            self._awake = True
            self._doorway.server.resting.used(self)
        if self._closing or self._leaving:
            if self._closing and any(type(item) is StreamTail for item in items):
                self._transport.close()
            return
        if self._inbound is not None:
            self._receive_stanzas(items)
            return
        self._items.extend(items)
        self._negotiate()
        if len(self._items) > _MOST_WAITING:
            self.close(StreamError("policy-violation", "too much at once before log-in"))

    def fail(self, error: StreamError) -> None:
        """End the stream because of what the peer sent or of what cannot go on."""
        self.close(error)

    def tls_established(self, info: TlsInfo) -> None:
        """Go on after the handshake."""
        if self._negotiation is None or self._closing or self._ended:
            return
        self.client.secure = True
        self._items.clear()
        self._negotiation.tls_established(info)
        self._act()

    def lost(self) -> None:
        """The transport is gone, in order or not."""
        self._end(None if self._closing else StreamError("connection-timeout", "the connection was lost"))

    def rest(self) -> None:
        """Give back what only reading needs."""
        self._awake = False
        self._transport.rest()

    # --- the session's link

    def send(self, raw: bytes) -> None:
        """Write a stanza; it leaves with everything else of this turn of the event loop."""
        if self._frames:
            raw = self._framing.stanza(raw)
        self._out.append(raw)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def close(self, error: StreamError | None) -> None:
        """Say why, say goodbye and end."""
        if self._closing or self._ended:
            return
        if self._held:  # what was held back stays undone, so that closing early tells nobody anything
            self._let_go()
            self._actions.clear()
        negotiation = self._negotiation
        if negotiation is not None and not negotiation.closed:
            negotiation.fail(error or StreamError("undefined-condition"))
            self._act()
        self._close(error)

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()
        self._end(StreamError("system-shutdown"))

    def pause(self) -> None:
        """Read nothing from the client for now."""
        self._transport.pause()

    def resume(self) -> None:
        """Read from the client again."""
        self._transport.resume()

    # --- negotiation

    def _negotiate(self) -> None:
        """Feed the negotiation until it must wait, is over, or nothing is left."""
        items = self._items
        while items and not self._closing:
            negotiation = self._negotiation
            if negotiation is None:
                rest = list(items)
                items.clear()
                self._throttle()  # from here on the session's queue says when to read
                self._receive_stanzas(rest)
                return
            if negotiation.waiting or self._held:
                self._throttle()
                return
            item = items.pop(0)
            if isinstance(item, StreamHeader):
                self._lang = item.lang or None
                negotiation.stream_opened(item)
            elif isinstance(item, StreamTail):
                negotiation.stream_closed()
            else:
                negotiation.received(item.to_element())
            self._act()
        self._throttle()

    def _throttle(self) -> None:
        """Read nothing while much is waiting for an answer."""
        if not self._paused and len(self._items) > _PAUSE_AT:
            self._paused = True
            self._transport.pause()
        elif self._paused and not self._items:
            self._paused = False
            self._transport.resume()

    def _act(self) -> None:
        """Do what the negotiation asks for, in order; what follows an action that takes its time waits."""
        actions = self._actions
        if self._negotiation is not None:
            actions.extend(self._negotiation.take())
        while actions and not self._held and not self._closing:
            self._do(actions.pop(0))

    def _do(self, action: values.Action) -> None:
        match action:
            case values.OpenStream(header):
                self._write(self._framing.opening(header))
                self._host_domain = header.sender
            case values.Send(element):
                self._write(self._framing.element(element))
            case values.StartTls():
                self._items.clear()
                self._flush()  # <proceed/> goes out in plain text
                self._transport.start_tls()
            case values.RestartStream():
                pass  # the parsers find the new header by themselves
            case values.Authenticated():
                self._authenticated(action)
            case values.AuthenticationFailed(account, mechanism, condition):
                self._authentication_failed(account, mechanism, condition)
            case values.Established():
                self._established()
            case values.CloseStream(error):
                self._close(error)
            case values.TokenUsed():
                self._held = True
                self._doorway.server.supervisor.start("token", self._use_token(action))
            case values.LookUpKeys(account) | values.CheckPassword(account) | values.LookUpTokens(account):
                self._ask_slowly(action, account)
            case _:
                self._ask(action)

    def _ask(self, question: values.Action) -> None:
        self._doorway.server.supervisor.start("negotiation", self._answer(question))

    def _ask_slowly(self, question: values.Action, account: Jid) -> None:
        """Let a peer that guesses passwords wait before the attempt is looked at."""
        seconds = self._doorway.brake.delay(str(account), self.client.address)
        if seconds is None:
            assert self._negotiation is not None
            self._negotiation.unavailable()
            self._actions.extend(self._negotiation.take())
        elif seconds:
            self._held = True
            ask = functools.partial(self._ask_at_last, question)
            self._hold = self._doorway.server.clock.call_later(seconds, ask)
        else:
            self._ask(question)

    def _ask_at_last(self, question: values.Action) -> None:
        self._let_go()
        self._ask(question)
        self._go_on()

    def _let_go(self) -> None:
        """Nothing is held back any more."""
        self._held = False
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None

    async def _use_token(self, action: values.TokenUsed) -> None:
        """Note that a token was used before anything else is done, lest a new one fall to the old one's end.

        A token that was revoked since it was looked up lets nobody in.
        """
        is_valid = True
        try:
            credentials = self._credentials(action.account)
            is_valid = await credentials.token_used(
                action.account, action.token, invalidate=action.invalidate
            )
        except BackendError as error:
            log.error("token_not_noted", account=str(action.account), reason=str(error))
        finally:
            self._let_go()
        if not is_valid:
            self.close(StreamError("not-authorized", "the token has been revoked"))
        self._go_on()

    def _go_on(self) -> None:
        """Go on with what was held back, and with what has arrived meanwhile."""
        if not self._ended and not self._closing:
            self._act()
            self._negotiate()

    def _authenticated(self, action: values.Authenticated) -> None:
        if not action.anonymous:
            self._doorway.brake.succeeded(str(action.account), self.client.address)
        self._doorway.server.telemetry.logins[action.mechanism] += 1
        self.client.anonymous = action.anonymous
        self.client.device = action.user_agent.id or None
        self._transport.logged_in()

    def _authentication_failed(self, account: Jid | None, mechanism: str, condition: str) -> None:
        server = self._doorway.server
        server.telemetry.login_failures[condition] += 1
        log.info(
            "login_failed",
            account=str(account or ""),
            mechanism=mechanism,
            condition=condition,
            address=self.client.address,
        )
        self._doorway.brake.failed(str(account or ""), self.client.address)

    async def _answer(self, question: values.Action) -> None:
        """Find out what the negotiation asks, tell it, and go on."""
        negotiation = self._negotiation
        if negotiation is None or self._ended or self._closing:
            return
        is_answered = False
        try:
            await self._find_out_or_refuse(question, negotiation)
            is_answered = True
        finally:
            if not is_answered:  # a bug, which the supervisor reports, or the end of the server
                self.close(StreamError("internal-server-error"))
        self._go_on()

    async def _find_out_or_refuse(self, question: values.Action, negotiation: ServerNegotiation) -> None:
        try:
            await self._find_out(question, negotiation)
        except BackendError as error:
            log.error("login_unavailable", reason=str(error))
            if isinstance(question, _REFUSABLE):
                negotiation.refused(StanzaError("resource-constraint", "the server cannot do this now"))
            else:
                negotiation.unavailable()
        except StanzaError as error:
            if not isinstance(question, _REFUSABLE):
                raise
            negotiation.refused(error)
        except StreamError as error:
            self.close(error)

    async def _find_out(self, question: values.Action, negotiation: ServerNegotiation) -> None:
        match question:
            case values.BindResource():
                await self._bind(question, negotiation)
            case values.RegistrationRequest(element):
                await self._register(element, negotiation)
            case values.NegotiateInline():
                negotiation.inline_answered(())
            case values.IssueToken(account, device, mechanism):
                text, expires = await self._credentials(account).issue_token(account, device, mechanism)
                negotiation.token_issued(text, expires)
            case _:
                await self._find_credentials(question, negotiation)

    async def _find_credentials(self, question: values.Action, negotiation: ServerNegotiation) -> None:
        match question:
            case values.LookUpKeys(account):
                found = await self._credentials(account).find(account)
                keys = None if found.record is None else found.record.keys
                negotiation.keys_found(keys, banned=found.banned)
            case values.CheckPassword(account, password):
                policy = self._doorway.policy.host(account.domain)
                right, banned = await self._credentials(account).check_password(
                    account, password, DEFAULT_ITERATIONS if policy is None else policy.iterations
                )
                negotiation.checked(right, banned=banned)
            case values.CheckAccount(account):
                found = await self._credentials(account).find(account)
                negotiation.checked(found.record is not None, banned=found.banned)
            case values.LookUpTokens(account, device):
                found = await self._credentials(account).find(account)
                tokens = await self._credentials(account).tokens(account, device)
                now = self._doorway.server.clock.now()
                negotiation.tokens_found(tokens, now=now, banned=found.banned)
            case _:
                raise TypeError(f"nobody answers {question!r}")

    async def _register(self, element: Element, negotiation: ServerNegotiation) -> None:
        host = self._doorway.server.hosts[self._host_domain]
        registrar = host.feature(Registrar)  # type: ignore[type-abstract]
        if registrar is None:
            raise StanzaError("service-unavailable")
        answer = await registrar.register_before_login(
            element, self.client.address, secure=self.client.secure
        )
        negotiation.registration_answered(answer)

    async def _bind(self, question: values.BindResource, negotiation: ServerNegotiation) -> None:
        server = self._doorway.server
        account = question.account
        host = server.hosts[account.domain]
        jid = account.with_resource(question.resource or token(9))
        anteroom = Anteroom(self)
        session, answers = await server.open_session(host, jid, self.client, anteroom, question.inline)
        if self._ended or self._closing:  # the client left while its session was being made
            self._finish_session(session, None)
            return
        if session.ended:  # somebody took its resource already, or it was ended before it began
            raise StreamError("conflict", "the session has ended")
        self.session = session
        self._anteroom = anteroom
        negotiation.bound(session.jid, answers)

    def _established(self) -> None:
        server = self._doorway.server
        session, anteroom = self.session, self._anteroom
        assert session is not None
        assert anteroom is not None
        self._inbound = Inbound(session, server.router, server.supervisor)
        self._negotiation = None
        self._anteroom = None
        if session.link is anteroom:
            session.link = self
        for raw in anteroom.kept:
            self.send(raw)
        if self._timer is not None:
            self._timer.cancel()
        self._watch_silence()
        log.debug("session_bound", session=str(session.jid), transport=self.client.transport)

    def _credentials(self, account: Jid) -> Credentials:
        return self._doorway.credentials[account.domain]

    # --- a bound session

    def _receive_stanzas(self, items: list[Item]) -> None:
        inbound = self._inbound
        assert inbound is not None
        ending = next((item for item in items if type(item) is not Fragment), None)
        fragments: list[Fragment] = items if ending is None else items[: items.index(ending)]  # type: ignore[assignment]
        try:
            if fragments:
                inbound.receive(fragments, self._lang)
            if isinstance(ending, StreamHeader):
                raise StreamError("policy-violation", "this stream is open already")
        except StreamError as error:
            self._close(error)
            return
        if ending is None:
            return
        if inbound.idle:
            self._close(None)
            return
        # RFC 6120 §4.4: what was sent before the end of the stream is dealt with and answered before ours.
        self._leaving = True
        inbound.when_idle = functools.partial(self._close, None)

    # --- writing

    def _write(self, raw: bytes) -> None:
        out = self._out
        out.append(raw)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._ended:
            self._out.clear()
            return
        out = self._out
        if not out:
            return
        self._transport.write(out)
        out.clear()
        if self._transport.backlog() > self._doorway.options.outbound_bytes:
            log.warning("slow_reader", session=str(self.session.jid if self.session else ""))
            self._transport.abort()
            self._end(StreamError("resource-constraint", "too much is waiting to be read"))

    # --- ending

    def _close(self, error: StreamError | None) -> None:
        """Write the goodbye and let the transport go when it has left."""
        if self._closing or self._ended:
            return
        self._closing = True
        self._items.clear()
        if error is not None:
            self._doorway.server.telemetry.stream_errors[error.condition] += 1
            self._write(self._framing.element(stream_error_element(error)))
        self._write(self._framing.closing())
        self._flush()
        self._leave(error)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._doorway.server.clock.call_later(_CLOSE_SECONDS, self._transport.abort)
        self._transport.close()

    def _end(self, reason: StreamError | None) -> None:
        """Let go of everything."""
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_go()
        self._doorway.server.left(self)
        self._leave(reason)
        self._items.clear()
        self._actions.clear()
        if self._inbound is not None:
            self._inbound.when_idle = None

    def _leave(self, reason: StreamError | None) -> None:
        """Part from the session, which ends unless another connection has it now or it waits for one."""
        session, self.session = self.session, None
        anteroom, self._anteroom = self._anteroom, None
        if session is not None and session.link is not None and session.link in {self, anteroom}:
            self._finish_session(session, reason)

    def _finish_session(self, session: Session, reason: StreamError | None) -> None:
        server = self._doorway.server
        session.link = None
        wait = server.end_session(session, reason)
        if wait is not None:
            server.supervisor.start("session_end", _awaited(wait))

    # --- deadlines

    def _login_overdue(self) -> None:
        self._timer = None
        self.close(StreamError("policy-violation", "log in faster"))

    def _watch_silence(self) -> None:
        """Ask a silent client for a sign of life, and give up on one that gives none."""
        seconds = self._doorway.options.idle_seconds
        if not seconds:
            self._timer = None
            return
        self._heard = False
        self._timer = self._doorway.server.clock.call_later(seconds, self._silence)

    def _silence(self) -> None:
        if self._heard or self.session is None:
            self._watch_silence()
            return
        session = self.session
        ping = Element("ping", ns.PING)
        session.write(
            Stanza.build(
                "iq", kind="get", to=session.jid, sender=session.host.jid, id=token(6), content=(ping,)
            ).to_bytes()
        )
        self._timer = self._doorway.server.clock.call_later(60.0, self._silent_still)

    def _silent_still(self) -> None:
        if self._heard:
            self._watch_silence()
            return
        self.close(StreamError("connection-timeout", "no sign of life"))


_REFUSABLE = (values.BindResource, values.IssueToken, values.RegistrationRequest, values.NegotiateInline)
"""Questions that `refused` answers."""


async def _awaited(wait: Awaitable[None]) -> None:
    await wait
