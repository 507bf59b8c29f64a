"""The second phase of the server's side: SASL and SASL2, attempt by attempt.

Implements RFC 6120 §6 and XEP-0388 §2; what an attempt is made of stands in `login`.
"""

from collections.abc import Callable, Sequence

from tidings.base.errors import StreamError
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
from tidings.wire.xmpp.negotiation.requests import LoginRequest, read_auth, read_authenticate
from tidings.wire.xmpp.negotiation.server_session import SessionPhase
from tidings.wire.xmpp.negotiation.server_table import ServerState
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


class LoginPhase(SessionPhase):
    """What `ServerNegotiation` does to log a client in; see there."""

    def _auth(self, element: Element) -> ServerState:
        return self._begin(element, read_auth)

    def _authenticate(self, element: Element) -> ServerState:
        return self._begin(element, read_authenticate)

    def _begin(self, element: Element, read: Callable[[Element], LoginRequest]) -> ServerState:
        """Begin an attempt (RFC 6120 §6.4.2, XEP-0388 §2.4)."""
        self._login = None
        try:
            request = read(element)
            self._check_token_wish(request)
            self._login = Login(
                request,
                self._served,
                offer=self._offer,
                tls=self._tls,
                secret=self._policy.secret,
                claimed=self._claimed,
                nonce=self._make_token(),
            )
        except LoginRefusedError as error:
            return self._refuse(element.namespace, error.failure, (element.get("mechanism") or "")[:40])
        return self._go_on(self._login.start())

    def _check_token_wish(self, request: LoginRequest) -> None:
        """Refuse wishes for tokens that could never be used (XEP-0484 §3.2, §4.1)."""
        wanted = request.token_wanted
        if wanted and wanted not in token_mechanisms_for(self._served, self._tls):
            raise LoginRefusedError(Condition.MALFORMED_REQUEST, "tokens for this mechanism are not offered")
        if wanted and not request.user_agent.id:
            raise LoginRefusedError(Condition.MALFORMED_REQUEST, "a token needs the id of a user agent")

    def _response(self, element: Element) -> ServerState:
        try:
            data = read_data(element.text)
        except LoginRefusedError as error:
            return self._refuse(element.namespace, error.failure)
        return self._go_on(self._attempt.respond(data))

    def _abort(self, element: Element) -> ServerState:
        return self._refuse(element.namespace, Failure(Condition.ABORTED))

    def _abort_nothing(self, element: Element) -> ServerState:
        return self._refuse(element.namespace, Failure(Condition.ABORTED))

    def _keys(self, keys: Sequence[ScramKeys] | None, banned: str | None) -> ServerState:
        return self._go_on(self._attempt.keys_found(keys, banned))

    def _checked(self, accepted: bool, banned: str | None) -> ServerState:
        return self._go_on(self._attempt.checked(accepted=accepted, banned=banned))

    def _tokens(self, tokens: Sequence[FastToken], now: float, banned: str | None) -> ServerState:
        login = self._attempt
        outcome, used, use = (
            login.tokens_found(tokens, now, banned),
            login.token_used,
            login.request.token_use,
        )
        if isinstance(outcome, Success) and used and use and login.account:
            self._act(TokenUsed(login.account, used, use.count, use.invalidate))
            if not use.invalidate and used.expires - now < self._served.renew_token_seconds:
                self._token_wanted = used.mechanism
        return self._go_on(outcome)

    def _unavailable(self) -> ServerState:
        failure = Failure(
            Condition.TEMPORARY_AUTH_FAILURE, "log-in is not possible at the moment, try again later"
        )
        self._act(Send(failure_element(self._attempt.request.profile, failure)))
        self._login = None
        return ServerState.OPENED

    def _go_on(self, outcome: Outcome) -> ServerState:
        """Do what the attempt has come to."""
        profile = self._attempt.request.profile
        match outcome:
            case Challenge(data):
                self._act(Send(challenge_element(profile, data)))
                return ServerState.CHALLENGED
            case LookUpKeys():
                self._act(outcome)
                return ServerState.LOOKING_UP_KEYS
            case CheckPassword() | CheckAccount():
                self._act(outcome)
                return ServerState.CHECKING
            case LookUpTokens():
                self._act(outcome)
                return ServerState.LOOKING_UP_TOKENS
            case Failure():
                return self._refuse(profile, outcome)
            case Success(data):
                return self._succeed(data)

    def _refuse(self, profile: str, failure: Failure, mechanism: str = "") -> ServerState:
        """Fail the attempt; after too many, close the stream (RFC 6120 §6.4.5)."""
        account = None
        if self._login is not None:
            account, mechanism = self._login.account, self._login.request.mechanism
        self._login = None
        self._attempts += 1
        self._act(
            AuthenticationFailed(account, mechanism, failure.condition),
            Send(failure_element(profile, failure)),
        )
        if self._attempts >= self._policy.max_login_attempts:
            raise StreamError("policy-violation", "too many failed attempts to log in")
        return ServerState.OPENED

    def _succeed(self, data: bytes | None) -> ServerState:
        """Tell the good news: at once in SASL, after the inline requests in SASL2."""
        login = self._attempt
        request, self._account, self._user_agent = login.request, login.account, login.request.user_agent
        self._act(
            Authenticated(
                account=self._owner,
                mechanism=request.mechanism,
                anonymous=login.anonymous,
                user_agent=request.user_agent,
            )
        )
        if request.profile == ns.SASL:
            content = () if data is None else (initial_data(data),)
            self._act(Send(Element("success", ns.SASL, None, *content)), RestartStream())
            self._is_open = False
            return ServerState.RESTARTING
        self._success_data = data
        self._token_wanted = "" if login.anonymous else request.token_wanted or self._token_wanted
        return self._begin_session()
