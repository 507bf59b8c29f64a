"""The first phase of the client's side: stream headers, features, STARTTLS, and the end of the stream.

Implements RFC 6120 §4 and §5.
"""

from tidings.base.errors import StreamError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings, TlsWish
from tidings.wire.xmpp.negotiation.client_table import ClientMachine, ClientStreamState
from tidings.wire.xmpp.negotiation.elements import read_stream_error
from tidings.wire.xmpp.negotiation.values import (
    FeaturesReceived,
    LoginFailed,
    OpenStream,
    Send,
    StartTls,
    StreamErrorReceived,
    StreamHeader,
    TlsInfo,
)


class ClientOpeningPhase:
    """What the stream is: plain or encrypted, and what the server advertises on it."""

    __slots__ = ("_machine", "_settings", "features", "tls")

    def __init__(self, machine: ClientMachine, settings: ClientSettings) -> None:
        self._machine = machine
        self._settings = settings
        self.tls: TlsInfo | None = None
        self.features = Element("features", ns.STREAMS)
        """What the server has advertised last."""

    # --- the opening

    def start(self) -> ClientStreamState:
        """Open the stream, the first thing that happens."""
        self.open()
        return ClientStreamState.OPENING

    def open(self) -> None:
        """Send our header; who we are is told on encrypted streams only (RFC 6120 §4.7.1)."""
        settings = self._settings
        tells = settings.account and (self.tls is not None or settings.tls is TlsWish.NEVER)
        sender = str(settings.account) if tells else ""
        self._machine.act(OpenStream(StreamHeader(to=settings.domain, sender=sender, lang=settings.lang)))

    def welcomed(self, header: StreamHeader) -> ClientStreamState:
        """Take the server's header."""
        self._check_version(header)
        return ClientStreamState.WELCOMED

    def welcomed_again(self, header: StreamHeader) -> ClientStreamState:
        """Take the server's header of the stream after log-in."""
        self._check_version(header)
        return ClientStreamState.LOGGED_IN

    def _check_version(self, header: StreamHeader) -> None:
        if not header.version or header.version.startswith("0"):
            raise StreamError("unsupported-version", "version 1.0 is spoken here")

    def encrypt(self, features: Element) -> ClientStreamState | None:
        """Note the features and encrypt first; None where the stream is as private as it has to be."""
        self.note(features)
        if self.tls is None and self._settings.tls is not TlsWish.NEVER:
            if features.find("starttls", ns.TLS) is not None:
                self._machine.act(Send(Element("starttls", ns.TLS)))
                return ClientStreamState.ASKING_TLS
            if self._settings.tls is TlsWish.REQUIRED:
                return self._give_up("the server does not offer STARTTLS")
        return None

    def late_features(self, features: Element) -> ClientStreamState:
        """Note what is advertised once there is a session."""
        self.note(features)
        return ClientStreamState.ESTABLISHED

    def note(self, features: Element) -> None:
        """Note what the server advertises."""
        self.features = features
        self._machine.act(FeaturesReceived(features))

    # --- TLS

    def proceed(self, _element: Element) -> ClientStreamState:
        """Begin the handshake."""
        self._machine.act(StartTls())
        return ClientStreamState.ENCRYPTING

    def tls_failed(self, _element: Element) -> ClientStreamState:
        """Give up, since the server cannot encrypt."""
        return self._give_up("the server could not start TLS")

    def secured_first(self, info: TlsInfo) -> ClientStreamState:
        """Note that the channel is encrypted from the start."""
        self.tls = info
        return ClientStreamState.CONNECTED

    def secured(self, info: TlsInfo) -> ClientStreamState:
        """Forget what was said in plain text and open the stream anew (RFC 6120 §5.4.3.3)."""
        self.tls = info
        self.open()
        return ClientStreamState.OPENING

    # --- the end

    def _give_up(self, text: str) -> ClientStreamState:
        self._machine.act(LoginFailed("encryption-required", text))
        return self._machine.close(None)

    def peer_closed(self) -> ClientStreamState:
        """Close, since the server has."""
        return self._machine.close(None)

    def peer_failed(self, element: Element) -> ClientStreamState:
        """Tell why the server ends the stream."""
        self._machine.act(StreamErrorReceived(read_stream_error(element)))
        return self._machine.close(None)

    def fail(self, error: StreamError) -> ClientStreamState:
        """Close for a reason from outside."""
        return self._machine.close(error)
