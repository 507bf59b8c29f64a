"""The client's side of a stream, from its opening to a session, without sockets and for any framing.

Implements RFC 6120 §4-§7, XEP-0386, XEP-0388, XEP-0440, XEP-0474 and XEP-0484. Here is what a runner calls.
`client_table` is the protocol: it says for each state and input which phase does what, as `phase.verb`. The
phases are objects that share one machine:

- `opening` (`client_opening`): stream headers, features, TLS, and the end of the stream;
- `login` (`client_login`): SASL and SASL2, by the plan of `client_plan`;
- `session` (`client_session`): binding after SASL.

Left out: XEP-0388's tasks, the session request of RFC 3921 where a server insists on it, registration.
"""

from collections.abc import Callable

from tidings.base.errors import StreamError
from tidings.base.ids import token
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.client_login import ClientLoginPhase
from tidings.wire.xmpp.negotiation.client_opening import ClientOpeningPhase
from tidings.wire.xmpp.negotiation.client_session import ClientSessionPhase
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings
from tidings.wire.xmpp.negotiation.client_table import ClientInput, ClientStreamState, client_machine
from tidings.wire.xmpp.negotiation.values import Action, StreamHeader, TlsInfo


class ClientNegotiation:
    """Negotiates one stream with a server that it does not trust before that has proved itself.

    On direct TLS or HTTPS call `tls_established` first of all, then `start`; feed it what arrives and do the
    actions that it gives.
    """

    __slots__ = ("_login", "_machine", "_opening", "_session")

    def __init__(self, settings: ClientSettings, *, make_token: Callable[[], str] = token) -> None:
        self._machine = machine = client_machine()
        self._opening = ClientOpeningPhase(machine, settings)
        self._login = ClientLoginPhase(machine, self._opening, settings, make_token)
        self._session = ClientSessionPhase(machine, self._opening, settings, make_token)

    def _feed(self, kind: ClientInput, *arguments: object) -> None:
        """Have done what the table says, by the phase that it names before the dot."""
        phases = {"opening": self._opening, "login": self._login, "session": self._session}
        self._machine.feed(kind, arguments, phases, self._machine.close)

    # --- where it stands

    @property
    def state(self) -> ClientStreamState:
        """Where the negotiation stands."""
        return self._machine.state

    @property
    def closed(self) -> bool:
        """True after `CloseStream`: nothing more will come."""
        return self._machine.closed

    @property
    def waiting(self) -> bool:
        """True while the TLS handshake runs: feed nothing else from the peer before it is over."""
        return self._machine.waiting

    def take(self) -> list[Action]:
        """Return the actions since the last call, in the order in which they are to be done."""
        return self._machine.take()

    # --- what happens

    def start(self) -> None:
        """Open the stream."""
        self._feed(ClientInput.START)

    def stream_opened(self, header: StreamHeader) -> None:
        """The server opened its stream."""
        self._feed(ClientInput.HEADER, header)

    def received(self, element: Element) -> None:
        """The server sent a first-level element."""
        self._feed(_classify(element, self._login.profile), element)

    def tls_established(self, info: TlsInfo) -> None:
        """The channel is encrypted, and the server's certificate is right for the domain."""
        self._feed(ClientInput.TLS, info)

    def stream_closed(self) -> None:
        """The server closed its stream, or the connection is gone."""
        self._feed(ClientInput.CLOSING)

    def fail(self, error: StreamError) -> None:
        """The stream ends for a reason from outside: the parser, a deadline, the user."""
        self._feed(ClientInput.FAIL, error)


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
