"""The first phase of the server's side: stream headers, features, STARTTLS and registration.

Implements RFC 6120 §4, §5 and the doors of XEP-0077 and XEP-0478.
"""

from collections.abc import Callable

from tidings.base.errors import LocalProtocolError, StanzaError, StreamError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import iq_error
from tidings.wire.xmpp.negotiation.features import features_after, features_before, may_log_in, offer_for
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.negotiation.server_table import ServerMachine, ServerStreamState
from tidings.wire.xmpp.negotiation.values import (
    OpenStream,
    RegistrationRequest,
    Send,
    StartTls,
    StreamHeader,
    TlsInfo,
)
from tidings.wire.xmpp.payloads.stream_management import Enable, Failed, Resume
from tidings.wire.xmpp.sasl.offer import Offer

NO_HEADER = StreamHeader()
NO_OFFER = Offer()


class ServerOpeningPhase:
    """What the stream is: its header and its host, plain or encrypted; registers those without an account.

    The later phases ask it for the host. It ends the stream, too, since an error needs an opening before it.
    """

    __slots__ = (
        "_account",
        "_is_open",
        "_machine",
        "_make_token",
        "_policy",
        "_registration",
        "claimed",
        "header",
        "host",
        "offer",
        "tls",
    )

    def __init__(self, machine: ServerMachine, policy: StreamPolicy, make_token: Callable[[], str]) -> None:
        self._machine = machine
        self._policy = policy
        self._make_token = make_token
        self._is_open = False
        self._account: Jid | None = None
        self._registration: Element | None = None
        self.header = NO_HEADER
        self.host: HostPolicy | None = None
        self.tls: TlsInfo | None = None
        self.claimed: Jid | None = None
        """The account that the stream says it is from."""
        self.offer = NO_OFFER

    @property
    def served(self) -> HostPolicy:
        """The host's policy, once a stream is open."""
        if self.host is None:
            raise LocalProtocolError("no stream is open")
        return self.host

    def restart(self, account: Jid) -> None:
        """Expect a new stream of this account, which has logged in by SASL."""
        self._account = account
        self._is_open = False

    def close(self, error: StreamError | None) -> ServerStreamState:
        """Close the stream; an error needs an opening before it (RFC 6120 §4.9.1.2)."""
        if self._machine.state is ServerStreamState.ENCRYPTING:
            error = None
        elif error is not None and not self._is_open:
            self._open_own()
        return self._machine.close(error)

    # --- the opening

    def open(self, header: StreamHeader) -> ServerStreamState:
        """Check the stream's header and answer with our own and the features (RFC 6120 §4.2, §4.7)."""
        self.header = header
        self.host = self._host_of(header)
        self.claimed = _claimed_account(header, self.host.domain)
        encrypts = self._can_start_tls(self.host)
        if not encrypts and not may_log_in(self.host, self.tls):
            raise StreamError("policy-violation", "this host is served on encrypted connections only")
        if self.host.see_other_host and not (encrypts and self.host.tls_required):
            raise StreamError("see-other-host", content=self.host.see_other_host)  # §4.9.3.19
        refusal = self._policy.refusal()
        if refusal is not None:
            raise refusal
        self._open_own()
        self.offer = offer_for(self.host, self.tls)
        self._machine.act(Send(features_before(self.host, self.offer, self.tls, can_starttls=encrypts)))
        return ServerStreamState.OPENED

    def reopen(self, header: StreamHeader) -> ServerStreamState:
        """Check the header of the stream after log-in: still the same host and account."""
        self.header = header
        host = self._host_of(header)
        if self.host is None or host.domain != self.host.domain:
            raise StreamError("policy-violation", "the log-in was for another host")
        claimed = _claimed_account(header, host.domain)
        if claimed is not None and claimed != self._account:
            raise StreamError("invalid-from", "the log-in was as somebody else")
        self._open_own()
        self._machine.act(Send(features_after(host, bound=False)))
        return ServerStreamState.AUTHENTICATED

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
        domain = self.host.domain if self.host else self._policy.default_domain
        to = self._account or self.claimed or ""
        lang = self.header.lang if 0 < len(self.header.lang) <= 35 else "en"
        header = StreamHeader(to=to, sender=domain, version="1.0", lang=lang, id=self._make_token())
        self._machine.act(OpenStream(header))
        self._is_open = True

    def peer_closed(self) -> ServerStreamState:
        """Close, since the peer has."""
        return self.close(None)

    def peer_failed(self, _element: Element) -> ServerStreamState:
        """Close, since the peer has found a fault."""
        return self.close(None)

    def fail(self, error: StreamError) -> ServerStreamState:
        """Close for a reason from outside."""
        return self.close(error)

    # --- TLS

    def _can_start_tls(self, host: HostPolicy) -> bool:
        return self._policy.starttls and host.tls_available and self.tls is None

    def start_tls(self, _element: Element) -> ServerStreamState:
        """Proceed, or fail and close (RFC 6120 §5.4.2)."""
        if not self._can_start_tls(self.served):
            self._machine.act(Send(Element("failure", ns.TLS)))
            return self.close(None)
        self._machine.act(Send(Element("proceed", ns.TLS)), StartTls())
        self._is_open = False
        return ServerStreamState.ENCRYPTING

    def secured(self, info: TlsInfo) -> ServerStreamState:
        """Forget what was said in plain text (RFC 6120 §5.4.3.3)."""
        if self.tls is not None:
            raise LocalProtocolError("the channel is encrypted already")
        self.tls = info
        self.host, self.claimed, self.header = None, None, NO_HEADER
        return ServerStreamState.CONNECTED

    # --- registration

    def register(self, iq: Element) -> ServerStreamState:
        """Pass the request on where the host allows it (XEP-0077 §3.1)."""
        if not self.served.registration or not may_log_in(self.served, self.tls):
            self._machine.act(
                Send(iq_error(iq, StanzaError("service-unavailable", "there is no registration here")))
            )
            return ServerStreamState.OPENED
        self._registration = iq
        self._machine.act(RegistrationRequest(iq))
        return ServerStreamState.REGISTERING

    def registered(self, answer: Element) -> ServerStreamState:
        """Pass the answer on."""
        self._machine.act(Send(answer))
        return ServerStreamState.OPENED

    def extend_too_early(self, element: Element) -> ServerStreamState:
        """Refuse to count stanzas, or to resume, before log-in (XEP-0198 §3); nothing else has an answer."""
        if (element.namespace, element.name) not in (Enable.TAG, Resume.TAG):
            raise StreamError("not-authorized", "log in first")
        self._machine.act(Send(Failed("unexpected-request").encode()))
        return self._machine.state

    def registration_refused(self, error: StanzaError) -> ServerStreamState:
        """Answer the request with the reason."""
        if self._registration is None:
            raise LocalProtocolError("nobody has asked to register")
        self._machine.act(Send(iq_error(self._registration, error)))
        return ServerStreamState.OPENED


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
