"""A client that sends whatever it is given, answers what it is asked, and keeps the books about iqs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from lxml import etree

from tests.dialogs.raw_client import RawClient, raw_client
from tests.dialogs.wire_tools import CLIENT
from tests.harness.dialog import StreamEnd
from tests.harness.server_process import ServerProcess

IQ = f"{{{CLIENT}}}iq"
PASSWORD = "secret"
PATIENCE = 20.0  # seconds; only what hangs takes as long


class Guest:
    """A session of an account, whose reading goes on beside everything else."""

    def __init__(self, server: ServerProcess, name: str, transport: str) -> None:
        self.name = name
        self.transport = transport
        self.address = f"{name}@localhost/fuzz"
        self.answers: Counter[str] = Counter()
        """How often each iq of ours has been answered."""
        self.bodies: set[str] = set()
        self.condition: str | None = None
        """Why the stream has ended, once it has; empty without an error."""
        self._server = server
        self._trace: list[str] = []
        self._client: RawClient = raw_client(server, transport, self._trace)
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def enter(self) -> None:
        """Log in, with an account that is made where there is none any more."""
        with contextlib.suppress(RuntimeError):  # there is one
            await asyncio.to_thread(self._server.register, self.name, PASSWORD)
        await self._client.log_in(self.name, PASSWORD, "fuzz")
        self._reading = asyncio.create_task(self._read())

    async def send(self, xml: str) -> None:
        """Send an element; what a stream that has ended swallows is nobody's concern."""
        self._trace.clear()
        if self.condition is None:
            with contextlib.suppress(OSError, StreamEnd):
                await self._client.send(xml)

    async def until_answered(self, wanted: set[str]) -> bool:
        """Wait until these have answers, or the stream has ended; False where that takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.condition is None and not wanted <= self.answers.keys():
                    await self._next()
        return self.condition is not None or wanted <= self.answers.keys()

    async def until_told(self, body: str) -> bool:
        """Wait for a message with this body."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.condition is None and body not in self.bodies:
                    await self._next()
        return body in self.bodies

    async def leave(self) -> None:
        """End the stream and the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self.condition is None:
            with contextlib.suppress(OSError, StreamEnd, TimeoutError, AssertionError):
                await self._client.close()
        await self._client.abort()

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _read(self) -> None:
        while self.condition is None:
            try:
                await self._take(await self._client.receive())
            except TimeoutError:
                continue  # it is silent
            except StreamEnd as end:
                self.condition = end.condition or ""
            except (OSError, etree.XMLSyntaxError) as error:
                self.condition = f"broken: {error}"
            self._trace.clear()
            self._news.set()

    async def _take(self, element: etree._Element) -> None:
        if element.tag == f"{{{CLIENT}}}message":
            self.bodies.add(element.findtext(f"{{{CLIENT}}}body") or "")
        elif element.tag == "{urn:xmpp:sm:3}r":
            await self.send("<a xmlns='urn:xmpp:sm:3' h='0'/>")
        elif element.tag == IQ and element.get("type") in {"result", "error"}:
            self.answers[element.get("id", "")] += 1
        elif element.tag == IQ:
            answer = etree.Element("iq", type="error", id=element.get("id", ""))
            if element.get("from"):
                answer.set("to", element.get("from", ""))
            error = etree.SubElement(answer, "error", type="cancel")
            etree.SubElement(error, "feature-not-implemented", xmlns="urn:ietf:params:xml:ns:xmpp-stanzas")
            await self.send(etree.tostring(answer, encoding="unicode"))
