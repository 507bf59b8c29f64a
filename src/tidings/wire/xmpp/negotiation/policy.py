"""What a server allows on a stream: per transport and per virtual host."""

from collections.abc import Callable

import msgspec

from tidings.base.errors import StreamError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.stream_limits import StreamLimits
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS

STRONG_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL", "PLAIN")
"""What a host offers by default; PLAIN only on encrypted streams."""

TOKEN_MECHANISMS = ("HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE")


class HostPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What one virtual host allows before and after log-in."""

    domain: str
    mechanisms: tuple[str, ...] = STRONG_MECHANISMS
    """SASL mechanisms, strongest first; their -PLUS is added where there is data to bind to."""
    sasl: bool = True
    """Lets clients log in with SASL (RFC 6120 §6)."""
    sasl2: bool = True
    """Lets clients log in with SASL2 (XEP-0388), which Bind 2 and tokens need."""
    token_mechanisms: tuple[str, ...] = TOKEN_MECHANISMS
    """Mechanisms for tokens (XEP-0484); none: no tokens."""
    plain_without_tls: bool = False
    """Treats an unencrypted stream as good enough for PLAIN, SASL2 and tokens."""
    tls_available: bool = True
    """Offers STARTTLS, on transports that have it."""
    tls_required: bool = True
    """Refuses everything but STARTTLS on unencrypted streams."""
    registration: bool = False
    """Passes requests to register on before log-in (XEP-0077)."""
    invitations: bool = False
    """Says that the token of an invitation lets people register (XEP-0445)."""
    see_other_host: str = ""
    """Sends clients to this address instead (RFC 6120 §4.9.3.19)."""
    features_before: tuple[Element, ...] = ()
    """More stream features before log-in."""
    features_after: tuple[Element, ...] = ()
    """More stream features after log-in."""
    sasl2_inline: tuple[Element, ...] = ()
    """More children of SASL2's <inline/>; requests in their namespaces become `NegotiateInline`."""
    bind2_inline: tuple[str, ...] = ()
    """The `var` of each feature that Bind 2 enables inline (XEP-0386 §3.1)."""
    extensions: tuple[str, ...] = ()
    """Namespaces of elements that, between log-in and binding, become `NegotiateInline`."""
    iterations: int = DEFAULT_ITERATIONS
    """The SCRAM iterations that unknown accounts show; as for new passwords, so that they look alike."""
    renew_token_seconds: float = 7 * 86_400
    """A token with less than this left is replaced when it is used (XEP-0484 §3.5)."""
    limits_before: StreamLimits = StreamLimits()
    """What is advertised before log-in (XEP-0478)."""
    limits_after: StreamLimits = StreamLimits()
    """What is advertised after it."""


class StreamPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all streams of one transport."""

    host: Callable[[str], HostPolicy | None]
    """Finds the policy of a domain; None for one that is not served here."""
    secret: bytes
    """The server's secret (32 octets or more): makes tokens and the keys that unknown accounts show."""
    starttls: bool = True
    """False for a transport without STARTTLS: WebSocket, BOSH, direct TLS."""
    default_domain: str = ""
    """Who answers a stream for a domain that is not served here; "" leaves the `from` out."""
    max_login_attempts: int = 3
    refusal: Callable[[], StreamError | None] = lambda: None
    """Gives the reason why nobody new is taken at this moment, where there is one."""

    def __repr__(self) -> str:
        return f"StreamPolicy(starttls={self.starttls}, default_domain={self.default_domain!r})"
