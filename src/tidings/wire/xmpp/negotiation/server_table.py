"""The server's negotiation as a table; `docs/explanation/negotiation.md` shows it as a diagram.

Every pair of state and input has a cell. What a peer may not do in a state ends its stream with a condition
of RFC 6120 §4.9.3; an answer that nobody asked for is the runner's mistake.
"""

from enum import Enum, auto
from typing import Final, TypeAlias

from tidings.wire.xmpp.negotiation.machine import Cell, Go, Ignore, Machine, Misuse, Refuse, Table, row


class ServerStreamState(Enum):
    """Where the server's side of a stream stands."""

    CONNECTED = auto()
    """Waits for the opening of the stream; it is encrypted or not."""
    OPENED = auto()
    """Has sent the features before log-in."""
    ENCRYPTING = auto()
    """Has sent <proceed/>; the TLS handshake runs."""
    REGISTERING = auto()
    """Has passed on a request to register."""
    CHALLENGED = auto()
    """Has sent a SASL challenge."""
    LOOKING_UP_KEYS = auto()
    """Has asked for SCRAM keys."""
    CHECKING = auto()
    """Has asked about a password, or about an account that a certificate proves."""
    LOOKING_UP_TOKENS = auto()
    """Has asked for a device's tokens."""
    ISSUING = auto()
    """SASL2 succeeded; has asked for a token."""
    INLINE = auto()
    """SASL2 succeeded; has passed on inline requests that come before binding."""
    BINDING_INLINE = auto()
    """SASL2 succeeded; has asked for a session by Bind 2."""
    RESTARTING = auto()
    """SASL succeeded; waits for the opening of the new stream."""
    AUTHENTICATED = auto()
    """Has sent the features after log-in."""
    EXTENDING = auto()
    """Has passed on an element that comes before binding."""
    BINDING = auto()
    """Has asked for a session (RFC 6120 §7)."""
    ESTABLISHED = auto()
    """There is a session; the rest is the session's."""
    CLOSED = auto()
    """Is over."""


class ServerInput(Enum):
    """What can happen to the server's side of a stream."""

    HEADER = auto()
    STARTTLS = auto()
    AUTH = auto()
    """<auth/> of SASL."""
    AUTHENTICATE = auto()
    """<authenticate/> of SASL2."""
    RESPONSE = auto()
    ABORT = auto()
    REGISTER = auto()
    BIND = auto()
    SESSION = auto()
    STANZA = auto()
    """Any other stanza."""
    EXTENSION = auto()
    """An element in a namespace that the host's policy lists as an extension."""
    OTHER = auto()
    """An element that this negotiation does not know."""
    PEER_ERROR = auto()
    """The peer's stream error."""
    CLOSING = auto()
    """The peer closed its stream, or the connection is gone."""
    FAIL = auto()
    """The runner ends the stream: the parser complains, a deadline has passed, the server stops."""
    TLS = auto()
    KEYS = auto()
    CHECKED = auto()
    TOKENS = auto()
    UNAVAILABLE = auto()
    POSTPONED = auto()
    """The runner does not look at a client's proof now."""
    REGISTERED = auto()
    ANSWERED = auto()
    """Inline requests were answered."""
    BOUND = auto()
    ISSUED = auto()
    REFUSED = auto()


S, I = ServerStreamState, ServerInput  # noqa: E741  # a table is read in one look

ANSWERS: Final = (
    I.TLS,
    I.KEYS,
    I.CHECKED,
    I.TOKENS,
    I.UNAVAILABLE,
    I.REGISTERED,
    I.ANSWERED,
    I.BOUND,
    I.ISSUED,
    I.REFUSED,
)
"""Inputs that answer what the machine asked for."""

WAITING: Final = (
    S.ENCRYPTING,
    S.REGISTERING,
    S.LOOKING_UP_KEYS,
    S.CHECKING,
    S.LOOKING_UP_TOKENS,
    S.ISSUING,
    S.INLINE,
    S.BINDING_INLINE,
    S.EXTENDING,
    S.BINDING,
)
"""States in which an answer is outstanding."""

_SESSION_NEXT: Final = (S.INLINE, S.BINDING_INLINE, S.AUTHENTICATED)
_SUCCESS: Final = (S.RESTARTING, S.ISSUING, *_SESSION_NEXT)
_QUESTIONS: Final = (S.LOOKING_UP_KEYS, S.CHECKING)
_SASL2_STARTED: Final = (
    S.OPENED,
    S.CHALLENGED,
    *_QUESTIONS,
    S.LOOKING_UP_TOKENS,
    S.ISSUING,
    *_SESSION_NEXT,
)
_ANSWERED: Final = (S.OPENED, S.CHALLENGED, *_QUESTIONS, S.LOOKING_UP_TOKENS, *_SUCCESS)
_ANY_TIME: Final[dict[ServerInput, Cell]] = {
    I.CLOSING: Go("opening.peer_closed", (S.CLOSED,)),
    I.PEER_ERROR: Go("opening.peer_failed", (S.CLOSED,)),
    I.FAIL: Go("opening.fail", (S.CLOSED,)),
    **dict.fromkeys((*ANSWERS, I.POSTPONED), Misuse()),
}

_EARLY: Final[dict[ServerInput, Cell]] = _ANY_TIME | {  # RFC 6120 §4.9.3.12: no stanzas before log-in
    I.HEADER: Refuse("policy-violation", "the stream is open already"),
    I.STARTTLS: Refuse("policy-violation", "it is not time for STARTTLS"),
    I.AUTH: Refuse("policy-violation", "it is not time to log in"),
    I.AUTHENTICATE: Refuse("policy-violation", "it is not time to log in"),
    I.RESPONSE: Refuse("policy-violation", "there was no challenge"),
    I.ABORT: Refuse("policy-violation", "there is nothing to abort"),
    I.REGISTER: Refuse("not-authorized", "it is not time to register"),
    I.BIND: Refuse("not-authorized", "log in first"),
    I.SESSION: Refuse("not-authorized", "log in first"),
    I.STANZA: Refuse("not-authorized", "log in first"),
    I.EXTENSION: Refuse("not-authorized", "log in first"),
    I.OTHER: Refuse("unsupported-stanza-type"),
}

_LATE: Final[dict[ServerInput, Cell]] = _EARLY | {  # XEP-0388 §4.7: one log-in per stream
    I.STARTTLS: Refuse("policy-violation", "STARTTLS comes before log-in"),
    I.AUTH: Refuse("policy-violation", "this stream is logged in already"),
    I.AUTHENTICATE: Refuse("policy-violation", "this stream is logged in already"),
    I.REGISTER: Refuse("not-authorized", "bind a resource first"),
    I.BIND: Refuse("policy-violation", "it is not time to bind a resource"),
    I.SESSION: Refuse("not-authorized", "bind a resource first"),
    I.STANZA: Refuse("not-authorized", "bind a resource first"),
    I.EXTENSION: Refuse("policy-violation", "it is not time for this extension"),
}

_UNAVAILABLE: Final = Go("login.unavailable", (S.OPENED,))


def _too_early(state: ServerStreamState) -> Go:
    """Answer an extension before log-in in the extension's own words, where it has any (XEP-0198 §3)."""
    return Go("opening.extend_too_early", (state,))


SERVER_TABLE: Final[Table[ServerStreamState, ServerInput]] = {
    S.CONNECTED: row(
        _EARLY,
        header=Go("opening.open", (S.OPENED,)),
        tls=Go("opening.secured", (S.CONNECTED,)),
    ),
    S.OPENED: row(
        _EARLY,
        starttls=Go("opening.start_tls", (S.ENCRYPTING, S.CLOSED)),
        auth=Go("login.auth", (S.OPENED, S.CHALLENGED, *_QUESTIONS, S.RESTARTING)),
        authenticate=Go("login.authenticate", _SASL2_STARTED),
        abort=Go("login.abort", (S.OPENED,)),  # it crossed our failure on the way
        register=Go("opening.register", (S.OPENED, S.REGISTERING)),
        extension=_too_early(S.OPENED),
    ),
    S.ENCRYPTING: row(  # what arrives in plain text after <proceed/> is never looked at (RFC 6120 §5.4.3.3)
        {kind: Ignore() for kind in _EARLY},
        _ANY_TIME,
        peer_error=Ignore(),
        tls=Go("opening.secured", (S.CONNECTED,)),
    ),
    S.REGISTERING: row(
        _EARLY,
        registered=Go("opening.registered", (S.OPENED,)),
        refused=Go("opening.registration_refused", (S.OPENED,)),
        extension=_too_early(S.REGISTERING),
    ),
    S.CHALLENGED: row(
        _EARLY,
        response=Go("login.response", _ANSWERED),
        abort=Go("login.abort", (S.OPENED,)),
        auth=Go("login.auth_again", (S.OPENED, S.CHALLENGED, *_QUESTIONS, S.RESTARTING)),
        postponed=_UNAVAILABLE,
        extension=_too_early(S.CHALLENGED),
    ),
    S.LOOKING_UP_KEYS: row(
        _EARLY,
        keys=Go("login.keys", (S.CHALLENGED,)),
        unavailable=_UNAVAILABLE,
        extension=_too_early(S.LOOKING_UP_KEYS),
    ),
    S.CHECKING: row(
        _EARLY,
        checked=Go("login.checked", (S.OPENED, *_SUCCESS)),
        unavailable=_UNAVAILABLE,
        extension=_too_early(S.CHECKING),
    ),
    S.LOOKING_UP_TOKENS: row(
        _EARLY,
        tokens=Go("login.tokens", (S.OPENED, S.ISSUING, *_SESSION_NEXT)),
        unavailable=_UNAVAILABLE,
        extension=_too_early(S.LOOKING_UP_TOKENS),
    ),
    S.ISSUING: row(
        _LATE, issued=Go("session.issued", _SESSION_NEXT), refused=Go("session.not_issued", _SESSION_NEXT)
    ),
    S.INLINE: row(
        _LATE,
        answered=Go("session.inline_answered", (S.BINDING_INLINE, S.AUTHENTICATED, S.ESTABLISHED)),
        refused=Go("session.inline_refused", (S.CLOSED,)),
    ),
    S.BINDING_INLINE: row(
        _LATE,
        bound=Go("session.bound_inline", (S.ESTABLISHED,)),
        refused=Go("session.inline_refused", (S.CLOSED,)),
    ),
    S.RESTARTING: row(_LATE, header=Go("opening.reopen", (S.AUTHENTICATED,))),
    S.AUTHENTICATED: row(
        _LATE,
        bind=Go("session.bind", (S.BINDING, S.AUTHENTICATED)),
        session=Go("session.request_session", (S.AUTHENTICATED,)),
        extension=Go("session.extend", (S.EXTENDING,)),
    ),
    S.EXTENDING: row(
        _LATE,
        answered=Go("session.extended", (S.AUTHENTICATED, S.ESTABLISHED)),
        refused=Go("session.inline_refused", (S.CLOSED,)),
    ),
    S.BINDING: row(
        _LATE,
        bound=Go("session.bound", (S.ESTABLISHED,)),
        refused=Go("session.bind_refused", (S.AUTHENTICATED,)),
    ),
    S.ESTABLISHED: row(  # stanzas are the session's by now
        _LATE,
        bind=Go("session.bind_again", (S.ESTABLISHED,)),
        session=Go("session.request_session", (S.ESTABLISHED,)),
        register=Misuse(),
        stanza=Misuse(),
        extension=Misuse(),
    ),
    S.CLOSED: {kind: Ignore() for kind in I},
}
"""What happens in every state on every input. A phase may also close the stream."""

ServerMachine: TypeAlias = Machine[ServerStreamState, ServerInput]


def server_machine() -> ServerMachine:
    """Make the machine of one stream."""
    return Machine(SERVER_TABLE, S.CONNECTED, S.CLOSED, WAITING)
