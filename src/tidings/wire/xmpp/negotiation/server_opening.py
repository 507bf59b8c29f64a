"""The first phase of the server's side: stream headers, features, STARTTLS and registration.

Implements RFC 6120 §4, §5 and the doors of XEP-0077 and XEP-0478.
"""

from collections.abc import Callable

from tidings.base.errors import LocalProtocolError, StanzaError, StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import iq_error
from tidings.wire.xmpp.negotiation.features import features_after, features_before, may_log_in, offer_for
from tidings.wire.xmpp.negotiation.login import Login
from tidings.wire.xmpp.negotiation.machine import Machine
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.negotiation.server_table import SERVER_TABLE, WAITING, ServerInput, ServerState
from tidings.wire.xmpp.negotiation.values import (
    CloseStream,
    OpenStream,
    RegistrationRequest,
    Send,
    StartTls,
    StreamHeader,
    TlsInfo,
    UserAgent,
)
from tidings.wire.xmpp.sasl.offer import Offer


class OpeningPhase(Machine[ServerState, ServerInput]):
    """What `ServerNegotiation` does before log-in; see there."""

    def __init__(self, policy: StreamPolicy, *, make_token: Callable[[], str] = token) -> None:
        super().__init__(SERVER_TABLE, ServerState.CONNECTED, ServerState.CLOSED, WAITING)
        self._policy = policy
        self._make_token = make_token
        self._host: HostPolicy | None = None
        self._tls: TlsInfo | None = None
        self._header = StreamHeader()
        self._claimed: Jid | None = None
        self._is_open = False
        self._offer = Offer()
        self._login: Login | None = None
        self._attempts = 0
        self._account: Jid | None = None
        self._user_agent = UserAgent()
        self._jid: Jid | None = None
        self._request: Element | None = None
        self._token_wanted = ""
        self._success_data: bytes | None = None
        self._success: list[Element] = []

    # --- what is known

    @property
    def header(self) -> StreamHeader:
        """The peer's last stream header."""
        return self._header

    @property
    def host(self) -> HostPolicy | None:
        """The policy of the host that the stream is for, once known."""
        return self._host

    @property
    def tls(self) -> TlsInfo | None:
        """The encrypted channel, or None on a plain one."""
        return self._tls

    @property
    def account(self) -> Jid | None:
        """Who has logged in."""
        return self._account

    @property
    def jid(self) -> Jid | None:
        """The session's address, once there is one."""
        return self._jid

    # --- the opening

    def _open(self, header: StreamHeader) -> ServerState:
        """Check the stream's header and answer with our own and the features (RFC 6120 §4.2, §4.7)."""
        self._header = header
        self._host = self._host_of(header)
        self._claimed = _claimed_account(header, self._host.domain)
        encrypts = self._can_start_tls(self._host)
        if not encrypts and not may_log_in(self._host, self._tls):
            raise StreamError("policy-violation", "this host is served on encrypted connections only")
        if self._host.see_other_host and not (encrypts and self._host.tls_required):
            raise StreamError("see-other-host", payload=self._host.see_other_host.encode())  # §4.9.3.19
        self._open_own()
        self._offer = offer_for(self._host, self._tls)
        self._act(Send(features_before(self._host, self._offer, self._tls, can_starttls=encrypts)))
        return ServerState.OPENED

    def _reopen(self, header: StreamHeader) -> ServerState:
        """Check the header of the stream after log-in: still the same host and account."""
        self._header = header
        host = self._host_of(header)
        if self._host is None or host.domain != self._host.domain:
            raise StreamError("policy-violation", "the log-in was for another host")
        claimed = _claimed_account(header, host.domain)
        if claimed is not None and claimed != self._account:
            raise StreamError("invalid-from", "the log-in was as somebody else")
        self._open_own()
        self._act(Send(features_after(host, bound=False)))
        return ServerState.AUTHENTICATED

    def _host_of(self, header: StreamHeader) -> HostPolicy:
        major = header.version.partition(".")[0]
        if not (major.isascii() and major.isdigit() and int(major[:4]) >= 1):
            raise StreamError("unsupported-version", "version 1.0 is spoken here")
        if not header.to:
            raise StreamError("improper-addressing", "the stream's header must say `to` whom")
        try:
            to = Jid(header.to)
        except JidError as error:
            raise StreamError("improper-addressing", str(error)) from None
        host = None if to.local or to.resource else self._policy.host(to.domain)
        if host is None:
            raise StreamError("host-unknown", f"{to} is not served here")
        return host

    def _open_own(self) -> None:
        """Send our header; its `from` is a host of ours, or nothing (RFC 6120 §4.7.1)."""
        domain = self._host.domain if self._host else self._policy.default_domain
        to = self._account or self._claimed or ""
        lang = self._header.lang if 0 < len(self._header.lang) <= 35 else "en"
        header = StreamHeader(to=to, sender=domain, version="1.0", lang=lang, id=self._make_token())
        self._act(OpenStream(header))
        self._is_open = True

    def _close(self, error: StreamError | None) -> ServerState:
        """Close the stream; an error needs an opening before it (RFC 6120 §4.9.1.2)."""
        if self._state is ServerState.ENCRYPTING:
            error = None
        elif error is not None and not self._is_open:
            self._open_own()
        self._act(CloseStream(error))
        return ServerState.CLOSED

    def _peer_closed(self) -> ServerState:
        return self._close(None)

    def _peer_failed(self, _element: Element) -> ServerState:
        return self._close(None)

    def _fail(self, error: StreamError) -> ServerState:
        return self._close(error)

    # --- TLS

    def _can_start_tls(self, host: HostPolicy) -> bool:
        return self._policy.starttls and host.tls_available and self._tls is None

    def _start_tls(self, _element: Element) -> ServerState:
        """Proceed, or fail and close (RFC 6120 §5.4.2)."""
        if not self._can_start_tls(self._served):
            self._act(Send(Element("failure", ns.TLS)))
            return self._close(None)
        self._act(Send(Element("proceed", ns.TLS)), StartTls())
        self._is_open = False
        return ServerState.ENCRYPTING

    def _secured(self, info: TlsInfo) -> ServerState:
        """Forget what was said in plain text (RFC 6120 §5.4.3.3)."""
        if self._tls is not None:
            raise LocalProtocolError("the channel is encrypted already")
        self._tls = info
        self._host, self._claimed, self._header = None, None, StreamHeader()
        return ServerState.CONNECTED

    # --- registration

    def _register(self, iq: Element) -> ServerState:
        """Pass the request on where the host allows it (XEP-0077 §3.1)."""
        if not self._served.registration or not may_log_in(self._served, self._tls):
            self._act(Send(iq_error(iq, StanzaError("service-unavailable", "there is no registration here"))))
            return ServerState.OPENED
        self._request = iq
        self._act(RegistrationRequest(iq))
        return ServerState.REGISTERING

    def _registered(self, answer: Element) -> ServerState:
        self._act(Send(answer))
        return ServerState.OPENED

    def _registration_refused(self, error: StanzaError) -> ServerState:
        self._act(Send(iq_error(self._asked, error)))
        return ServerState.OPENED

    @property
    def _asked(self) -> Element:
        if self._request is None:
            raise LocalProtocolError("nothing was asked")
        return self._request

    @property
    def _served(self) -> HostPolicy:
        if self._host is None:
            raise LocalProtocolError("no stream is open")
        return self._host

    @property
    def _attempt(self) -> Login:
        if self._login is None:
            raise LocalProtocolError("nobody logs in")
        return self._login

    @property
    def _owner(self) -> Jid:
        if self._account is None:
            raise LocalProtocolError("nobody has logged in")
        return self._account


def _claimed_account(header: StreamHeader, domain: str) -> Jid | None:
    """Read the account that a stream says it is from, which must be one of this host (RFC 6120 §4.9.3.9)."""
    if not header.sender:
        return None
    try:
        sender = Jid(header.sender)
    except JidError as error:
        raise StreamError("invalid-from", str(error)) from None
    if sender.domain != domain:
        raise StreamError("invalid-from", "the stream's `from` belongs to another host")
    return sender.bare if sender.local else None
