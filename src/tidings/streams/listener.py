"""Listener: what gateways, connections and the composition have to agree on.

A gateway brings a `Transport` for each client and reads `Item`s from it; the composition says in a
`ListenerContext` what holds for all who come in by the same listener.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.kernel.session import Session
from tidings.kernel.slots import Slotted
from tidings.streams.login import Credentials
from tidings.streams.login_line import LoginLine
from tidings.streams.login_throttle import LoginThrottle
from tidings.streams.pace import PaceLimits
from tidings.wire.xml.element import Element
from tidings.wire.xml.fragment import Fragment, StreamTail
from tidings.wire.xmpp.negotiation.policy import StreamPolicy
from tidings.wire.xmpp.negotiation.values import StreamHeader, TlsInfo

if TYPE_CHECKING:
    from tidings.kernel.server import Server

Item = StreamHeader | Fragment | StreamTail
"""What a gateway reads from a stream."""


class Transport(Protocol):
    """What a gateway does for a connection."""

    def write(self, pieces: list[bytes]) -> None:
        """Send these pieces, each whole in its framing; never waits, keeps no reference to the list."""
        ...

    def backlog(self) -> int:
        """Tell how many octets were written and have not left."""
        ...

    def close(self) -> None:
        """Send what was written, then end the connection."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
        ...

    def pause(self) -> None:
        """Read nothing for now."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def start_tls(self) -> None:
        """Begin the TLS handshake, dropping what was read; calls `tls_established` or `lost`."""
        ...

    def logged_in(self) -> None:
        """Apply the larger limits that hold after log-in."""
        ...

    def rest(self) -> None:
        """Give back memory that only reading needs; the peer is silent."""
        ...


class StreamInput(Protocol):
    """Takes what comes on a stream that is established."""

    @property
    def idle(self) -> bool:
        """Whether everything that came has been dealt with."""
        ...

    def receive(self, fragments: list[Fragment]) -> None:
        """Take what came in one read; raises `StreamError` for what ends the stream."""
        ...

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call this once when everything that came has been dealt with, which it has not yet."""
        ...


class StreamNegotiator(Protocol):
    """Brings a stream from its opening to what it is for, and is dropped when it is there.

    It is over with `end`, or when it calls its output's `established`.
    """

    def receive(self, items: list[Item]) -> None:
        """Take what one read has brought, in order."""
        ...

    def tls_established(self, info: TlsInfo) -> None:
        """The channel is encrypted: by the handshake that was asked for, or from the start."""
        ...

    def fail(self, error: StreamError) -> None:
        """The stream ends for a reason from outside: write what must come before the goodbye."""
        ...

    def end(self, reason: StreamError | None) -> None:
        """The stream has ended: let go of everything."""
        ...


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one connection."""

    login_seconds: float = 30
    tls_login_seconds: float = 120
    idle_seconds: float = 600
    outbound_bytes: int = 4_194_304
    pace: PaceLimits = PaceLimits()

    def time_to_log_in(self, *, is_encrypted: bool) -> float:
        """Give it in seconds: more once TLS stands, since a person may be reading the certificate."""
        return max(self.login_seconds, self.tls_login_seconds) if is_encrypted else self.login_seconds


class ListenerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the connections of one kind share; the composition makes it and gateways pass it on."""

    server: Server
    policy: StreamPolicy
    credentials: Callable[[str], Credentials]
    """Finds the credentials of a domain."""
    throttle: LoginThrottle
    line: LoginLine
    negotiator: Callable[[ListenerContext, Any], StreamNegotiator]
    """Makes the negotiator of a stream from this and its `StreamOutput`; it says what may connect."""
    options: ConnectionOptions = ConnectionOptions()


@runtime_checkable
class Registrar(Protocol):
    """A feature that makes accounts before log-in (XEP-0077)."""

    async def register_before_login(
        self, iq: Element, address: str, *, secure: bool, stream: Slotted
    ) -> Element:
        """Answer a request to register, or a token that lets one do so, with the whole iq to send.

        `stream` carries what is known of whoever asks until the stream ends.
        """
        ...


@runtime_checkable
class Resumer(Protocol):
    """A feature that lets clients go on with a session that they had (XEP-0198 §5)."""

    async def negotiate_resumption(self, account: Jid, element: Element) -> tuple[Element, Session | None]:
        """Take an element that came between log-in and binding; give the answer and the session that goes on.

        That session is without a connection, and all that its client has sent has been dealt with; that holds
        until something else is awaited. Raises `StreamError` for what ends the new stream.
        """
        ...
