"""An XMPP stream over a socket of loopback: logs in with PLAIN, then elements in and text out."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Self

from lxml import etree

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
DOMAIN = "localhost"


class StreamBrokenError(ConnectionError):
    """The stream ended, or did not begin; the text tells what came last."""


class Stream:
    """A stream of an account that is logged in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._restart()

    @classmethod
    async def log_in(cls, port: int, name: str) -> Self:
        """Connect and log in; the next thing to do is to bind or to resume."""
        stream = cls(*await asyncio.open_connection("127.0.0.1", port))
        try:
            await stream._open()
            secret = base64.b64encode(f"\0{name}\0{password_of(name)}".encode()).decode()
            stream.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>")
            await stream._expect(f"{{{SASL}}}success")
            stream._restart()
            await stream._open()
        except BaseException:
            stream.abort()
            raise
        return stream

    async def bind(self, resource: str) -> None:
        """Bind this resource."""
        wanted = f"<bind xmlns='{BIND}'><resource>{resource}</resource></bind>"
        self.send(f"<iq type='set' id='bind'>{wanted}</iq>")
        await self._expect(f"{{{CLIENT}}}iq")

    def send(self, text: str) -> None:
        """Send text; what a dead connection swallows is noticed by the reader."""
        self._writer.write(text.encode())

    async def drained(self) -> None:
        """Wait until the socket takes more."""
        await self._writer.drain()

    async def receive(self) -> etree._Element:
        """The next element."""
        while True:
            for _, element in self._events:
                if self._root is None:
                    self._root = element.getroottree().getroot()
                if element.getparent() is self._root:
                    self._root.remove(element)
                    return element
                if element is self._root:
                    raise StreamBrokenError("the server ended the stream")
            block = await self._reader.read(65536)
            if not block:
                raise StreamBrokenError("the connection ended")
            self._parser.feed(block)

    async def close(self) -> None:
        """End the stream in order: when this returns, the server has ended its half."""
        self.send("</stream:stream>")
        with contextlib.suppress(StreamBrokenError):
            while True:
                await self.receive()
        self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        self._writer.close()

    def _restart(self) -> None:
        self._parser = etree.XMLPullParser(events=("end",), resolve_entities=False)
        self._events = self._parser.read_events()
        self._root: etree._Element | None = None

    async def _open(self) -> None:
        self.send(
            f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' "
            f"version='1.0' to='{DOMAIN}'>"
        )
        await self._expect(f"{{{STREAMS}}}features")

    async def _expect(self, tag: str) -> etree._Element:
        element = await self.receive()
        if element.tag != tag or element.get("type") == "error":
            raise StreamBrokenError(etree.tostring(element, encoding="unicode"))
        return element


def password_of(name: str) -> str:
    """Every account of these tests has a password made of its name."""
    return f"secret of {name}"


def own_bare(name: str) -> str:
    """The bare JID of an account of these tests."""
    return f"{name}@{DOMAIN}"
