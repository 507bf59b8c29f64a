"""A domain that answers for itself, as a component or another server does: it writes down what it is handed.

    far = RemoteService(world, "far.example")
    await alice.send("<message to='romeo@far.example' type='chat'><body>hi</body></message>")
    [message] = far.take("message")

Handing over takes more than one turn of the event loop, as over a connection. It fails as often as `fail`
says, and stands still between `stall` and `go_on`. While it stands still, wait with `until_asked`, since
`World.settle` waits until everything has been handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from tests.harness.world import World
from tidings.base.errors import StanzaError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza


class RemoteService:
    """Takes the stanzas for one domain, and sends stanzas from there."""

    def __init__(self, world: World, domain: str) -> None:
        self.domain = domain
        self.received: list[Stanza] = []
        self.asked = 0
        """How often it was handed a stanza, taken or not."""
        self._failures: list[Exception] = []
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self.join(world)

    def join(self, world: World) -> None:
        """Answer for the domain in this world; again after the world's server was started anew."""
        self._world = world
        world.router.services[self.domain] = self

    def route(self, stanza: Stanza) -> Awaitable[None]:
        """Take a stanza from the server, once it waits for that."""
        return _HandOver(self._take_over, stanza)

    async def _take_over(self, stanza: Stanza) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        await self._may_go_on.wait()
        if self._failures:
            raise self._failures.pop(0)
        self.received.append(stanza)

    def take(self, name: str | None = None) -> list[Element]:
        """Give what has come since the last take, of one name if it is given, and forget it."""
        taken = [stanza for stanza in self.received if name in {None, stanza.name}]
        self.received = [stanza for stanza in self.received if stanza not in taken]
        return [decode(stanza.to_bytes(), ns.CLIENT) for stanza in taken]

    def fail(self, times: int = 1) -> None:
        """Lose the connection on the next stanzas that it is handed."""
        self._failures += [ConnectionResetError(f"{self.domain} is gone") for _ in range(times)]

    def refuse(self, error: StanzaError) -> None:
        """Refuse the next stanza that it is handed."""
        self._failures.append(error)

    def stall(self) -> None:
        """Take nothing until `go_on`."""
        self._may_go_on.clear()

    def go_on(self) -> None:
        """Take what waits."""
        self._may_go_on.set()

    async def until_asked(self, times: int = 1) -> None:
        """Wait until it was handed so many stanzas in all."""
        async with asyncio.timeout(5):
            while self.asked < times:
                await asyncio.sleep(0)

    async def send(self, text: str) -> None:
        """Send a stanza whose `from` is an address of the domain, and wait for what it causes."""
        raw = text.replace(" ", f" xmlns='{ns.CLIENT}' ", 1).encode()
        stanza = Stanza.received(FrameParser(XmlLimits()).parse(raw))
        assert stanza.sender is not None
        assert stanza.sender.domain == self.domain
        wait = self._world.router.route(stanza)
        if wait is not None:
            await wait
        await self._world.settle()


class _HandOver:
    """Hands a stanza over when somebody waits for it, and never otherwise.

    A coroutine would do that, too, but Python warns of one that nobody waits for after the test is over; here
    the test sees that nothing has come.
    """

    def __init__(self, take: Callable[[Stanza], Coroutine[Any, Any, None]], stanza: Stanza) -> None:
        self._take = take
        self._stanza = stanza

    def __await__(self) -> Generator[Any, Any, None]:
        return self._take(self._stanza).__await__()
