"""The client's negotiation as a table; `docs/explanation/negotiation.md` shows it as a diagram."""

from enum import Enum, auto
from typing import Final, TypeAlias

from tidings.wire.xmpp.negotiation.machine import Cell, Go, Ignore, Machine, Misuse, Refuse, Table, row


class ClientStreamState(Enum):
    """Where the client's side of a stream stands."""

    CONNECTED = auto()
    """Has sent nothing yet."""
    OPENING = auto()
    """Has opened the stream."""
    WELCOMED = auto()
    """Has the server's header and waits for its features."""
    ASKING_TLS = auto()
    """Has sent <starttls/>."""
    ENCRYPTING = auto()
    """The TLS handshake runs."""
    LOGGING_IN = auto()
    """Has sent the request to log in."""
    REOPENING = auto()
    """Logged in by SASL and has opened the new stream."""
    LOGGED_IN = auto()
    """Waits for the features after log-in."""
    BINDING = auto()
    """Has asked for a session."""
    ESTABLISHED = auto()
    """There is a session; the rest is the session's."""
    CLOSED = auto()
    """Is over."""


class ClientInput(Enum):
    """What can happen to the client's side of a stream."""

    START = auto()
    HEADER = auto()
    FEATURES = auto()
    PROCEED = auto()
    TLS_FAILURE = auto()
    CHALLENGE = auto()
    SUCCESS = auto()
    FAILURE = auto()
    CONTINUE = auto()
    """SASL2 wants a task done, such as a second factor."""
    STANZA = auto()
    OTHER = auto()
    PEER_ERROR = auto()
    CLOSING = auto()
    FAIL = auto()
    TLS = auto()


S, I = ClientStreamState, ClientInput  # noqa: E741  # a table is read in one look

WAITING: Final = (S.ENCRYPTING,)

_ANY_TIME: Final[dict[ClientInput, Cell]] = {
    I.CLOSING: Go("opening.peer_closed", (S.CLOSED,)),
    I.PEER_ERROR: Go("opening.peer_failed", (S.CLOSED,)),
    I.FAIL: Go("opening.fail", (S.CLOSED,)),
    I.START: Misuse(),
    I.TLS: Misuse(),
}
_UNEXPECTED: Final[dict[ClientInput, Cell]] = _ANY_TIME | {
    I.HEADER: Refuse("policy-violation", "the stream is open already"),
    I.FEATURES: Refuse("policy-violation", "features out of turn"),
    I.PROCEED: Refuse("policy-violation", "nobody asked for TLS"),
    I.TLS_FAILURE: Refuse("policy-violation", "nobody asked for TLS"),
    I.CHALLENGE: Refuse("policy-violation", "nobody is logging in"),
    I.SUCCESS: Refuse("policy-violation", "nobody is logging in"),
    I.FAILURE: Refuse("policy-violation", "nobody is logging in"),
    I.CONTINUE: Refuse("policy-violation", "nobody is logging in"),
    I.STANZA: Refuse("not-authorized", "there is no session yet"),
    I.OTHER: Refuse("unsupported-stanza-type"),
}

CLIENT_TABLE: Final[Table[ClientStreamState, ClientInput]] = {
    S.CONNECTED: row(
        _UNEXPECTED, start=Go("opening.start", (S.OPENING,)), tls=Go("opening.secured_first", (S.CONNECTED,))
    ),
    S.OPENING: row(_UNEXPECTED, header=Go("opening.welcomed", (S.WELCOMED,))),
    S.WELCOMED: row(_UNEXPECTED, features=Go("login.features", (S.ASKING_TLS, S.LOGGING_IN, S.CLOSED))),
    S.ASKING_TLS: row(
        _UNEXPECTED,
        proceed=Go("opening.proceed", (S.ENCRYPTING,)),
        tls_failure=Go("opening.tls_failed", (S.CLOSED,)),
    ),
    S.ENCRYPTING: row(  # what arrives in plain text after <proceed/> is never looked at (RFC 6120 §5.4.3.3)
        {kind: Ignore() for kind in _UNEXPECTED},
        _ANY_TIME,
        peer_error=Ignore(),
        tls=Go("opening.secured", (S.OPENING,)),
    ),
    S.LOGGING_IN: row(
        _UNEXPECTED,
        challenge=Go("login.challenge", (S.LOGGING_IN, S.CLOSED)),
        success=Go("login.success", (S.REOPENING, S.LOGGED_IN, S.ESTABLISHED, S.CLOSED)),
        failure=Go("login.failure", (S.LOGGING_IN, S.CLOSED)),
        **{"continue": Go("login.task", (S.CLOSED,))},
    ),
    S.REOPENING: row(_UNEXPECTED, header=Go("opening.welcomed_again", (S.LOGGED_IN,))),
    S.LOGGED_IN: row(_UNEXPECTED, features=Go("session.bind", (S.BINDING, S.CLOSED))),
    S.BINDING: row(_UNEXPECTED, stanza=Go("session.bind_answered", (S.ESTABLISHED, S.BINDING, S.CLOSED))),
    S.ESTABLISHED: row(_UNEXPECTED, features=Go("opening.late_features", (S.ESTABLISHED,)), stanza=Misuse()),
    S.CLOSED: {kind: Ignore() for kind in I},
}
"""What happens in every state on every input. A phase may also close the stream."""

ClientMachine: TypeAlias = Machine[ClientStreamState, ClientInput]


def client_machine() -> ClientMachine:
    """Make the machine of one stream."""
    return Machine(CLIENT_TABLE, S.CONNECTED, S.CLOSED, WAITING)
