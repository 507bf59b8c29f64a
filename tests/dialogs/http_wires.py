"""The wires over HTTP: WebSocket and BOSH."""

import asyncio
import contextlib
import socket
from typing import Any

import aiohttp
from lxml import etree

from tests.dialogs.wire_tools import CLIENT, end_or_stanza, text, trust, with_namespace
from tests.harness.dialog import StreamEnd
from tests.harness.server_process import ServerProcess

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
HTTPBIND = "http://jabber.org/protocol/httpbind"
XBOSH = "urn:xmpp:xbosh"


class HttpDoor:
    """An HTTP client that trusts the server's certificate; when it is closed, its connections are gone."""

    def __init__(self, server: ServerProcess) -> None:
        self._sockets: list[socket.socket] = []
        connector = aiohttp.TCPConnector(ssl=trust(server), socket_factory=self._make_socket)
        self.session = aiohttp.ClientSession(connector=connector)

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(address[0], address[1], address[2])
        made.setblocking(False)
        self._sockets.append(made)
        return made

    async def close(self) -> None:
        """Close every connection; TLS says goodbye first, so that takes a few turns of the loop."""
        await self.session.close()
        with contextlib.suppress(TimeoutError):  # a server that does not answer the goodbye
            async with asyncio.timeout(1):
                while any(each.fileno() != -1 for each in self._sockets):
                    await asyncio.sleep(0.001)


class WebSocketWire:
    """XMPP over WebSocket (RFC 7395)."""

    def __init__(self, server: ServerProcess, trace: list[str], *, tls: bool = False) -> None:
        scheme, port = ("wss", server.https_port) if tls else ("ws", server.http_port)
        self._url = f"{scheme}://{server.web_host}:{port}/xmpp-websocket"
        self._server = server
        self._trace = trace
        self._http: HttpDoor | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> None:
        """Connect and begin the stream."""
        self._http = HttpDoor(self._server)
        self._socket = await self._http.session.ws_connect(self._url, protocols=["xmpp"], autoping=True)
        assert self._socket.protocol == "xmpp", f"subprotocol {self._socket.protocol}"
        await self.restart()

    async def restart(self) -> None:
        """Begin a stream."""
        await self.send(f'<open xmlns="{FRAMING}" version="1.0" to="{self._server.domain}"/>')
        opened = await self._next_frame()
        assert opened.tag == f"{{{FRAMING}}}open", f"{text(opened)} instead of <open/>"

    async def send(self, xml: str) -> None:
        """Send one frame."""
        frame = with_namespace(xml, CLIENT)
        self._trace.append(f"> {frame}")
        assert self._socket is not None
        await self._socket.send_str(frame)

    async def receive(self) -> etree._Element:
        """The next frame."""
        frame = await self._next_frame()
        if frame.tag == f"{{{FRAMING}}}close":
            raise StreamEnd
        return end_or_stanza(frame)

    async def close(self) -> None:
        """Exchange <close/> and end the connection."""
        await self.send(f'<close xmlns="{FRAMING}"/>')
        while (await self._next_frame()).tag != f"{{{FRAMING}}}close":
            continue
        await self.abort()

    async def abort(self) -> None:
        """End the connection."""
        if self._http is not None:
            if self._socket is not None:
                await self._socket.close()
            await self._http.close()

    async def _next_frame(self) -> etree._Element:
        assert self._socket is not None
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise StreamEnd(f"WebSocket {message.type.name} {message.data} without <close/>")
        self._trace.append(f"< {message.data}")
        return etree.fromstring(message.data)


class BoshWire:
    """XMPP over BOSH (XEP-0124, XEP-0206) with two requests: one to hold, one to send."""

    def __init__(self, server: ServerProcess, trace: list[str], *, tls: bool = False) -> None:
        scheme, port = ("https", server.https_port) if tls else ("http", server.http_port)
        self._url = f"{scheme}://{server.web_host}:{port}/http-bind"
        self._server = server
        self._trace = trace
        self._http: HttpDoor | None = None
        self._sid = ""
        self._rid = 1_000_000
        self._tasks: set[asyncio.Task[None]] = set()
        self._outstanding: set[int] = set()
        self._bodies: dict[int, etree._Element | BaseException] = {}
        self._next_body = self._rid
        self._arrived = asyncio.Event()
        self._elements: list[etree._Element] = []
        self._is_polling = False
        self._is_terminated = False

    async def open(self) -> None:
        """Create the session."""
        self._http = HttpDoor(self._server)
        self._post(
            f'to="{self._server.domain}" wait="30" hold="1" ver="1.6" xml:lang="en" '
            f'xmlns:xmpp="{XBOSH}" xmpp:version="1.0"'
        )
        body = await self._next_answer()
        self._sid = body.get("sid", "")
        assert self._sid, f"no session: {text(body)}"
        self._elements += body

    async def restart(self) -> None:
        """Ask for a restart of the stream (XEP-0206 §5); from now on the server always has a request."""
        self._is_polling = True
        self._post(f'to="{self._server.domain}" xmpp:restart="true" xmlns:xmpp="{XBOSH}"')

    async def send(self, xml: str) -> None:
        """Send one element in a body of its own; the two requests that BOSH allows are respected."""
        while len(self._outstanding) > 1:
            await self._next_arrival()
        self._post("", with_namespace(xml, CLIENT))

    async def receive(self) -> etree._Element:
        """The next element, with a request held open while there is none."""
        while not self._elements:
            body = await self._next_answer()
            self._elements += body
            if not len(body) and body.get("type") == "terminate" and body.get("condition"):
                raise StreamEnd(f"BOSH {body.get('condition')}")
        return end_or_stanza(self._elements.pop(0))

    async def close(self) -> None:
        """Terminate the session and wait until the server says so."""
        self._is_polling = False
        self._post('type="terminate"')
        while (await self._next_answer()).get("type") != "terminate":
            continue
        await self.abort()

    async def abort(self) -> None:
        """Give up what is under way."""
        self._is_polling = False
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def _post(self, attributes: str, payload: str = "") -> None:
        rid = self._rid
        self._rid += 1
        sid = f'sid="{self._sid}" ' if self._sid else ""
        body = f'<body xmlns="{HTTPBIND}" rid="{rid}" {sid}{attributes}>{payload}</body>'
        self._trace.append(f"> {body}")
        self._outstanding.add(rid)
        task = asyncio.create_task(self._exchange(rid, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _exchange(self, rid: int, body: str) -> None:
        assert self._http is not None
        try:
            headers = {"Content-Type": "text/xml; charset=utf-8"}
            async with self._http.session.post(self._url, data=body.encode(), headers=headers) as answer:
                text = await answer.text()
                self._trace.append(f"< {answer.status} {text}")
                assert answer.status == 200, f"HTTP {answer.status} {text}"
                self._take(rid, etree.fromstring(text.encode()))
        except (aiohttp.ClientError, AssertionError, etree.XMLSyntaxError) as failure:
            self._take(rid, failure)

    def _take(self, rid: int, body: etree._Element | BaseException) -> None:
        """Keep an answer for its turn; hold the next request open when it was the last one."""
        self._bodies[rid] = body
        self._outstanding.discard(rid)
        if isinstance(body, BaseException) or body.get("type") == "terminate":
            self._is_polling = False
            self._is_terminated = True
        if self._is_polling and not self._outstanding:
            self._post("")
        self._arrived.set()

    async def _next_arrival(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    async def _next_answer(self) -> etree._Element:
        """The answers in the order of their requests (XEP-0124 §14)."""
        while self._next_body not in self._bodies:
            if self._is_terminated and not self._outstanding:
                raise StreamEnd("BOSH session over")
            await self._next_arrival()
        body = self._bodies.pop(self._next_body)
        self._next_body += 1
        if isinstance(body, BaseException):
            raise StreamEnd(str(body)) from body
        return body
