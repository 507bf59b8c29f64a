"""WebSocket: XMPP in text messages (RFC 7395 over RFC 6455).

The handshake is aiohttp's. After it, octets come straight from the socket to a `FrameReader` and leave as
frames, several in one go: a message costs no task, no future and no queue.

Compression is not negotiated: see docs/explanation/transports.md.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from tidings.base.errors import LocalProtocolError, StreamError
from tidings.gateways.arrivals import Arrivals
from tidings.gateways.http import HttpError, HttpGateway, Peer
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.kernel.feature import Spec
from tidings.kernel.session import Client
from tidings.streams.connection import Connection
from tidings.streams.listener import Item
from tidings.wire.websocket import (
    Close,
    CloseCode,
    FrameReader,
    Ping,
    Pong,
    write_close,
    write_ping,
    write_pong,
    write_text,
)
from tidings.wire.xml.fragment import Fragment, StreamTail
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.framing import WebSocketFraming
from tidings.wire.xmpp.negotiation.values import StreamHeader, TlsInfo

if TYPE_CHECKING:
    from tidings.kernel.clock import Timer

PATH: Final = "/xmpp-websocket"
SUBPROTOCOL: Final = "xmpp"
_ABOUT: Final = "This is XMPP over WebSocket (RFC 7395): connect with the subprotocol xmpp."
_FRAMING: Final = WebSocketFraming()
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_CONTROL_BACKLOG: Final = 65_536
"""A client that sends control frames and does not read the answers is cut off here."""


SPECS = (Spec.rfc(6455, note="without extensions"), Spec.rfc(7395))
"""What this door implements."""


class WebSocketDoor:
    """Answers `/xmpp-websocket`."""

    def __init__(self, gateway: HttpGateway, policy: ListenerPolicy) -> None:
        self.gateway = gateway
        self.policy = policy
        gateway.add(PATH, {"GET": self._get}, about=_ABOUT, origins=gateway.options.origins)

    async def _get(self, request: web.BaseRequest) -> web.StreamResponse:
        accept = _check_handshake(request)
        peer = self.gateway.peer(request)
        transport = request.transport
        if transport is None:
            raise HttpError(400, "The connection is gone.")
        if peer.is_proxied and not self.gateway.limiter.admit(peer.address):
            raise HttpError(503, "Too many connections from this address.")
        stream = WebSocketStream(self, transport, peer, self.gateway.tls_info(request))
        try:
            transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            stream.begin()
            request.protocol.set_parser(cast("Any", stream))
            request.protocol.keep_alive(False)
            await stream.done
        finally:
            stream.feed_eof()
            if peer.is_proxied:
                self.gateway.limiter.leave(peer.address)
        return _Upgraded()


class _Upgraded(web.StreamResponse):
    """Stands where aiohttp wants a response; all has been said."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002
        return None

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002
        return None


class WebSocketStream:
    """One WebSocket: what aiohttp feeds octets to, and the transport of a Connection."""

    __slots__ = (
        "_arrivals",
        "_clock",
        "_close_code",
        "_close_reason",
        "_close_sent",
        "_connection",
        "_door",
        "_heard",
        "_is_discarding",
        "_parser",
        "_peer",
        "_reader",
        "_timer",
        "_tls",
        "_transport",
        "done",
    )

    def __init__(
        self, door: WebSocketDoor, transport: asyncio.Transport, peer: Peer, tls: TlsInfo | None
    ) -> None:
        self._door = door
        self._transport = transport
        self._peer = peer
        self._tls = tls
        arriving = door.policy.context(peer.address).server.arriving
        self._arrivals: Arrivals | None = Arrivals(self, arriving)
        self._reader = FrameReader(door.policy.before.stanza_bytes)
        self._parser = FrameParser(door.policy.before)
        self._connection: Connection | None = None
        self._close_code = CloseCode.NORMAL
        self._close_reason = ""
        self._close_sent = False
        self._heard = True
        self._is_discarding = False  # our words are said; what comes is read and forgotten
        self._timer: Timer | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Start the stream, after the handshake."""
        context = self._door.policy.context(self._peer.address)
        self._clock = context.server.clock
        client = Client(
            transport="websocket",
            address=self._peer.address,
            secure=self._peer.secure,
            since=context.server.clock.now(),
        )
        self._connection = Connection(context, self, _FRAMING, client, self._tls)
        self._watch()

    # --- what aiohttp tells

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Octets have come."""
        self._heard = True
        if self._arrivals is not None and not self._is_discarding:
            self._arrivals.came(data)
        return False, b""

    def read(self, data: bytes) -> None:
        """Read what has come, in this turn of the event loop or an earlier one."""
        connection = self._connection
        if connection is None or self._is_discarding:
            return
        items: list[Item] = []
        failure: StreamError | None = None
        ended = False
        parse = self._parser.parse
        try:
            for received in self._reader.feed(data):
                if isinstance(received, bytes):
                    fragment = parse(received)
                    items.append(fragment if fragment.namespace != ns.FRAMING else _framing_item(fragment))
                else:
                    ended = self._control(received) or ended
        except StreamError as error:
            failure = error
        if items:
            connection.receive(items, len(data))
        else:
            connection.heard(len(data))
        broken = self._reader.failure
        if failure is None and broken is not None:
            self._close_code = broken.code
            self._close_reason = broken.text
            condition = "policy-violation" if broken.code is CloseCode.TOO_BIG else "bad-format"
            failure = StreamError(condition, broken.text)
        if failure is not None:
            connection.fail(failure)
        if ended:
            self._hang_up()
        elif broken is not None:
            self._discard()

    def feed_eof(self) -> None:
        """The socket is gone."""
        if self._arrivals is not None:
            self._arrivals.gone()

    def let_go(self) -> None:
        """End, since the socket is gone and all that came is read."""
        self._arrivals = None
        connection, self._connection = self._connection, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if connection is not None:
            connection.lost()
        if not self.done.done():
            self.done.set_result(None)

    # --- what the connection asks for

    def write(self, pieces: list[bytes]) -> None:
        """Send each piece as one text message; all leave together."""
        if self._close_sent:
            return
        if len(pieces) == 1:
            self._transport.write(write_text(pieces[0]))
        else:
            self._transport.write(b"".join(map(write_text, pieces)))

    def backlog(self) -> int:
        """Tell what the socket has not taken yet."""
        return self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Say goodbye in WebSocket's terms; the client's goodbye, or `abort`, ends the connection."""
        if not self._close_sent:
            self._close_sent = True
            self._transport.write(write_close(self._close_code, self._close_reason))

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def pause(self) -> None:
        """Let the socket's buffer fill up, which slows the client down."""
        if self._arrivals is not None:
            self._arrivals.pause()

    def resume(self) -> None:
        """Read again."""
        if self._arrivals is not None:
            self._arrivals.resume()

    def stop_reading(self) -> None:
        """Take nothing from the socket for now."""
        if self._transport.is_reading():
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        """Take from the socket what has come."""
        if not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def start_tls(self) -> None:
        """Not on this transport: encryption is the HTTP server's."""
        raise LocalProtocolError("a WebSocket has no STARTTLS")

    def logged_in(self) -> None:
        """Apply the larger limits."""
        self._reader.limit = self._door.policy.after.stanza_bytes
        self._parser = FrameParser(self._door.policy.after)

    def rest(self) -> None:
        """Give back memory while the client is silent."""
        self._parser.rest()

    # --- WebSocket's own

    def _control(self, frame: Ping | Pong | Close) -> bool:
        """Answer a control frame; tell whether it is the last one."""
        match frame:
            case Close():
                self.close()
                return True
            case Ping(data):
                if not self._close_sent:
                    self._transport.write(write_pong(data))
                if self.backlog() > _CONTROL_BACKLOG:
                    self.abort()
            case Pong() if self._connection is not None:
                self._connection.receive([])
        return False

    def _hang_up(self) -> None:
        """Both sides have said goodbye, or the client cannot: close the socket when all has left."""
        self.close()
        if not self._transport.is_closing():
            self._transport.close()

    def _discard(self) -> None:
        """Read on until the client hangs up, since nothing that it says can be understood any more.

        A socket that is closed with unread input sends a reset, which may take our last words from it. TLS
        reads on by itself, until the client's close_notify. The connection aborts what takes too long.
        """
        if not self._transport.can_write_eof():
            self._hang_up()
        elif not self._transport.is_closing():
            self.close()
            self.resume()
            self._is_discarding = True
            self._transport.write_eof()

    def _watch(self) -> None:
        """Ping a silent client (RFC 6455 §5.5.2), and hang up on one that stays silent."""
        seconds = self._door.gateway.options.ping_seconds
        if seconds:
            self._timer = self._clock.call_later(seconds, self._look)

    def _look(self) -> None:
        if self._heard:
            self._heard = False
            self._watch()
        elif self._timer is not None and not self._close_sent:
            self._transport.write(write_ping())
            self._timer = self._clock.call_later(self._door.gateway.options.ping_seconds, self._look_again)

    def _look_again(self) -> None:
        if self._heard:
            self._look()
        else:
            self.abort()


def _framing_item(fragment: Fragment) -> Item:
    """Read <open/> and <close/> (RFC 7395 §3.3); another element of their namespace is nobody's."""
    attributes = fragment.attributes
    if fragment.name == "open":
        return StreamHeader(
            to=attributes.get("to", ""),
            sender=attributes.get("from", ""),
            version=attributes.get("version", ""),
            lang=attributes.get(f"{ns.XML} lang", ""),
            id=attributes.get("id", ""),
        )
    if fragment.name == "close":
        return StreamTail()
    return fragment


def _check_handshake(request: web.BaseRequest) -> bytes:
    """Check the opening handshake (RFC 6455 §4.2.1, RFC 7395 §3.1) and give the accept value."""
    headers = request.headers
    upgrades = {word.strip().lower() for word in headers.get("Upgrade", "").split(",")}
    connection = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    if "websocket" not in upgrades or "upgrade" not in connection:
        raise HttpError(426, _ABOUT, {"Upgrade": "websocket", "Connection": "Upgrade"})
    if headers.get("Sec-WebSocket-Version") != "13":
        raise HttpError(426, "WebSocket is spoken in version 13 here.", {"Sec-WebSocket-Version": "13"})
    offered = {word.strip() for word in ",".join(headers.getall("Sec-WebSocket-Protocol", [])).split(",")}
    if SUBPROTOCOL not in offered:
        raise HttpError(400, "The subprotocol must be xmpp (RFC 7395).")
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if not key or not key.isascii():  # its length says nothing about who sends it: some send more
        raise HttpError(400, "Sec-WebSocket-Key must be 16 octets in base64.")
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest())  # noqa: S324  # §4.2.2
