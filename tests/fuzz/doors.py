"""Doors by which a sequence comes to a server that runs: TCP, WebSocket and BOSH, each in its own framing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import ssl
from typing import Protocol
from xml.sax.saxutils import quoteattr

import aiohttp

from tests.dialogs.wire_tools import trust
from tests.fuzz.documents import cuts, pieces
from tests.fuzz.login_script import Kind, Step
from tests.harness.server_process import ServerProcess
from tidings.wire.xmpp import ns

PATIENCE = 15.0  # seconds; only what hangs takes as long


class Door(Protocol):
    """One connection, or session."""

    heard: str
    """All that the server has said."""
    is_closed: bool
    """Whether the server has ended it."""

    async def enter(self) -> None:
        """Connect."""
        ...

    async def send(self, step: Step, raw: str) -> bool:
        """Send a step, whose element is written as `raw`; False where this door has no way to."""
        ...

    async def until_news(self, known: int) -> bool:
        """Wait until more than so many characters were heard, or it is closed."""
        ...

    async def finish(self) -> bool:
        """Say goodbye, and tell whether the server has ended it, too."""
        ...

    async def leave(self) -> None:
        """Let go of the connection."""
        ...


class TcpDoor:
    """A TCP connection, with TLS from the first octet or without; octets are cut anywhere."""

    def __init__(self, server: ServerProcess, chance: random.Random, *, is_direct: bool = False) -> None:
        self.heard = ""
        self.is_closed = False
        self._server = server
        self._chance = chance
        self._is_direct = is_direct
        self._news = asyncio.Event()

    async def enter(self) -> None:
        server = self._server
        self._reader, self._writer = await asyncio.open_connection(
            server.host,
            server.tls_port if self._is_direct else server.tcp_port,
            ssl=trust(server) if self._is_direct else None,
            server_hostname=server.domain if self._is_direct else None,
        )
        self._reading = asyncio.create_task(self._read())

    async def send(self, step: Step, raw: str) -> bool:
        if step.kind is Kind.HEADER:
            declarations = f"xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'"
            raw = f"<?xml version='1.0'?><stream:stream {declarations} {_written(step)}>"
        elif step.kind is Kind.CLOSING:
            raw = "</stream:stream>"
        data = raw.encode()
        with contextlib.suppress(OSError):
            for piece in pieces(data, cuts(self._chance, len(data)) if self._chance.random() < 0.2 else []):
                self._writer.write(piece)
                await self._writer.drain()
        return True

    async def until_news(self, known: int) -> bool:
        return await _until(self, self._news, known)

    async def finish(self) -> bool:
        # What is unfinished gets an end; the rest of it is refused, or is the end of the stream.
        await self.send(Step(Kind.RAW), "'>\">'></stream:stream><")
        return self.is_closed or await _until(self, self._news, None)

    async def leave(self) -> None:
        self._writer.transport.abort()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await self._reader.read(65_536):
                self.heard += data.decode(errors="replace")
                if "<proceed" in self.heard:
                    break  # the handshake is not for this fuzzer: the connection ends there
                self._news.set()
        self.is_closed = True
        self._news.set()


class WebSocketDoor:
    """A WebSocket, each step a message."""

    def __init__(self, server: ServerProcess) -> None:
        self.heard = ""
        self.is_closed = False
        self._url = f"ws://{server.web_host}:{server.http_port}/xmpp-websocket"
        self._news = asyncio.Event()

    async def enter(self) -> None:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(self._url, protocols=["xmpp"])
        self._reading = asyncio.create_task(self._read())

    async def send(self, step: Step, raw: str) -> bool:
        if step.kind is Kind.HEADER:
            raw = f"<open xmlns='{ns.FRAMING}' {_written(step)}/>"
        elif step.kind is Kind.CLOSING:
            raw = f"<close xmlns='{ns.FRAMING}'/>"
        with contextlib.suppress(OSError):
            await self._socket.send_str(raw)
        return True

    async def until_news(self, known: int) -> bool:
        return await _until(self, self._news, known)

    async def finish(self) -> bool:
        await self.send(Step(Kind.CLOSING), "")
        return self.is_closed or await _until(self, self._news, None)

    async def leave(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._socket.close()
        await self._http.close()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.heard += message.data
                self._news.set()
        self.is_closed = True
        self._news.set()


class BoshDoor:
    """A BOSH session that polls: each step is a request, and each request has its answer."""

    def __init__(self, server: ServerProcess) -> None:
        self.heard = ""
        self.is_closed = False
        self._url = f"http://{server.web_host}:{server.http_port}/http-bind"
        self._rids = itertools.count(1_000)
        self._sid = ""

    async def enter(self) -> None:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE))

    async def send(self, step: Step, raw: str) -> bool:
        more = ""
        if step.kind in {Kind.SPACE, Kind.RAW}:
            return False
        if step.kind is Kind.HEADER and self._sid:
            more, raw = f"xmpp:restart='true' {_written(step)}", ""
        elif step.kind is Kind.CLOSING:
            more, raw = "type='terminate'", ""
        await self._post(more, raw, step)
        return True

    async def until_news(self, known: int) -> bool:  # each request has had its answer
        return True

    async def finish(self) -> bool:
        if not self.is_closed and self._sid:
            await self._post("type='terminate'", "", Step(Kind.CLOSING))
        return self.is_closed or not self._sid

    async def leave(self) -> None:
        await self._http.close()

    async def _post(self, more: str, raw: str, step: Step) -> None:
        if self._sid:
            more = f"sid='{self._sid}' {more}"
        else:
            to = quoteattr((step.attributes or {}).get("to", "localhost"))
            more = f"to={to} wait='5' hold='0' ver='1.6' xmpp:version='1.0' {more if raw else ''}"
        names = f"xmlns='{ns.BOSH}' xmlns:xmpp='{ns.XBOSH}'"
        body = f"<body {names} rid='{next(self._rids)}' {more}>{raw}</body>"
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        async with self._http.post(self._url, data=body.encode(), headers=headers) as answer:
            text = await answer.text()
        self.heard += text
        self.is_closed |= answer.status != 200 or 'type="terminate"' in text or "type='terminate'" in text
        for quote in "'\"":
            if not self._sid and f" sid={quote}" in text:
                self._sid = text.partition(f" sid={quote}")[2].partition(quote)[0]


def _written(step: Step) -> str:
    names = {"lang": "xml:lang"}
    return " ".join(
        f"{names.get(key, key)}={quoteattr(value)}" for key, value in (step.attributes or {}).items()
    )


async def _until(door: Door, news: asyncio.Event, known: int | None) -> bool:
    """Wait until more than so many characters were heard, or for the end alone; False if that takes long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not door.is_closed and (known is None or len(door.heard) <= known):
                news.clear()
                await news.wait()
    return door.is_closed or (known is not None and len(door.heard) > known)
