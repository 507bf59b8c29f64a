"""A tiny XMPP client for plays: raw text out, lxml elements in, over every transport the server has.

A wire turns bytes into stanzas and knows how its transport begins, restarts and ends a stream; `log_in` is the same
for all of them. Every client keeps its trace, so that a failure shows what went over the wire.
"""

import asyncio
import base64
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import aiohttp
from lxml import etree
from scramp import ScramClient

from tests.harness.dialog import StreamEnd
from tests.harness.server_process import ServerProcess

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
HTTPBIND = "http://jabber.org/protocol/httpbind"
XBOSH = "urn:xmpp:xbosh"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
PATIENCE = 10.0  # seconds; only a failing test waits that long


class Wire(Protocol):
    """One transport."""

    async def open(self) -> None:
        """Connect and begin the stream."""
        ...

    async def restart(self) -> None:
        """Begin the stream anew after log-in."""
        ...

    async def send(self, xml: str) -> None:
        """Send one first-level element of the stream."""
        ...

    async def receive(self) -> etree._Element:
        """The next first-level element; raises StreamEnd."""
        ...

    async def close(self) -> None:
        """End the stream and the connection."""
        ...

    async def abort(self) -> None:
        """Give the connection up."""
        ...


class RawClient:
    """A client of one transport."""

    def __init__(self, wire: Wire, trace: list[str]) -> None:
        self._wire = wire
        self.trace = trace

    async def log_in(self, name: str, password: str, resource: str) -> None:
        """Go from nothing to a bound resource: STARTTLS where the wire asks for it, SCRAM-SHA-256, bind."""
        await self._wire.open()
        features = await self.receive()
        if isinstance(self._wire, TcpWire) and self._wire.wants_starttls:
            assert features.find(f"{{{TLS}}}starttls") is not None, f"no STARTTLS in {_text(features)}"
            await self.send(f'<starttls xmlns="{TLS}"/>')
            _expect(await self.receive(), f"{{{TLS}}}proceed")
            await self._wire.encrypt()
            features = await self.receive()
        offered = [each.text or "" for each in features.iter(f"{{{SASL}}}mechanism")]
        mechanism = next(name for name in ("SCRAM-SHA-256", "SCRAM-SHA-1") if name in offered)
        scram = ScramClient([mechanism], name, password)
        first = base64.b64encode(scram.get_client_first().encode()).decode()
        await self.send(f'<auth xmlns="{SASL}" mechanism="{mechanism}">{first}</auth>')
        challenge = _expect(await self.receive(), f"{{{SASL}}}challenge")
        scram.set_server_first(base64.b64decode(challenge.text or "").decode())
        final = base64.b64encode(scram.get_client_final().encode()).decode()
        await self.send(f'<response xmlns="{SASL}">{final}</response>')
        success = _expect(await self.receive(), f"{{{SASL}}}success")
        scram.set_server_final(base64.b64decode(success.text or "").decode())
        await self._wire.restart()
        features = await self.receive()
        assert features.find(f"{{{BIND}}}bind") is not None, f"no resource binding in {_text(features)}"
        chosen = f"<resource>{resource}</resource>" if resource else ""
        await self.send(f'<iq type="set" id="bind"><bind xmlns="{BIND}">{chosen}</bind></iq>')
        bound = _expect(await self.receive(), f"{{{CLIENT}}}iq")
        assert bound.get("type") == "result", f"not bound: {_text(bound)}"

    async def send(self, xml: str) -> None:
        """Send one element as it is written."""
        await self._wire.send(xml)

    async def receive(self) -> etree._Element:
        """The next element; raises StreamEnd, or TimeoutError with the trace."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._wire.receive()
        except TimeoutError:
            raise TimeoutError(f"nothing arrived in {PATIENCE:.0f} s") from None

    async def close(self) -> None:
        """Log out; the server's end of the stream has been seen when this returns."""
        async with asyncio.timeout(PATIENCE):
            await self._wire.close()

    async def abort(self) -> None:
        """Give the connection up."""
        await self._wire.abort()


def _expect(element: etree._Element, tag: str) -> etree._Element:
    assert element.tag == tag, f"{_text(element)} instead of {tag}"
    return element


def _text(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _end_or_stanza(element: etree._Element) -> etree._Element:
    """The element, unless it is a stream error."""
    if element.tag == f"{{{STREAMS}}}error":
        conditions = (etree.QName(child) for child in element)
        raise StreamEnd(next(name.localname for name in conditions if name.namespace == STREAM_ERRORS))
    return element


def _with_namespace(xml: str, namespace: str) -> str:
    """The element with a default namespace, which on TCP its stream declares."""
    tag = re.match(r"<[^\s/>]+", xml)
    assert tag, f"no element: {xml}"
    first_tag = xml[: xml.index(">")]
    return xml if re.search(r"\sxmlns=", first_tag) else f'{tag[0]} xmlns="{namespace}"{xml[tag.end() :]}'


class TcpWire:
    """XMPP over TCP: in the clear, with STARTTLS or with TLS from the first byte."""

    def __init__(self, server: ServerProcess, trace: list[str], *, starttls: bool = False, direct: bool = False) -> None:
        self.wants_starttls = starttls
        self._server = server
        self._trace = trace
        self._direct = direct
        self._parser = _StreamReader()

    async def open(self) -> None:
        """Connect and begin the stream."""
        port = self._server.tls_port if self._direct else self._server.tcp_port
        tls = _tls(self._server) if self._direct else None
        name = self._server.domain if self._direct else None
        self._reader, self._writer = await asyncio.open_connection(
            self._server.host, port, ssl=tls, server_hostname=name
        )
        await self.restart()

    async def restart(self) -> None:
        """Begin a stream."""
        self._parser = _StreamReader()
        await self.send(
            f'<?xml version="1.0"?><stream:stream xmlns="{CLIENT}" xmlns:stream="{STREAMS}" version="1.0" '
            f'to="{self._server.domain}">'
        )

    async def encrypt(self) -> None:
        """Upgrade the connection to TLS and begin a stream on it."""
        await self._writer.start_tls(_tls(self._server), server_hostname=self._server.domain)
        await self.restart()

    async def send(self, xml: str) -> None:
        """Send text."""
        self._trace.append(f"> {xml}")
        self._writer.write(xml.encode())
        await self._writer.drain()

    async def receive(self) -> etree._Element:
        """The next element of the stream."""
        while True:
            element = self._parser.next()
            if element is not None:
                return _end_or_stanza(element)
            if self._parser.is_closed:
                raise StreamEnd
            block = await self._reader.read(65536)
            if not block:
                raise StreamEnd("connection closed without end of stream")
            self._trace.append(f"< {block.decode()}")
            self._parser.feed(block)

    async def close(self) -> None:
        """Close the stream, wait for the server's end of it, then end the connection."""
        await self.send("</stream:stream>")
        with contextlib.suppress(StreamEnd):
            while True:
                await self.receive()
        assert self._parser.is_closed, "the server did not close the stream"
        await self.abort()

    async def abort(self) -> None:
        """End the connection."""
        if hasattr(self, "_writer"):
            self._writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await self._writer.wait_closed()


class _StreamReader:
    """Takes the first-level elements out of a stream."""

    def __init__(self) -> None:
        self._parser = etree.XMLPullParser(events=("start", "end"), resolve_entities=False)
        self._depth = 0
        self._ready: list[etree._Element] = []
        self.is_closed = False

    def feed(self, block: bytes) -> None:
        self._parser.feed(block)
        for event, element in self._parser.read_events():
            self._depth += 1 if event == "start" else -1
            if event == "end" and self._depth == 1:
                self._ready.append(etree.fromstring(etree.tostring(element, with_tail=False)))
            elif event == "end" and self._depth == 0:
                self.is_closed = True

    def next(self) -> etree._Element | None:
        return self._ready.pop(0) if self._ready else None


class WebSocketWire:
    """XMPP over WebSocket (RFC 7395)."""

    def __init__(self, server: ServerProcess, trace: list[str], *, tls: bool = False) -> None:
        scheme, port = ("wss", server.https_port) if tls else ("ws", server.http_port)
        self._url = f"{scheme}://{server.domain}:{port}/xmpp-websocket"
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
        assert opened.tag == f"{{{FRAMING}}}open", f"{_text(opened)} instead of <open/>"

    async def send(self, xml: str) -> None:
        """Send one frame."""
        frame = _with_namespace(xml, CLIENT)
        self._trace.append(f"> {frame}")
        assert self._socket is not None
        await self._socket.send_str(frame)

    async def receive(self) -> etree._Element:
        """The next frame."""
        frame = await self._next_frame()
        if frame.tag == f"{{{FRAMING}}}close":
            raise StreamEnd
        return _end_or_stanza(frame)

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
        self._url = f"{scheme}://{server.domain}:{port}/http-bind"
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
        assert self._sid, f"no session: {_text(body)}"
        self._elements += body

    async def restart(self) -> None:
        """Ask for a restart of the stream (XEP-0206 §5); from now on one request is always with the server."""
        self._is_polling = True
        self._post(f'to="{self._server.domain}" xmpp:restart="true" xmlns:xmpp="{XBOSH}"')

    async def send(self, xml: str) -> None:
        """Send one element in a body of its own; the two requests that BOSH allows are respected."""
        while len(self._outstanding) > 1:
            await self._next_arrival()
        self._post("", _with_namespace(xml, CLIENT))

    async def receive(self) -> etree._Element:
        """The next element, with a request held open while there is none."""
        while not self._elements:
            body = await self._next_answer()
            self._elements += body
            if not len(body) and body.get("type") == "terminate" and body.get("condition"):
                raise StreamEnd(f"BOSH {body.get('condition')}")
        return _end_or_stanza(self._elements.pop(0))

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


def _tls(server: ServerProcess) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.authority))


class HttpDoor:
    """An HTTP client that trusts the server's certificate and whose connections are gone when it is closed."""

    def __init__(self, server: ServerProcess) -> None:
        self._sockets: list[socket.socket] = []
        connector = aiohttp.TCPConnector(ssl=_tls(server), socket_factory=self._make_socket)
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


TRANSPORTS: dict[str, Callable[[ServerProcess, list[str]], Wire]] = {
    "tcp": TcpWire,
    "starttls": lambda server, trace: TcpWire(server, trace, starttls=True),
    "tls": lambda server, trace: TcpWire(server, trace, direct=True),
    "websocket": WebSocketWire,
    "wss": lambda server, trace: WebSocketWire(server, trace, tls=True),
    "bosh": BoshWire,
    "https": lambda server, trace: BoshWire(server, trace, tls=True),
}
"""Every way into the server."""


def raw_client(server: ServerProcess, transport: str, trace: list[str]) -> RawClient:
    """A client for one of TRANSPORTS that is not connected yet."""
    return RawClient(TRANSPORTS[transport](server, trace), trace)
