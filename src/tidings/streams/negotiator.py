"""Negotiator: brings a connection from its opening to a session, and is dropped when there is one.

The machine in `wire/xmpp/negotiation` decides; here its actions are done and its questions answered, from
credentials, the registration feature and the server's sessions.

Invariants:
- while the negotiation waits for an answer, or an action takes its time, what arrives waits in order, and not
  much of it;
- actions are done in order; what follows one that takes its time waits, and stays undone if the stream ends;
- it is over with `end`, or when it calls `established`; answers that come after that are for nobody.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import structlog

from tidings.base.errors import BackendError, StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.feature import Spec
from tidings.streams import login_line
from tidings.streams.client_input import ClientStreamInput
from tidings.streams.listener import Item, ListenerContext
from tidings.streams.login import CredentialQuestion, Credentials, answer_credentials
from tidings.streams.login_throttle import Attempt, Turn
from tidings.streams.session_opening import SessionOpening
from tidings.streams.stream_output import StreamOutput
from tidings.wire.xml.element import Element
from tidings.wire.xml.fragment import StreamTail
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation import values
from tidings.wire.xmpp.negotiation.elements import read_stream_error
from tidings.wire.xmpp.negotiation.server import ServerNegotiation
from tidings.wire.xmpp.negotiation.values import StreamHeader, TlsInfo
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS

log = structlog.get_logger("tidings.negotiator")

SPECS = (
    Spec.rfc(5802, note="SCRAM-SHA-1, -SHA-256 (RFC 7677) and -SHA-512, with and without -PLUS"),
    Spec.rfc(5929, note="tls-server-end-point"),
    Spec.rfc(6120, note="§4 to §8, for clients"),
    Spec.rfc(7622),
    Spec.xep(175, "1.2"),
    Spec.xep(178, "1.2", note="§2"),
    Spec.xep(386, "1.1.0", note="what was missed is cleared for the device that binds, not for others"),
    Spec.xep(388, "1.0.4", note="without tasks"),
    Spec.xep(440, "1.0.0"),
    Spec.xep(474, "0.5.0"),
    Spec.xep(484, "0.2.0", note="without 0-RTT"),
)
"""What the negotiation of a stream implements."""

_PAUSE_AT = 16
_MOST_WAITING = 256
"""So many elements may wait for the negotiation; a client has nothing to say that needs more."""


class Negotiator:
    """Runs the negotiation of one connection; see the module."""

    __slots__ = (
        "_actions",
        "_attempt",
        "_context",
        "_host_domain",
        "_is_checking",
        "_is_held",
        "_is_over",
        "_is_paused",
        "_items",
        "_lang",
        "_negotiation",
        "_opening",
        "_output",
        "_server",
    )

    def __init__(self, context: ListenerContext, output: StreamOutput) -> None:
        self._context = context
        self._server = context.server
        self._output = output
        self._negotiation = ServerNegotiation(context.policy)
        self._lang: str | None = None
        self._host_domain = ""
        self._items: list[Item] = []
        self._is_paused = False
        self._actions: list[values.Action] = []
        self._is_held = False  # an action takes its time; what comes after it waits
        self._attempt: Attempt | None = None
        self._is_checking = False  # the attempt's credential is being looked at
        self._opening = SessionOpening(context, output)
        self._is_over = False

    # --- what the connection tells

    def receive(self, items: list[Item]) -> None:
        """Take what one read has brought, in order."""
        self._items.extend(items)
        self._negotiate()
        if len(self._items) > _MOST_WAITING:
            self._output.close(StreamError("policy-violation", "too much at once before log-in"))

    def tls_established(self, info: TlsInfo) -> None:
        """The channel is encrypted: by the handshake that was asked for, or from the start."""
        self._items.clear()
        self._opening.tls_established()
        self._negotiation.tls_established(info)
        self._act()

    def fail(self, error: StreamError) -> None:
        """The stream ends for a reason from outside: write what must come before the goodbye."""
        if self._is_held:  # what was held back stays undone, so that closing early tells nobody anything
            self._let_go()
            self._actions.clear()
        if not self._negotiation.closed:
            self._negotiation.fail(error)
            self._act()

    def end(self, reason: StreamError | None) -> None:
        """The stream has ended: let go of everything, of a session that has no client yet, too."""
        self._is_over = True
        self._let_go()
        if self._attempt is not None and not self._is_checking:
            self._attempt.leave()
        self._items.clear()
        self._actions.clear()
        self._opening.end(reason)

    # --- what has arrived

    def _negotiate(self) -> None:
        """Feed the negotiation until it must wait, is over, or nothing is left."""
        items = self._items
        negotiation = self._negotiation
        while items and not self._is_over and not negotiation.waiting and not self._is_held:
            item = items.pop(0)
            if isinstance(item, StreamHeader):
                self._lang = item.lang or None
                negotiation.stream_opened(item)
            elif isinstance(item, StreamTail):
                negotiation.stream_closed()
            else:
                self._hear(item.to_element())
            self._act()
        self._throttle()

    def _throttle(self) -> None:
        """Read nothing while much is waiting for an answer."""
        if not self._is_paused and len(self._items) > _PAUSE_AT:
            self._is_paused = True
            self._output.pause()
        elif self._is_paused and not self._items:
            self._is_paused = False
            self._output.resume()

    # --- what the negotiation asks for

    def _act(self) -> None:
        """Do what the negotiation asks for, in order; what follows an action that takes its time waits."""
        actions = self._actions
        actions.extend(self._negotiation.take())
        while actions and not self._is_held and not self._is_over:
            self._do(actions.pop(0))

    def _do(self, action: values.Action) -> None:
        match action:
            case values.OpenStream(header):
                self._output.send_opening(header)
                self._host_domain = header.sender
            case values.Send(element):
                self._output.send_element(element)
            case values.StartTls():
                self._items.clear()
                self._output.start_tls()
            case values.RestartStream():
                pass  # the parsers find the new header by themselves
            case values.Authenticated():
                self._authenticated(action)
            case values.AuthenticationFailed():
                self._authentication_failed(action)
            case values.Established():
                self._established()
            case values.CloseStream(error):
                self._output.close(error)
            case values.TokenUsed():
                self._is_held = True
                self._server.supervisor.start("token", self._use_token(action))
            case values.CheckPassword(account) | values.LookUpTokens(account):
                self._in_turn(
                    str(account), functools.partial(self._check, action), self._negotiation.unavailable
                )
            case _:
                self._ask(action)

    def _authenticated(self, action: values.Authenticated) -> None:
        client = self._output.client
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.succeeded()
        elif not action.anonymous:
            self._context.throttle.succeeded(str(action.account), client.address)
        self._server.telemetry.logins[action.mechanism] += 1
        client.anonymous = action.anonymous
        client.device = action.user_agent.id or None
        client.mechanism = action.mechanism
        self._output.logged_in()

    def _authentication_failed(self, failure: values.AuthenticationFailed) -> None:
        client = self._output.client
        name = str(failure.account or failure.name)
        self._server.telemetry.login_failures[failure.condition] += 1
        attempt, self._attempt = self._attempt, None
        self._server.session_log.login_failed(
            client, name, failure.mechanism, failure.condition, is_wrong=failure.is_wrong
        )
        if attempt is not None:
            attempt.failed() if failure.is_wrong else attempt.leave()
        elif failure.is_wrong:
            self._context.throttle.failed(name, client.address)

    def _established(self) -> None:
        """Hand everything over to the connection; this is the negotiation's last action."""
        self._is_over = True
        rest, self._items = self._items, []
        self._throttle()  # from here on the session's queue says when to read
        session, kept = self._opening.hand_over()
        stream = ClientStreamInput(session, self._server.supervisor, self._lang)
        self._output.established(stream, session, kept, rest)

    # --- what is held back

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
            self._output.close(StreamError("not-authorized", "the token has been revoked"))
        self._go_on()

    def _hear(self, element: Element) -> None:
        """Feed an element to the negotiation; what proves a password waits for its turn."""
        self._opening.heard(element)
        if (element.namespace, element.name) == (ns.STREAMS, "error"):
            error = read_stream_error(element)
            self._server.session_log.stream_error(self._output.client, None, error, sent=False)
        account = self._negotiation.proof_of(element)
        if account is None:
            self._negotiation.received(element)
        else:
            prove = functools.partial(self._negotiation.received, element)
            self._in_turn(account, prove, self._negotiation.postponed)

    def _in_turn(self, account: str, look: Callable[[], None], refuse: Callable[[], None]) -> None:
        """Look at a credential when the turn of this attempt has come, or refuse it for now."""
        later = functools.partial(self._turn_came, look, refuse)
        self._attempt = self._context.throttle.enter(account, self._output.client.address, later)
        if self._attempt.turn is Turn.WAITS:
            self._is_held = True
        else:
            self._take_turn(look, refuse)

    def _turn_came(self, look: Callable[[], None], refuse: Callable[[], None]) -> None:
        self._is_held = False
        self._take_turn(look, refuse)
        self._go_on()

    def _take_turn(self, look: Callable[[], None], refuse: Callable[[], None]) -> None:
        attempt = self._attempt
        if attempt is not None and attempt.turn is Turn.REFUSED:
            self._server.session_log.login_throttled(self._output.client, attempt.account)
            refuse()
        else:
            look()
        self._actions.extend(self._negotiation.take())

    def _let_go(self) -> None:
        """Nothing is held back any more."""
        self._is_held = False
        if self._attempt is not None and self._attempt.waits:
            self._attempt.leave()

    def _go_on(self) -> None:
        """Go on with what was held back, and with what has arrived meanwhile."""
        if not self._is_over:
            self._act()
            self._negotiate()

    # --- questions and answers

    def _check(self, question: values.Action) -> None:
        self._is_checking = True
        self._server.supervisor.start("negotiation", self._find_right_or_wrong(question))

    async def _find_right_or_wrong(self, question: values.Action) -> None:
        """Answer about a credential; who hangs up meanwhile has tried it all the same."""
        attempt = self._attempt
        assert attempt is not None
        try:
            await self._answer(question)
        finally:
            self._is_checking = False
            if attempt.turn is Turn.HAS_COME and (self._is_over or self._negotiation.closed):
                attempt.failed()
            attempt.leave()

    def _ask(self, question: values.Action) -> None:
        self._server.supervisor.start("negotiation", self._answer(question))

    async def _answer(self, question: values.Action) -> None:
        """Find out what the negotiation asks, tell it, and go on."""
        if self._is_over:
            return
        is_answered = False
        try:
            await self._find_out_or_refuse(question)
            is_answered = True
        finally:
            if not is_answered:  # a bug, which the supervisor reports, or the end of the server
                self._output.close(StreamError("internal-server-error"))
        self._go_on()

    async def _find_out_or_refuse(self, question: values.Action) -> None:
        try:
            await self._find_out(question)
        except BackendError as error:
            log.error("login_unavailable", reason=str(error))
            if isinstance(question, _REFUSABLE):
                self._negotiation.refused(StanzaError("resource-constraint", "the server cannot do this now"))
            else:
                if self._attempt is not None:
                    self._attempt.leave()
                self._negotiation.unavailable()
        except StanzaError as error:
            if not isinstance(question, _REFUSABLE):
                raise
            if isinstance(question, values.BindResource | values.NegotiateInline):
                in_line = error.by == login_line.BY
                self._server.session_log.not_begun(
                    question.account, self._output.client, error, is_told=not in_line
                )
            self._negotiation.refused(error)
        except StreamError as error:
            self._output.close(error)

    async def _find_out(self, question: values.Action) -> None:
        match question:
            case values.BindResource():
                bound = await self._opening.bind(question)
                if bound is not None:
                    self._negotiation.bound(*bound)
            case values.RegistrationRequest(element):
                await self._register(element)
            case values.NegotiateInline(account, elements):
                answers, resumed = await self._opening.resume(account, elements)
                jid = None if resumed is None else resumed.jid
                self._negotiation.inline_answered(answers, resumed=jid)
            case values.IssueToken(account, device, mechanism):
                text, expires = await self._credentials(account).issue_token(account, device, mechanism)
                self._negotiation.token_issued(text, expires)
            case values.LookUpKeys() | values.CheckPassword() | values.CheckAccount() | values.LookUpTokens():
                await self._find_credentials(question)
            case _:
                raise TypeError(f"nobody answers {question!r}")

    async def _find_credentials(self, question: CredentialQuestion) -> None:
        domain = question.account.domain
        policy = self._context.policy.host(domain)
        iterations = DEFAULT_ITERATIONS if policy is None else policy.iterations
        now = self._server.clock.now()
        await answer_credentials(
            question, self._negotiation, self._context.credentials(domain), iterations, now
        )

    async def _register(self, element: Element) -> None:
        self._negotiation.registration_answered(await self._opening.register(self._host_domain, element))

    def _credentials(self, account: Jid) -> Credentials:
        return self._context.credentials(account.domain)


_REFUSABLE = (values.BindResource, values.IssueToken, values.RegistrationRequest, values.NegotiateInline)
"""Questions that `refused` answers."""
