"""The server's side of a stream, from its opening to a session, without sockets and for any framing.

Implements RFC 6120 §4-§7 for clients, XEP-0175, XEP-0178 §2, XEP-0386, XEP-0388, XEP-0440, XEP-0474,
XEP-0478 and XEP-0484. Here is what a runner calls. `server_table` is the protocol: it says for each state and
input which phase does what, as `phase.verb`. The phases are objects that share one machine:

- `opening` (`server_opening`): stream headers, features, TLS, registration, and the end of the stream;
- `login` (`server_login`): SASL and SASL2, with what is asked about credentials;
- `session` (`server_session`): tokens, inline requests, binding, and extensions between log-in and binding.

Left out: XEP-0388's tasks (<continue/>), 0-RTT, resource binding more than once.
"""

from collections.abc import Callable, Sequence

from tidings.base.errors import StanzaError, StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.negotiation.server_login import ServerLoginPhase
from tidings.wire.xmpp.negotiation.server_opening import ServerOpeningPhase
from tidings.wire.xmpp.negotiation.server_session import ServerSessionPhase
from tidings.wire.xmpp.negotiation.server_table import ServerInput, ServerStreamState, server_machine
from tidings.wire.xmpp.negotiation.values import Action, StreamHeader, TlsInfo
from tidings.wire.xmpp.sasl.keys import ScramKeys
from tidings.wire.xmpp.sasl.tokens import FastToken


class ServerNegotiation:
    """Negotiates one stream; feed it what arrives, do the actions that it gives, answer what it asks.

    Never raises for what a peer sends. A direct-TLS or HTTPS runner calls `tls_established` first of all.
    While `waiting`, feed nothing from the peer. After `Established`, stanzas go elsewhere; hand in elements
    that are no stanzas and that nobody else knows, and iqs in the namespaces `ns.BIND` and `ns.SESSION`.
    """

    __slots__ = ("_login", "_machine", "_opening", "_session")

    def __init__(self, policy: StreamPolicy, *, make_token: Callable[[], str] = token) -> None:
        self._machine = machine = server_machine()
        self._opening = ServerOpeningPhase(machine, policy, make_token)
        self._session = ServerSessionPhase(machine, self._opening, make_token)
        self._login = ServerLoginPhase(machine, self._opening, self._session, policy, make_token)

    def _feed(self, kind: ServerInput, *arguments: object) -> None:
        """Have done what the table says, by the phase that it names before the dot."""
        phases = {"opening": self._opening, "login": self._login, "session": self._session}
        self._machine.feed(kind, arguments, phases, self._opening.close)

    # --- where it stands

    @property
    def state(self) -> ServerStreamState:
        """Where the negotiation stands."""
        return self._machine.state

    @property
    def closed(self) -> bool:
        """True after `CloseStream`: nothing more will come."""
        return self._machine.closed

    @property
    def waiting(self) -> bool:
        """True while an answer is outstanding: feed nothing else from the peer before it is there."""
        return self._machine.waiting

    def take(self) -> list[Action]:
        """Return the actions since the last call, in the order in which they are to be done."""
        return self._machine.take()

    @property
    def header(self) -> StreamHeader:
        """The peer's last stream header."""
        return self._opening.header

    @property
    def host(self) -> HostPolicy | None:
        """The policy of the host that the stream is for, once known."""
        return self._opening.host

    @property
    def tls(self) -> TlsInfo | None:
        """The encrypted channel, or None on a plain one."""
        return self._opening.tls

    @property
    def account(self) -> Jid | None:
        """Who has logged in."""
        return self._session.account

    @property
    def jid(self) -> Jid | None:
        """The session's address, once there is one."""
        return self._session.jid

    # --- what happens on the wire

    def stream_opened(self, header: StreamHeader) -> None:
        """The peer opened a stream, for the first time or anew after TLS or log-in."""
        self._feed(ServerInput.HEADER, header)

    def received(self, element: Element) -> None:
        """The peer sent a first-level element."""
        kind = self._classify(element)
        self._feed(kind, element)

    def tls_established(self, info: TlsInfo) -> None:
        """The channel is encrypted: by the handshake after `StartTls`, or from the start."""
        self._feed(ServerInput.TLS, info)

    def stream_closed(self) -> None:
        """The peer closed its stream, or the connection is gone."""
        self._feed(ServerInput.CLOSING)

    def fail(self, error: StreamError) -> None:
        """The stream ends for a reason from outside: the parser, a deadline, a shutdown."""
        self._feed(ServerInput.FAIL, error)

    # --- answers to what was asked

    def keys_found(self, keys: Sequence[ScramKeys] | None, *, banned: str | None = None) -> None:
        """Answer `LookUpKeys`; None: there is no such account. `banned`: why it may not log in."""
        self._feed(ServerInput.KEYS, keys, banned)

    def checked(self, accepted: bool, *, banned: str | None = None) -> None:
        """Answer `CheckPassword` or `CheckAccount`."""
        self._feed(ServerInput.CHECKED, accepted, banned)

    def tokens_found(self, tokens: Sequence[FastToken], *, now: float, banned: str | None = None) -> None:
        """Answer `LookUpTokens`, with the time in UTC seconds; the store's newest token first."""
        self._feed(ServerInput.TOKENS, tokens, now, banned)

    def proof_of(self, element: Element) -> str | None:
        """Tell whose password this element would prove, so that it may wait, or None for any other element.

        Where it may not be looked at now, call `postponed` instead of feeding it.
        """
        is_challenged = self.state is ServerStreamState.CHALLENGED
        if is_challenged and self._classify(element) is ServerInput.RESPONSE:
            return self._login.prover
        return None

    def postponed(self) -> None:
        """Refuse for now the proof that has come."""
        self._feed(ServerInput.POSTPONED)

    def unavailable(self) -> None:
        """Answer any question about credentials: the store does not answer now."""
        self._feed(ServerInput.UNAVAILABLE)

    def registration_answered(self, iq: Element) -> None:
        """Answer `RegistrationRequest` with the iq to send."""
        self._feed(ServerInput.REGISTERED, iq)

    def inline_answered(self, elements: Sequence[Element] = (), *, resumed: Jid | None = None) -> None:
        """Answer `NegotiateInline`; `resumed` is the address of the session that goes on, if one does."""
        self._feed(ServerInput.ANSWERED, tuple(elements), resumed)

    def bound(self, jid: Jid, elements: Sequence[Element] = ()) -> None:
        """Answer `BindResource`: there is a session; `elements` answer the inline requests."""
        self._feed(ServerInput.BOUND, jid, tuple(elements))

    def token_issued(self, text: str, expires: str) -> None:
        """Answer `IssueToken` with the token and when it ends (XEP-0082)."""
        self._feed(ServerInput.ISSUED, text, expires)

    def refused(self, error: StanzaError) -> None:
        """Answer `BindResource`, `RegistrationRequest`, `NegotiateInline` or `IssueToken`: it cannot be."""
        self._feed(ServerInput.REFUSED, error)

    # --- looking closer

    def _classify(self, element: Element) -> ServerInput:
        """Tell which input an element is."""
        if element.namespace == ns.CLIENT:
            return _classify_stanza(element)
        if element.namespace in {ns.SASL, ns.SASL2} and element.name in {"response", "abort"}:
            if self._login.profile not in {"", element.namespace}:
                return ServerInput.OTHER
            return ServerInput.RESPONSE if element.name == "response" else ServerInput.ABORT
        known = _NONZAS.get((element.namespace, element.name))
        if known is not None:
            return known
        if self.host is not None and element.namespace in self.host.extensions:
            return ServerInput.EXTENSION
        return ServerInput.OTHER


_NONZAS = {
    (ns.TLS, "starttls"): ServerInput.STARTTLS,
    (ns.SASL, "auth"): ServerInput.AUTH,
    (ns.SASL2, "authenticate"): ServerInput.AUTHENTICATE,
    (ns.STREAMS, "error"): ServerInput.PEER_ERROR,
}


def _classify_stanza(element: Element) -> ServerInput:
    """Tell the iqs of negotiation from other stanzas."""
    if element.name not in {"iq", "message", "presence"}:
        return ServerInput.OTHER
    kind = element.get("type")
    if element.name == "iq" and kind in {"get", "set"}:
        if element.find("query", ns.REGISTER) is not None:
            return ServerInput.REGISTER
        if kind == "set" and element.find("preauth", ns.PREAUTH) is not None:  # XEP-0445 §4
            return ServerInput.REGISTER
        if kind == "set" and element.find("bind", ns.BIND) is not None:
            return ServerInput.BIND
        if kind == "set" and element.find("session", ns.SESSION) is not None:
            return ServerInput.SESSION
    return ServerInput.STANZA
