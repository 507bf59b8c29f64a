"""The second phase of the server's side: SASL and SASL2, attempt by attempt.

Implements RFC 6120 §6 and XEP-0388 §2; what an attempt is made of stands in `login`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from tidings.base.errors import LocalProtocolError, StreamError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import (
    LoginRefusedError,
    challenge_element,
    failure_element,
    initial_data,
    read_data,
)
from tidings.wire.xmpp.negotiation.features import token_mechanisms_for
from tidings.wire.xmpp.negotiation.login import Login, Outcome
from tidings.wire.xmpp.negotiation.policy import StreamPolicy
from tidings.wire.xmpp.negotiation.requests import LoginRequest, read_auth, read_authenticate
from tidings.wire.xmpp.negotiation.server_opening import ServerOpeningPhase
from tidings.wire.xmpp.negotiation.server_session import LoggedIn, ServerSessionPhase
from tidings.wire.xmpp.negotiation.server_table import ServerMachine, ServerStreamState
from tidings.wire.xmpp.negotiation.values import (
    Authenticated,
    AuthenticationFailed,
    CheckAccount,
    CheckPassword,
    LookUpKeys,
    LookUpTokens,
    RestartStream,
    Send,
    TokenUsed,
)
from tidings.wire.xmpp.sasl.keys import ScramKeys
from tidings.wire.xmpp.sasl.steps import Challenge, Condition, Failure, Success
from tidings.wire.xmpp.sasl.tokens import FastToken

TRIES_PER_GUESS: Final = 4
"""So many times as many attempts may fail where no password was wrong, as where mechanisms do not fit."""


class ServerLoginPhase:
    """Logs a client in: owns the attempt that runs and counts those that have failed."""

    __slots__ = (
        "_attempt",
        "_failures",
        "_guesses",
        "_machine",
        "_make_token",
        "_opening",
        "_policy",
        "_session",
    )

    def __init__(
        self,
        machine: ServerMachine,
        opening: ServerOpeningPhase,
        session: ServerSessionPhase,
        policy: StreamPolicy,
        make_token: Callable[[], str],
    ) -> None:
        self._machine = machine
        self._opening = opening
        self._session = session
        self._policy = policy
        self._make_token = make_token
        self._attempt: Login | None = None
        self._failures = 0
        self._guesses = 0  # those among them where a password or token was wrong

    @property
    def profile(self) -> str:
        """The namespace of the attempt that runs, or "" where none does."""
        return "" if self._attempt is None else self._attempt.request.profile

    @property
    def prover(self) -> str | None:
        """Whose password the next response proves; None where it proves nobody's."""
        return self._attempt.name if self._attempt is not None and self._attempt.proves_next else None

    @property
    def _running(self) -> Login:
        if self._attempt is None:
            raise LocalProtocolError("nobody logs in")
        return self._attempt

    def auth(self, element: Element) -> ServerStreamState:
        """Begin an attempt with SASL."""
        return self._begin(element, read_auth)

    def auth_again(self, element: Element) -> ServerStreamState:
        """Discard the handshake that runs, and begin another (RFC 6120 §6.4.2); SASL2 forbids it (§2.4)."""
        if self.profile != ns.SASL:
            raise StreamError("policy-violation", "it is not time to log in")
        self._note(Failure(Condition.ABORTED))
        self._check_attempts()
        return self.auth(element)

    def authenticate(self, element: Element) -> ServerStreamState:
        """Begin an attempt with SASL2."""
        return self._begin(element, read_authenticate)

    def _begin(self, element: Element, read: Callable[[Element], LoginRequest]) -> ServerStreamState:
        """Begin an attempt (RFC 6120 §6.4.2, XEP-0388 §2.4)."""
        self._attempt = None
        try:
            self._check_profile(element.namespace)
            request = read(element)
            self._check_token_wish(request)
            self._attempt = Login(
                request,
                self._opening.served,
                offer=self._opening.offer,
                tls=self._opening.tls,
                secret=self._policy.secret,
                claimed=self._opening.claimed,
                nonce=self._make_token(),
            )
        except LoginRefusedError as error:
            return self._refuse(element.namespace, error.failure, (element.get("mechanism") or "")[:40])
        return self._go_on(self._attempt.start())

    def _check_profile(self, profile: str) -> None:
        """Refuse the one of SASL and SASL2 that this host does without."""
        served = self._opening.served
        if not (served.sasl if profile == ns.SASL else served.sasl2):
            name, other = ("SASL", "SASL2") if profile == ns.SASL else ("SASL2", "SASL")
            raise LoginRefusedError(
                Condition.INVALID_MECHANISM, f"{name} is not offered here; log in with {other}"
            )

    def _check_token_wish(self, request: LoginRequest) -> None:
        """Refuse wishes for tokens that could never be used (XEP-0484 §3.2, §4.1)."""
        wanted = request.token_wanted
        if wanted and wanted not in token_mechanisms_for(self._opening.served, self._opening.tls):
            raise LoginRefusedError(Condition.MALFORMED_REQUEST, "tokens for this mechanism are not offered")
        if wanted and not request.user_agent.id:
            raise LoginRefusedError(Condition.MALFORMED_REQUEST, "a token needs the id of a user agent")

    def response(self, element: Element) -> ServerStreamState:
        """Go on with the client's answer."""
        try:
            data = read_data(element.text)
        except LoginRefusedError as error:
            return self._refuse(element.namespace, error.failure)
        return self._go_on(self._running.respond(data))

    def abort(self, element: Element) -> ServerStreamState:
        """Fail the attempt, or none: then <abort/> crossed our failure on the way."""
        return self._refuse(element.namespace, Failure(Condition.ABORTED))

    def keys(self, keys: Sequence[ScramKeys] | None, banned: str | None) -> ServerStreamState:
        """Go on with the SCRAM keys of the account."""
        return self._go_on(self._running.keys_found(keys, banned))

    def checked(self, accepted: bool, banned: str | None) -> ServerStreamState:
        """Go on with what is known of the password or the certificate."""
        return self._go_on(self._running.checked(accepted=accepted, banned=banned))

    def tokens(self, tokens: Sequence[FastToken], now: float, banned: str | None) -> ServerStreamState:
        """Go on with the device's tokens; one that runs out soon is replaced (XEP-0484 §3.5)."""
        login, renewed = self._running, ""
        outcome, used, use = (
            login.tokens_found(tokens, now, banned),
            login.token_used,
            login.request.token_use,
        )
        if isinstance(outcome, Success) and used and use and login.account:
            self._machine.act(TokenUsed(login.account, used, use.count, use.invalidate))
            if not use.invalidate and used.expires - now < self._opening.served.renew_token_seconds:
                renewed = used.mechanism
        return self._go_on(outcome, renewed)

    def unavailable(self) -> ServerStreamState:
        """Fail the attempt for now, without counting it: the store does not answer."""
        failure = Failure(
            Condition.TEMPORARY_AUTH_FAILURE, "log-in is not possible at the moment, try again later"
        )
        self._machine.act(Send(failure_element(self._running.request.profile, failure)))
        self._attempt = None
        return ServerStreamState.OPENED

    def _go_on(self, outcome: Outcome, renewed: str = "") -> ServerStreamState:
        """Do what the attempt has come to; `renewed` is the mechanism of a token that runs out soon."""
        profile = self._running.request.profile
        match outcome:
            case Challenge(data):
                self._machine.act(Send(challenge_element(profile, data)))
                return ServerStreamState.CHALLENGED
            case LookUpKeys():
                self._machine.act(outcome)
                return ServerStreamState.LOOKING_UP_KEYS
            case CheckPassword() | CheckAccount():
                self._machine.act(outcome)
                return ServerStreamState.CHECKING
            case LookUpTokens():
                self._machine.act(outcome)
                return ServerStreamState.LOOKING_UP_TOKENS
            case Failure():
                return self._refuse(profile, outcome)
            case Success(data):
                return self._succeed(data, renewed)

    def _refuse(self, profile: str, failure: Failure, mechanism: str = "") -> ServerStreamState:
        """Fail the attempt; after too many, close the stream (RFC 6120 §6.4.5)."""
        self._note(failure, mechanism)
        self._machine.act(Send(failure_element(profile, failure)))
        self._check_attempts()
        return ServerStreamState.OPENED

    def _note(self, failure: Failure, mechanism: str = "") -> None:
        """Count the attempt that has failed, and tell the runner of it."""
        failed = AuthenticationFailed(None, mechanism, failure.condition, str(self._opening.claimed or ""))
        login, self._attempt = self._attempt, None
        if login is not None:
            is_wrong = login.is_looked_at and failure.condition is Condition.NOT_AUTHORIZED
            name = "" if login.account else login.name or failed.name
            failed = AuthenticationFailed(
                login.account, login.request.mechanism, failure.condition, name, is_wrong
            )
        self._failures += 1
        self._guesses += failed.is_wrong
        self._machine.act(failed)

    def _check_attempts(self) -> None:
        """Close the stream after too many attempts.

        A client that tries one mechanism after the other guesses nothing, and may do so for longer.
        """
        most = self._policy.max_login_attempts
        if self._guesses >= most or self._failures >= most * TRIES_PER_GUESS:
            raise StreamError("policy-violation", "too many failed attempts to log in")

    def _succeed(self, data: bytes | None, renewed: str) -> ServerStreamState:
        """Tell the good news: at once in SASL, after the inline requests in SASL2."""
        login = self._running
        self._attempt = None
        request, account = login.request, login.account
        if account is None:
            raise LocalProtocolError("a log-in succeeds as somebody")
        self._machine.act(
            Authenticated(
                account=account,
                mechanism=request.mechanism,
                anonymous=login.anonymous,
                user_agent=request.user_agent,
            )
        )
        logged_in = LoggedIn(
            account=account,
            user_agent=request.user_agent,
            success_data=data,
            token_wanted="" if login.anonymous else request.token_wanted or renewed,
            inline=request.inline,
            bind=request.bind,
        )
        if request.profile == ns.SASL2:
            return self._session.begin(logged_in)
        content = () if data is None else (initial_data(data),)
        self._machine.act(Send(Element("success", ns.SASL, None, *content)), RestartStream())
        self._opening.restart(account)
        return self._session.await_stream(logged_in)
