"""What a negotiation hears about streams and TLS, and the actions that it asks its runner for.

A runner feeds a machine, takes its actions in order and does them. Actions that say "answer with" wait for
that answer: until then the machine is `waiting`, and the runner feeds it nothing from the peer.
"""

from typing import TypeAlias

import msgspec

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.sasl.offer import END_POINT, EXPORTER
from tidings.wire.xmpp.sasl.tokens import FastToken


class StreamHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The opening of a stream in any framing: its attributes as they stand there, "" for a missing one."""

    to: str = ""
    sender: str = ""
    """The attribute `from`."""
    version: str = "1.0"
    lang: str = ""
    id: str = ""


class TlsInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an encrypted channel; of one that ends in a proxy, nothing."""

    version: str = ""
    """The protocol as the TLS library calls it, for logs."""
    end_point: bytes | None = None
    """The channel binding `tls-server-end-point` (RFC 5929 §4): a hash of the server's certificate."""
    exporter: bytes | None = None
    """The channel binding `tls-exporter` (RFC 9266): 32 octets."""
    peer_identities: tuple[str, ...] = ()
    """The XMPP addresses of the peer's certificate, and only if that was verified (RFC 6120 §13.7.1.4)."""

    @property
    def bindings(self) -> dict[str, bytes]:
        """The channel bindings that there are, strongest first."""
        found = ((EXPORTER, self.exporter), (END_POINT, self.end_point))
        return {kind: data for kind, data in found if data is not None}


class UserAgent(msgspec.Struct, frozen=True):
    """The client installation that logs in (XEP-0388 §2.4); "" for what it does not tell.

    For the account's owner only: never shown to anybody else.
    """

    id: str = ""
    """A UUID in lower case: the device."""
    software: str = ""
    device: str = ""


# --- actions of both roles


class OpenStream(msgspec.Struct, frozen=True):
    """Send the opening of a stream."""

    header: StreamHeader


class Send(msgspec.Struct, frozen=True):
    """Send an element."""

    element: Element


class StartTls(msgspec.Struct, frozen=True):
    """Begin the TLS handshake and answer with `tls_established`.

    What has arrived and was not fed to the machine is plain text from before the handshake, perhaps
    injected: drop it. The parser starts anew after the handshake. If that fails, close the connection and
    call `stream_closed`.
    """


class RestartStream(msgspec.Struct, frozen=True):
    """A new stream begins on the same connection (RFC 6120 §4.3.3): renew the parser.

    The server's runner keeps what has arrived after the last element; a client's sends an opening next.
    """


class Established(msgspec.Struct, frozen=True):
    """Negotiation is over: stanzas may flow."""

    jid: Jid
    resumed: bool = False
    """True if an earlier session goes on instead of a new one."""
    inline: tuple[Element, ...] = ()
    """For the client: what <success/> and <bound/> answered to inline requests."""


class CloseStream(msgspec.Struct, frozen=True):
    """Send this error, if any, and the closing of the stream, then close the connection."""

    error: StreamError | None = None


# --- questions and facts of the server role


class LookUpKeys(msgspec.Struct, frozen=True):
    """Find the SCRAM keys of the account; answer with `keys_found` or `unavailable`."""

    account: Jid


class CheckPassword(msgspec.Struct, frozen=True):
    """Find out whether this is the account's password; answer with `checked` or `unavailable`."""

    account: Jid
    password: str

    def __repr__(self) -> str:
        return f"CheckPassword({self.account!r})"


class CheckAccount(msgspec.Struct, frozen=True):
    """Find out whether the account, which a certificate proves, exists; answer like `CheckPassword`."""

    account: Jid


class LookUpTokens(msgspec.Struct, frozen=True):
    """Find the device's tokens, expired ones too; answer with `tokens_found` or `unavailable`."""

    account: Jid
    device: str


class TokenUsed(msgspec.Struct, frozen=True):
    """The device has proved this token; no answer.

    `invalidate`: forget it at once. Otherwise note its count, and forget the device's tokens that expire
    earlier (XEP-0484 §3.5).
    """

    account: Jid
    token: FastToken
    count: int | None
    invalidate: bool


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """The client has logged in; no answer. From here on larger limits may hold."""

    account: Jid
    mechanism: str
    anonymous: bool = False
    """True if the account is made up and ends with the session."""
    user_agent: UserAgent = UserAgent()


class AuthenticationFailed(msgspec.Struct, frozen=True):
    """A log-in failed; no answer, but the runner may count it and wait before the next action is done."""

    account: Jid | None
    """Whom the client wanted to be, if it said so and the name can exist."""
    mechanism: str
    condition: str
    name: str = ""
    """What else it called itself, where there is no account: for logs."""
    is_wrong: bool = False
    """Whether a password, proof or token was looked at and is wrong: somebody may be guessing."""


class NegotiateInline(msgspec.Struct, frozen=True):
    """Features ask to be negotiated between log-in and binding; answer with `inline_answered`."""

    account: Jid
    elements: tuple[Element, ...]


class BindResource(msgspec.Struct, frozen=True, kw_only=True):
    """Make a session; answer with `bound`, or `refused` with the reason.

    What happens to a session that has this resource already is the caller's decision.
    """

    account: Jid
    resource: str
    """Never empty; made here unless `chosen`."""
    chosen: bool = False
    """True if the client chose the whole of it."""
    user_agent: UserAgent = UserAgent()
    inline: tuple[Element, ...] = ()
    """What the client wants enabled with the session (XEP-0386 §3.2)."""
    is_bind2: bool = False
    """Whether it binds by XEP-0386."""


class IssueToken(msgspec.Struct, frozen=True):
    """Make and store a token (`sasl.tokens.issue_token`); answer with `token_issued`, or `refused`."""

    account: Jid
    device: str
    mechanism: str


class RegistrationRequest(msgspec.Struct, frozen=True):
    """Somebody without an account asks to register (XEP-0077); answer with `registration_answered`."""

    element: Element
    """The whole iq."""


# --- facts of the client role


class FeaturesReceived(msgspec.Struct, frozen=True):
    """The server has advertised these stream features; no answer."""

    features: Element


class StreamErrorReceived(msgspec.Struct, frozen=True):
    """The peer says why it ends the stream; no answer, `CloseStream` follows."""

    error: StreamError


class TokenReceived(msgspec.Struct, frozen=True):
    """Keep this token for the next log-in, with this mechanism only."""

    mechanism: str
    token: str
    expires: str

    def __repr__(self) -> str:
        return f"TokenReceived({self.mechanism}, expires={self.expires})"


class LoginFailed(msgspec.Struct, frozen=True):
    """The server refused the log-in or did not prove itself; `CloseStream` follows, or another attempt."""

    condition: str
    text: str = ""


class BindFailed(msgspec.Struct, frozen=True):
    """The server refused the session; `CloseStream` follows."""

    condition: str
    text: str = ""


Action: TypeAlias = (
    OpenStream
    | Send
    | StartTls
    | RestartStream
    | Established
    | CloseStream
    | LookUpKeys
    | CheckPassword
    | CheckAccount
    | LookUpTokens
    | TokenUsed
    | Authenticated
    | AuthenticationFailed
    | NegotiateInline
    | BindResource
    | IssueToken
    | RegistrationRequest
    | FeaturesReceived
    | StreamErrorReceived
    | TokenReceived
    | LoginFailed
    | BindFailed
)
