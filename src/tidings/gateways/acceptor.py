"""Acceptor: takes connections from a listening socket, admits them, and shakes hands where TLS comes first.

Invariants:
- a connection is admitted when it is accepted, before a handshake, and counts until it is gone;
- a TLS client that offers other protocols than ours is turned away, but for an authority that validates a
  domain and is answered;
- a connection that comes when files have run out waits in the socket's queue, and the log says so.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ssl
from collections.abc import Callable
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from typing import Final

import structlog

from tidings.gateways.acme_challenges import ACME_PROTOCOL
from tidings.gateways.client_hello import NO_APPLICATION_PROTOCOL, offered_protocols
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.tls import TlsSetup
from tidings.kernel.supervisor import Supervisor

log = structlog.get_logger("tidings.acceptor")

HANDSHAKE_SECONDS: Final = 15.0
GOODBYE_SECONDS: Final = 5.0
_AT_ONCE: Final = 64  # accepted in one turn of the event loop
_REST_SECONDS: Final = 0.5
_HELLO: Final = 64 * 1024  # octets that have come when a client is turned away
_MakeProtocol = Callable[["Admission"], asyncio.Protocol]
_OUT_OF_FILES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Admission:
    """One connection that was let in; it counts until it leaves, and leaves once."""

    __slots__ = ("_limiter", "address", "on_leave")

    def __init__(self, address: str, limiter: ConnectionLimiter | None) -> None:
        """Begin; without a limiter it is counted nowhere."""
        self._limiter = limiter
        self.address = address
        self.on_leave: Callable[[], object] | None = None

    def leave(self) -> None:
        """The connection is gone; harmless when it is so already."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.leave(self.address)
        on_leave, self.on_leave = self.on_leave, None
        if on_leave is not None:
            on_leave()


class Acceptor:
    """Accepts on listening sockets until it is closed, and makes a protocol for each connection."""

    def __init__(
        self,
        limiter: ConnectionLimiter,
        supervisor: Supervisor,
        make_protocol: Callable[[Admission], asyncio.Protocol],
        *,
        tls: TlsSetup | None = None,
        protocol: str = "",
        is_exempt: Callable[[str], bool] | None = None,
    ) -> None:
        """Begin; with `tls` the handshake comes first, and `protocol` is what is spoken then (RFC 7301).

        Connections of exempt addresses are not counted.
        """
        self._limiter = limiter
        self._supervisor = supervisor
        self._make_protocol = make_protocol
        self._tls = tls
        self._protocol = protocol.encode()
        self._is_exempt = is_exempt
        self._listening: set[socket] = set()
        self._beginning: set[asyncio.Task[None]] = set()

    def listen(self, listening: socket) -> None:
        """Accept connections on this socket, which listens already and is closed with the acceptor."""
        listening.setblocking(False)
        self._listening.add(listening)
        self._watch(listening)

    def close(self) -> None:
        """Accept nothing more, and break off handshakes; connections that stand go on."""
        listening, self._listening = self._listening, set()
        for each in listening:
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        self.break_off()

    def break_off(self) -> None:
        """End the handshakes that are under way: who stops the server does not wait for a silent stranger."""
        for task in tuple(self._beginning):
            task.cancel()

    def _watch(self, listening: socket) -> None:
        if listening in self._listening:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket) -> None:
        """Take what waits, but not all of a flood at once."""
        for _ in range(_AT_ONCE):
            try:
                accepted, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_FILES:
                    self._rest(listening, error)
                    return
                continue  # this one has gone again, or its network has
            self._take(accepted, str(peer[0]) if isinstance(peer, tuple) else "")

    def _rest(self, listening: socket, error: OSError) -> None:
        """Try again a moment later: the socket stays ready, and would keep the event loop busy."""
        self._limiter.tell_out_of_files(error)
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(_REST_SECONDS, self._watch, listening)

    def _take(self, accepted: socket, address: str) -> None:
        is_counted = self._is_exempt is None or not self._is_exempt(address)
        if is_counted and not self._limiter.admit(address):
            accepted.close()
            return
        admission = Admission(address, self._limiter if is_counted else None)
        task = self._supervisor.start("connection", self._begin(accepted, admission))
        self._beginning.add(task)
        task.add_done_callback(functools.partial(self._begun, accepted, admission))

    def _begun(self, accepted: socket, admission: Admission, task: asyncio.Task[None]) -> None:
        self._beginning.discard(task)
        if task.cancelled():  # perhaps before it had begun
            admission.leave()
            accepted.close()

    async def _begin(self, accepted: socket, admission: Admission) -> None:
        has_begun = False
        try:
            accepted.setblocking(False)
            accepted.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            async with asyncio.timeout(None if self._tls is None else HANDSHAKE_SECONDS):
                context, make_protocol = await self._spoken(accepted)
                await asyncio.get_running_loop().connect_accepted_socket(
                    functools.partial(make_protocol, admission),
                    accepted,
                    ssl=context,
                    ssl_shutdown_timeout=None if context is None else GOODBYE_SECONDS,
                )
            has_begun = True
        except TimeoutError:
            log.debug("handshake_failed", address=admission.address, reason="it took too long")
        except OSError as error:  # ssl.SSLError is one
            log.debug("handshake_failed", address=admission.address, reason=str(error))
        finally:
            if not has_begun:
                admission.leave()
                accepted.close()

    async def _spoken(self, accepted: socket) -> tuple[ssl.SSLContext | None, _MakeProtocol]:
        """Give the context of the handshake and what speaks after it.

        Tells a client that offers none of our protocols so, and raises `OSError`.
        """
        if self._tls is None:
            return None, self._make_protocol
        offered = await offered_protocols(accepted)
        if not offered or self._protocol in offered:
            return self._tls.context, self._make_protocol
        challenge = self._tls.challenges.context()
        if challenge is not None and offered == (ACME_PROTOCOL.encode(),):
            return challenge, _Validation
        accepted.recv(_HELLO)  # what is left unread when it is closed would keep the alert from arriving
        accepted.send(NO_APPLICATION_PROTOCOL)
        raise OSError(f"the client speaks {offered}, and not {self._protocol!r}")


class _Validation(asyncio.Protocol):
    """The connection of an authority by TLS-ALPN-01; the handshake is all that it wants (RFC 8737 §3)."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._admission.leave()
