"""The admin socket: the command line's way to the running server, for the server's own user.

One JSON object a line. A request is `{"category", "operation", "arguments"}`; its answer is `{"result": …}`
or `{"error": {"code", "text", "reason"}}`, the last where there is a word for it. An operation with many
answers gives each as `{"item": …}`, and `{}` or an error at the end. Answers come in the order of the
requests.

The socket is there before the server is: requests wait until it has started, and are told
`{"waiting": "…"}` meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from tidings.app.admin_client import is_running, short_name
from tidings.base.errors import TidingsError
from tidings.kernel.supervisor import Supervisor
from tidings.operations.catalogue import Catalogue
from tidings.operations.context import OPERATOR, Caller, Context
from tidings.operations.errors import OperationError
from tidings.operations.values import to_json

LINE_BYTES: Final = 1024 * 1024
_STARTING: Final = "the server is starting"


class Request(msgspec.Struct, frozen=True):
    """What the command line asks."""

    category: str
    operation: str
    arguments: dict[str, Any] = {}


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an operation was refused."""

    code: str
    text: str
    reason: str = ""
    """What exactly, in a word, where there is one for it."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the server answers: one of these, or nothing at the end of many items."""

    result: Any = None
    item: Any = None
    error: Failure | None = None
    waiting: str = ""
    """Why the answer has to wait; it comes later."""


_CREDENTIALS: Final = struct.Struct("3i")  # process, user and group, as Linux tells


class _Served(NamedTuple):
    """What a started server answers from."""

    catalogue: Catalogue
    context: Context
    supervisor: Supervisor


class AlreadyRunningError(TidingsError):
    """Another server uses the data directory."""


class AdminSocket:
    """Serves a catalogue on a Unix socket with mode 0600 from its first moment on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._served: _Served | None = None
        self._state = _STARTING

    async def start(self) -> None:
        """Listen, in place of what a dead server left; raises `AlreadyRunningError` when a live one does."""
        if is_running(self._path):
            raise AlreadyRunningError(
                f"another server is running on the data directory {self._path.parent}; "
                "stop it, or choose another `data_dir` in [server]"
            )
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            with short_name(self._path) as name:
                listening.bind(name)
        finally:
            os.umask(mask)
        listening.setblocking(False)
        self._server = await asyncio.get_running_loop().create_unix_server(self._connect, sock=listening)

    def waits_for(self, what: str) -> None:
        """Tell who waits already, and who comes, what the starting server waits for; "" if it goes on."""
        self._state = f"{_STARTING}; it waits for {what}" if what else _STARTING
        for connection in self._connections:
            connection.tell_state()

    def serve(self, catalogue: Catalogue, context: Context, supervisor: Supervisor) -> None:
        """Answer from now on, who waits already first."""
        self._served = _Served(catalogue, context, supervisor)
        for connection in self._connections:
            connection.go_on()

    def fail(self, why: str) -> None:
        """Tell those who wait why the server has not started."""
        for connection in self._connections:
            connection.fail(why)

    async def close(self) -> None:
        """Stop listening, end the connections and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.end()
        self._server = None
        self._path.unlink(missing_ok=True)

    def _connect(self) -> _Connection:
        return _Connection(self)

    def opened(self, connection: _Connection) -> None:
        """Know one more user of the socket."""
        self._connections.add(connection)

    def closed(self, connection: _Connection) -> None:
        """Forget a user of the socket."""
        self._connections.discard(connection)

    @property
    def served(self) -> _Served | None:
        """What is served; None while the server starts."""
        return self._served

    @property
    def state(self) -> str:
        """What the server does while it starts, for people."""
        return self._state


class _Connection(asyncio.Protocol):
    """One user of the socket; its requests are answered one after another."""

    def __init__(self, door: AdminSocket) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: list[bytes] = []
        self._busy = False
        self._caller = OPERATOR
        self._can_write = asyncio.Event()
        self._can_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are no subclasses
        self._caller = _caller_of(transport.get_extra_info("socket"))
        self._door.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # whatever the reason
        self._door.closed(self)
        self._transport = None
        self._can_write.set()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        self._waiting += [bytes(line) for line in lines]
        if len(self._buffer) > LINE_BYTES:
            self._write(Answer(error=Failure("invalid", f"a request is at most {LINE_BYTES} bytes long")))
            self.end()
        else:
            self.tell_state()
            self.go_on()

    def tell_state(self) -> None:
        """Say why the answer has to wait, where it has to."""
        if self._waiting and self._door.served is None:
            self._write(Answer(waiting=self._door.state))

    def go_on(self) -> None:
        """Answer what waits, once the server has started."""
        served = self._door.served
        if served is not None and self._waiting and not self._busy:
            self._busy = True
            served.supervisor.start("admin socket", self._work(served))

    def fail(self, why: str) -> None:
        """Refuse what waits for a server that has not started."""
        for _ in self._waiting:
            self._write(Answer(error=Failure("unavailable", why)))
        self._waiting.clear()

    def end(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    async def _work(self, served: _Served) -> None:
        try:
            while self._waiting:
                async with contextlib.aclosing(self._answers(served, self._waiting.pop(0))) as answers:
                    async for answer in answers:
                        self._write(answer)
                        await self._can_write.wait()
                        if self._transport is None:
                            return
        except BaseException:
            self._write(Answer(error=Failure("unavailable", "the server failed; its log says why")))
            raise
        finally:
            self._busy = False

    async def _answers(self, served: _Served, line: bytes) -> AsyncGenerator[Answer, None]:
        try:
            request = msgspec.json.decode(line, type=Request)
            context = served.context.acting_for(self._caller)
            asked = (context, request.category, request.operation, request.arguments)
            if served.catalogue.get(request.category, request.operation).is_stream:
                async with contextlib.aclosing(served.catalogue.stream(*asked)) as items:
                    async for item in items:
                        yield Answer(item=item)
                yield Answer()
            else:
                yield Answer(result=await served.catalogue.call(*asked))
        except msgspec.DecodeError as error:
            told = f"the request is no JSON object of this protocol: {error}"
            yield Answer(error=Failure("invalid", told))
        except OperationError as error:
            yield Answer(error=Failure(error.code, error.text, error.reason))

    def _write(self, answer: Answer) -> None:
        if self._transport is not None:
            self._transport.write(to_json(answer) + b"\n")


def _caller_of(connection: socket.socket | None) -> Caller:
    """Give the operator who uses the socket, with the user and the process where the system tells them."""
    if connection is None or not hasattr(socket, "SO_PEERCRED"):
        return OPERATOR
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, uid, _ = _CREDENTIALS.unpack(raw)
    return replace(OPERATOR, uid=uid, process=process)
