"""The client's side of a stream, from its opening to a session, without sockets and for any framing.

Implements RFC 6120 §4-§7, XEP-0386, XEP-0388, XEP-0440, XEP-0474 and XEP-0484; `client_table` is the
protocol, the methods here are its verbs.
Left out: XEP-0388's tasks, the session request of RFC 3921 where a server insists on it, registration.
"""

from collections.abc import Callable

from tidings.base.errors import LocalProtocolError, StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.client_login import LoginPlan, plan_login
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings, TlsWish
from tidings.wire.xmpp.negotiation.client_table import CLIENT_TABLE, WAITING, ClientInput, ClientState
from tidings.wire.xmpp.negotiation.elements import (
    LoginRefusedError,
    read_data,
    read_failure,
    read_stream_error,
    response_element,
)
from tidings.wire.xmpp.negotiation.machine import Machine
from tidings.wire.xmpp.negotiation.values import (
    BindFailed,
    Established,
    FeaturesReceived,
    LoginFailed,
    OpenStream,
    RestartStream,
    Send,
    StartTls,
    StreamErrorReceived,
    StreamHeader,
    TlsInfo,
    TokenReceived,
)
from tidings.wire.xmpp.sasl.steps import MechanismError


class ClientNegotiation(Machine[ClientState, ClientInput]):
    """Negotiates one stream with a server that it does not trust before that has proved itself.

    On direct TLS or HTTPS call `tls_established` first of all, then `start`; feed it what arrives and do the
    actions that it gives.
    """

    def __init__(self, settings: ClientSettings, *, make_token: Callable[[], str] = token) -> None:
        super().__init__(CLIENT_TABLE, ClientState.CONNECTED, ClientState.CLOSED, WAITING)
        self._settings = settings
        self._make_token = make_token
        self._tls: TlsInfo | None = None
        self._features_seen = Element("features", ns.STREAMS)
        self._plan: LoginPlan | None = None
        self._token_spent = settings.token is None
        self._bind_id = ""

    # --- what happens

    def start(self) -> None:
        """Open the stream."""
        self._feed(ClientInput.START)

    def stream_opened(self, header: StreamHeader) -> None:
        """The server opened its stream."""
        self._feed(ClientInput.HEADER, header)

    def received(self, element: Element) -> None:
        """The server sent a first-level element."""
        self._feed(_classify(element, self._plan.profile if self._plan else ns.SASL), element)

    def tls_established(self, info: TlsInfo) -> None:
        """The channel is encrypted, and the server's certificate is right for the domain."""
        self._feed(ClientInput.TLS, info)

    def stream_closed(self) -> None:
        """The server closed its stream, or the connection is gone."""
        self._feed(ClientInput.CLOSING)

    def fail(self, error: StreamError) -> None:
        """The stream ends for a reason from outside: the parser, a deadline, the user."""
        self._feed(ClientInput.FAIL, error)

    # --- the opening

    def _start(self) -> ClientState:
        self._open()
        return ClientState.OPENING

    def _open(self) -> None:
        """Send our header; who we are is told on encrypted streams only (RFC 6120 §4.7.1)."""
        settings = self._settings
        tells = settings.account and (self._tls is not None or settings.tls is TlsWish.NEVER)
        sender = str(settings.account) if tells else ""
        self._act(OpenStream(StreamHeader(to=settings.domain, sender=sender, lang=settings.lang)))

    def _welcomed(self, header: StreamHeader) -> ClientState:
        self._check_version(header)
        return ClientState.WELCOMED

    def _welcomed_again(self, header: StreamHeader) -> ClientState:
        self._check_version(header)
        return ClientState.LOGGED_IN

    def _check_version(self, header: StreamHeader) -> None:
        if not header.version or header.version.startswith("0"):
            raise StreamError("unsupported-version", "version 1.0 is spoken here")

    def _features(self, features: Element) -> ClientState:
        """Encrypt first, then log in."""
        self._note(features)
        if self._tls is None and self._settings.tls is not TlsWish.NEVER:
            if features.find("starttls", ns.TLS) is not None:
                self._act(Send(Element("starttls", ns.TLS)))
                return ClientState.ASKING_TLS
            if self._settings.tls is TlsWish.REQUIRED:
                return self._give_up("encryption-required", "the server does not offer STARTTLS")
        return self._log_in()

    def _late_features(self, features: Element) -> ClientState:
        self._note(features)
        return ClientState.ESTABLISHED

    def _note(self, features: Element) -> None:
        self._features_seen = features
        self._act(FeaturesReceived(features))

    # --- TLS

    def _proceed(self, _element: Element) -> ClientState:
        self._act(StartTls())
        return ClientState.ENCRYPTING

    def _tls_failed(self, _element: Element) -> ClientState:
        return self._give_up("encryption-required", "the server could not start TLS")

    def _secured_first(self, info: TlsInfo) -> ClientState:
        self._tls = info
        return ClientState.CONNECTED

    def _secured(self, info: TlsInfo) -> ClientState:
        """Forget what was said in plain text and open the stream anew (RFC 6120 §5.4.3.3)."""
        self._tls = info
        self._open()
        return ClientState.OPENING

    # --- log-in

    def _log_in(self) -> ClientState:
        """Begin with the token if there is one, else with the strongest mechanism on offer."""
        try:
            self._plan = plan_login(
                self._settings,
                self._features_seen,
                self._tls,
                nonce=self._make_token(),
                token_spent=self._token_spent,
            )
        except MechanismError as error:
            return self._give_up("mechanism-too-weak", str(error))
        self._act(Send(self._plan.request))
        return ClientState.LOGGING_IN

    def _challenge(self, element: Element) -> ClientState:
        try:
            answer = self._attempt.mechanism.receive(read_data(element.text))
        except (MechanismError, LoginRefusedError) as error:
            self._act(Send(Element("abort", self._attempt.profile)))
            return self._give_up("aborted", str(error))
        self._act(Send(response_element(self._attempt.profile, answer)))
        return ClientState.LOGGING_IN

    def _failure(self, element: Element) -> ClientState:
        """Tell why; after a refused token, go on with the password (XEP-0484 §4.1)."""
        condition, text = read_failure(element)
        if self._attempt.uses_token and self._settings.password:
            self._token_spent = True
            self._act(LoginFailed(condition, text))
            return self._log_in()
        return self._give_up(condition, text)

    def _continue(self, _element: Element) -> ClientState:
        self._act(Send(Element("abort", ns.SASL2)))
        return self._give_up("aborted", "the server asks for a second step that is not known here")

    def _success(self, element: Element) -> ClientState:
        """Believe the server once it has proved itself."""
        try:
            self._attempt.mechanism.finish(self._success_data(element))
        except (MechanismError, LoginRefusedError) as error:
            return self._give_up("aborted", str(error))
        if self._attempt.profile == ns.SASL:
            self._act(RestartStream())
            self._open()
            return ClientState.REOPENING
        return self._sasl2_success(element)

    def _success_data(self, element: Element) -> bytes | None:
        text = (
            element.text_of("additional-data")
            if self._attempt.profile == ns.SASL2
            else element.text.strip() or None
        )
        return None if text is None else read_data(text)

    def _sasl2_success(self, element: Element) -> ClientState:
        """Read the address, the token and what was negotiated inline (XEP-0388 §2.6.1)."""
        jid = self._read_jid(element.text_of("authorization-identifier"))
        given = element.find("token", ns.FAST)
        if given is not None and self._attempt.token_mechanism:
            self._act(
                TokenReceived(
                    self._attempt.token_mechanism, given.get("token") or "", given.get("expiry") or ""
                )
            )
        if not jid.resource:
            return ClientState.LOGGED_IN
        bound = element.find("bound", ns.BIND2)
        own = {(ns.SASL2, "additional-data"), (ns.SASL2, "authorization-identifier"), (ns.BIND2, "bound")}
        answers = [child for child in element.children if (child.namespace, child.name) not in own]
        if bound is not None:
            answers.extend(bound.children)
        self._act(Established(jid, bound is None, tuple(answers)))
        return ClientState.ESTABLISHED

    @property
    def _attempt(self) -> LoginPlan:
        if self._plan is None:
            raise LocalProtocolError("nobody is logging in")
        return self._plan

    def _read_jid(self, text: str | None) -> Jid:
        try:
            jid = Jid(text or "")
        except JidError as error:
            raise StreamError(
                "undefined-condition", f"the server names no address of ours: {error}"
            ) from None
        if jid.domain != Jid(self._settings.domain).domain:
            raise StreamError("undefined-condition", "the server names an address of another host as ours")
        return jid

    # --- the session

    def _bind(self, features: Element) -> ClientState:
        """Ask for a session (RFC 6120 §7)."""
        self._note(features)
        if features.find("bind", ns.BIND) is None:
            self._act(BindFailed("feature-not-implemented", "the server does not offer sessions"))
            return self._close(None)
        self._bind_id = self._make_token()
        bind = Element("bind", ns.BIND)
        if self._settings.resource:
            bind.append(Element("resource", ns.BIND, None, self._settings.resource))
        self._act(Send(Element("iq", ns.CLIENT, {"type": "set", "id": self._bind_id}, bind)))
        return ClientState.BINDING

    def _bind_answered(self, stanza: Element) -> ClientState:
        """Take the answer; another stanza that comes before it is not for a session yet."""
        if stanza.name != "iq" or stanza.get("id") != self._bind_id:
            return ClientState.BINDING
        if stanza.get("type") == "result":
            bind = stanza.find("bind", ns.BIND)
            self._act(Established(self._read_jid(bind.text_of("jid") if bind is not None else None)))
            return ClientState.ESTABLISHED
        error = stanza.find("error")
        names = [child.name for child in (error.children if error is not None else ())]
        text = error.text_of("text", ns.STANZA_ERRORS) if error is not None else None
        self._act(BindFailed(names[0] if names else "undefined-condition", text or ""))
        return self._close(None)

    # --- the end

    def _give_up(self, condition: str, text: str) -> ClientState:
        self._act(LoginFailed(condition, text))
        return self._close(None)

    def _peer_closed(self) -> ClientState:
        return self._close(None)

    def _peer_failed(self, element: Element) -> ClientState:
        self._act(StreamErrorReceived(read_stream_error(element)))
        return self._close(None)

    def _fail(self, error: StreamError) -> ClientState:
        return self._close(error)


def _classify(element: Element, profile: str) -> ClientInput:
    """Tell which input an element is."""
    if element.namespace == ns.CLIENT:
        return ClientInput.STANZA if element.name in {"iq", "message", "presence"} else ClientInput.OTHER
    if element.namespace == profile:
        return _LOGIN.get(element.name, ClientInput.OTHER)
    return _NONZAS.get((element.namespace, element.name), ClientInput.OTHER)


_LOGIN = {
    "challenge": ClientInput.CHALLENGE,
    "success": ClientInput.SUCCESS,
    "failure": ClientInput.FAILURE,
    "continue": ClientInput.CONTINUE,
}
_NONZAS = {
    (ns.STREAMS, "features"): ClientInput.FEATURES,
    (ns.STREAMS, "error"): ClientInput.PEER_ERROR,
    (ns.TLS, "proceed"): ClientInput.PROCEED,
    (ns.TLS, "failure"): ClientInput.TLS_FAILURE,
}
