"""XMPP over TCP: STARTTLS (RFC 6120 §5) and TLS from the first octet (XEP-0368)."""

from __future__ import annotations

import asyncio
import ssl
from socket import socket
from typing import cast

from tidings.gateways.acceptor import GOODBYE_SECONDS, HANDSHAKE_SECONDS, Acceptor, Admission
from tidings.gateways.arrivals import Arrivals
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.gateways.tls import XMPP_PROTOCOL, TlsSetup
from tidings.kernel.feature import Spec
from tidings.kernel.session import Client
from tidings.streams.connection import Connection
from tidings.streams.listener import Item
from tidings.wire.xml.fragment import StreamHead
from tidings.wire.xml.parser import StreamParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.framing import TcpFraming, opening_error, stream_header

SPECS = (
    Spec.rfc(7590),
    Spec.xep(368, "1.1.0", note="server side"),
)
"""What this door implements beside RFC 6120."""


class TcpGateway:
    """Makes a connection of each socket that a listener accepts."""

    def __init__(
        self,
        *,
        policy: ListenerPolicy,
        limiter: ConnectionLimiter,
        tls: TlsSetup,
        direct_tls: bool,
        content_namespace: str = ns.CLIENT,
    ) -> None:
        """Begin; `content_namespace` is that of the streams that come here (RFC 6120 §4.8.2)."""
        self.policy = policy
        self.content_namespace = content_namespace
        self.framing = TcpFraming(content_namespace)
        self.limiter = limiter
        self.tls = tls
        self.direct_tls = direct_tls

    async def listen(self, listening: socket) -> Acceptor:
        """Accept connections on this listening socket."""
        acceptor = Acceptor(
            self.limiter,
            self.policy.local.server.supervisor,
            lambda admission: TcpProtocol(self, admission),
            tls=self.tls if self.direct_tls else None,
            protocol=XMPP_PROTOCOL,
        )
        acceptor.listen(listening)
        return acceptor


class TcpProtocol(asyncio.Protocol):
    """One socket: the transport of a Connection and the reader of its stream."""

    __slots__ = (
        "_address",
        "_admission",
        "_arrivals",
        "_connection",
        "_early",
        "_gateway",
        "_is_discarding",
        "_is_switching",
        "_parser",
        "_transport",
    )

    def __init__(self, gateway: TcpGateway, admission: Admission) -> None:
        self._gateway = gateway
        self._admission = admission
        self._address = admission.address
        self._arrivals: Arrivals | None = None
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        self._parser = StreamParser(gateway.policy.before)
        self._is_switching = False  # from plain text to TLS
        self._is_discarding = False  # our stream has ended; what comes is read and forgotten
        self._early: list[bytes] | None = None  # decrypted before the handshake was reported to be done

    # --- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was accepted, and its TLS handshake is done where TLS comes first."""
        self._transport = cast("asyncio.Transport", transport)
        gateway = self._gateway
        listener_context = gateway.policy.context(self._address)
        channel = transport.get_extra_info("ssl_object")
        client = Client(
            transport="tls" if gateway.direct_tls else "tcp",
            address=self._address,
            secure=channel is not None,
            since=listener_context.server.clock.now(),
        )
        info = None if channel is None else gateway.tls.info(channel)
        self._arrivals = Arrivals(self, listener_context.server.arriving)
        self._connection = Connection(listener_context, self, gateway.framing, client, info)

    def data_received(self, data: bytes) -> None:
        """Octets have come."""
        if self._is_switching:
            if self._early is not None:
                self._early.append(data)
        elif self._arrivals is not None and not self._is_discarding:
            self._arrivals.came(data)

    def read(self, data: bytes) -> None:
        """Read what has come, in this turn of the event loop or an earlier one."""
        connection = self._connection
        if connection is None or self._is_discarding or self._is_switching:
            return
        parser = self._parser
        events = parser.feed(data)
        failure = parser.failure
        for position, event in enumerate(events):
            if type(event) is StreamHead:
                problem = opening_error(event, self._gateway.content_namespace)
                if problem is not None:
                    failure = problem
                    del events[position:]
                    break
                events[position] = stream_header(event)  # type: ignore[call-overload]
        if events:
            connection.receive(cast("list[Item]", events), len(data))
        else:
            connection.heard(len(data))
        if failure is not None and not self._is_switching:
            connection.fail(failure)

    def eof_received(self) -> bool:
        """The peer will send nothing more: the transport closes."""
        return False

    def connection_lost(self, _reason: Exception | None) -> None:
        """The socket is gone."""
        if self._arrivals is None:
            self.let_go()
        else:
            self._arrivals.gone()

    def let_go(self) -> None:
        """End, since the socket is gone and all that came is read."""
        self._arrivals = None
        self._parser.close()
        self._early = None
        self._admission.leave()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.lost()

    # --- what the connection asks for

    def write(self, pieces: list[bytes]) -> None:
        """Hand the octets to the socket."""
        assert self._transport is not None
        if not self._is_switching and not self._is_discarding:
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def backlog(self) -> int:
        """Tell what the socket has not taken yet."""
        assert self._transport is not None
        return self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close when everything has left, reading on until the peer has closed, too.

        A socket that is closed with unread input sends a reset, which may take our last words from the peer.
        TLS does so by itself, until the peer's close_notify. The connection aborts what takes too long.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_switching:
            transport.abort()
            return
        self.resume()
        if self._is_discarding or not transport.can_write_eof():
            transport.close()
            return
        self._is_discarding = True
        self._parser.close()
        transport.write_eof()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Let the socket's buffer fill up, which slows the peer down."""
        if self._arrivals is not None:
            self._arrivals.pause()

    def resume(self) -> None:
        """Read again."""
        if self._arrivals is not None:
            self._arrivals.resume()

    def stop_reading(self) -> None:
        """Take nothing from the socket for now."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        """Take from the socket what has come."""
        transport = self._transport
        if transport is not None and not self._is_switching and not transport.is_closing():
            transport.resume_reading()

    def start_tls(self) -> None:
        """Encrypt; what came in plain text after <starttls/> is never looked at (RFC 6120 §5.4.3.3)."""
        self._is_switching = True
        self._parser.close()
        self.pause()  # the next octets on the socket belong to the handshake
        self._gateway.policy.context(self._address).server.supervisor.start("starttls", self._shake_hands())

    async def _shake_hands(self) -> None:
        gateway = self._gateway
        plain = self._transport
        assert plain is not None
        encrypted: asyncio.Transport | None = None
        channel: ssl.SSLObject | None = None
        try:
            if not plain.is_closing():
                self._early = []
                encrypted = await asyncio.get_running_loop().start_tls(
                    plain,
                    self,
                    gateway.tls.context,
                    server_side=True,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=GOODBYE_SECONDS,
                )
            # A handshake that was aborted looks like one that is done, but has no channel.
            channel = None if encrypted is None else encrypted.get_extra_info("ssl_object")
        except OSError as error:  # ssl.SSLError is one
            self._tell_failed(str(error))
        finally:
            if channel is None:
                # The event loop does not tell of a connection that is lost during the handshake.
                plain.abort()
                self.connection_lost(None)
        if encrypted is None or channel is None:
            return
        if self._connection is None:  # lost as soon as the handshake was done
            encrypted.abort()
            return
        self._transport = encrypted
        self._arrivals = Arrivals(self, self._gateway.policy.context(self._address).server.arriving)
        self._parser = StreamParser(gateway.policy.before)
        self._is_switching = False
        early, self._early = self._early, None
        self._connection.tls_established(gateway.tls.info(channel))
        if early:
            self.data_received(b"".join(early))

    def _tell_failed(self, reason: str) -> None:
        """Log that a handshake came to nothing."""
        if self._connection is not None:
            server = self._gateway.policy.context(self._address).server
            server.session_log.connection_failed("handshake_failed", self._connection.client, None, reason)

    def logged_in(self) -> None:
        """Apply the larger limits."""
        self._parser.limits = self._gateway.policy.after

    def rest(self) -> None:
        """Give back memory while the client is silent."""
        self._parser.rest()
