"""A tiny XMPP client for plays: raw text out, lxml elements in, over every transport the server has.

A wire turns bytes into stanzas and knows how its transport begins, restarts and ends a stream; `log_in` is
the same for all of them. Every client keeps its trace, so that a failure shows what went over the wire.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Callable
from typing import Protocol

from lxml import etree
from scramp import ScramClient

from tests.dialogs.http_wires import BoshWire, WebSocketWire
from tests.dialogs.wire_tools import CLIENT, PATIENCE, STREAMS, end_or_stanza, text, trust
from tests.harness.dialog import StreamEnd
from tests.harness.server_process import ServerProcess

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"


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
        """Go from nothing to a bound resource."""
        await self.authenticate(name, password)
        await self.bind(resource)

    async def bind(self, resource: str) -> None:
        """Bind a resource of the account that has logged in."""
        chosen = f"<resource>{resource}</resource>" if resource else ""
        await self.send(f'<iq type="set" id="bind"><bind xmlns="{BIND}">{chosen}</bind></iq>')
        bound = _expect(await self.receive(), f"{{{CLIENT}}}iq")
        assert bound.get("type") == "result", f"not bound: {text(bound)}"

    async def authenticate(self, name: str, password: str) -> None:
        """Go from nothing to the features after log-in, by STARTTLS where the wire asks for it and SCRAM."""
        await self._wire.open()
        features = await self.receive()
        if isinstance(self._wire, TcpWire) and self._wire.wants_starttls:
            assert features.find(f"{{{TLS}}}starttls") is not None, f"no STARTTLS in {text(features)}"
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
        assert features.find(f"{{{BIND}}}bind") is not None, f"no resource binding in {text(features)}"

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
    assert element.tag == tag, f"{text(element)} instead of {tag}"
    return element


class TcpWire:
    """XMPP over TCP: in the clear, with STARTTLS or with TLS from the first byte."""

    def __init__(
        self, server: ServerProcess, trace: list[str], *, starttls: bool = False, direct: bool = False
    ) -> None:
        self.wants_starttls = starttls
        self._server = server
        self._trace = trace
        self._direct = direct
        self._parser = _StreamReader()

    async def open(self) -> None:
        """Connect and begin the stream."""
        port = self._server.tls_port if self._direct else self._server.tcp_port
        tls = trust(self._server) if self._direct else None
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
        await self._writer.start_tls(trust(self._server), server_hostname=self._server.domain)
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
                return end_or_stanza(element)
            if self._parser.is_closed:
                raise StreamEnd
            block = await self._reader.read(65536)
            if not block:
                raise StreamEnd("connection closed without end of stream")
            self._trace.append(f"< {block.decode(errors='replace')}")
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
