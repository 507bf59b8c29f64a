"""World: a server in memory with n clients and a clock that stands still; no socket, no negotiation.

    world = await World.start()
    alice = await world.login("alice@localhost/phone")
    await alice.send("<presence/>")
    [presence] = alice.take("presence")
    await world.stop()

Tests use the fixture `world`, which is stopped at the end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from tests.harness.clock import VirtualClock
from tidings.adapters.memory import MemoryStores
from tidings.adapters.sql.ledger import open_memory_ledger
from tidings.app.compose import FEATURES, HostSettings, build_server
from tidings.app.hosts import ServiceKind
from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.kernel.feature import Feature
from tidings.kernel.log_levels import LogLevels
from tidings.kernel.outbound import DEFAULT_OCTETS
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.server import Server
from tidings.kernel.session import Client, Session
from tidings.messages.message_spans import MessageSpans
from tidings.operations.context import Context
from tidings.ports.blobs import BlobStore
from tidings.ports.bus import Bus
from tidings.ports.ledger import Ledger
from tidings.ports.sessions import SessionRegistry
from tidings.ports.stores import Stores
from tidings.streams.acks import request_ack
from tidings.streams.client_input import ClientStreamInput
from tidings.streams.listener import Resumer
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.stream_management import Enable, Resume


class WorldClient:
    """A client whose stream is negotiated: what it sends is XML text, what it got is Elements."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.received: list[Element] = []
        self.error: StreamError | None = None
        self.closed = False
        self.paused = False
        self.unread = 0
        """How many octets wait for it; a test sets it for a client that reads nothing for a while."""
        self.session: Session = None  # type: ignore[assignment]  # set by World.login
        self._input: ClientStreamInput = None  # type: ignore[assignment]
        self.answers: list[Element] = []  # to what it asked for inline
        self.stream_id = ""
        self.counted = 0  # stanzas that it has got
        self._parser = FrameParser(XmlLimits())

    @property
    def jid(self) -> Jid:
        return self.session.jid

    # --- the kernel's Link

    def send_out(self, out: Outgoing) -> None:
        self.received.append(decode(out.to_bytes(), ns.CLIENT))
        self.counted += 1
        if self.session is not None and self.session.flow.window is not None:
            asyncio.get_running_loop().call_soon(self._ask)

    def request_ack(self) -> None:
        request_ack(self.session.flow, self.say_raw)

    def _ask(self) -> None:
        if self.session.link is not None:
            self.session.link.request_ack()

    def say_raw(self, raw: bytes) -> None:
        self.received.append(decode(raw, ""))

    def backlog(self) -> int:
        return self.unread

    def has_room(self) -> bool:
        return not self.unread

    def abort(self) -> None:
        self.closed = True

    def close(self, error: StreamError | None) -> None:
        self.error = error
        self.closed = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    # --- what a test does

    def push(self, *stanzas: str) -> None:
        """Send stanzas in one read and do not wait for what they cause."""
        fragments = []
        for text in stanzas:
            raw = text.strip().encode()
            # As on a TCP stream, whose header declares the default namespace.
            if b"xmlns=" not in raw.partition(b">")[0]:
                raw = re.sub(rb"^<[^\s/>]+", lambda name: name[0] + b" xmlns='jabber:client'", raw)
            fragments.append(self._parser.parse(raw))
        try:
            self._input.receive(fragments)
        except StreamError as error:
            self.close(error)

    async def send(self, *stanzas: str) -> None:
        """Send stanzas in one read, and wait until the server has nothing more to do."""
        self.push(*stanzas)
        await self.world.settle()

    async def request(self, text: str) -> Element:
        """Send an iq and give its answer, which is taken out of what was received."""
        await self.send(text)
        wanted = decode(text.encode(), ns.CLIENT).get("id")
        for element in self.received:
            if (
                element.name == "iq"
                and element.get("id") == wanted
                and element.get("type") in {"result", "error"}
            ):
                self.received.remove(element)
                return element
        raise AssertionError(f"no answer to {text}; got {self.received}")

    def take(self, name: str | None = None) -> list[Element]:
        """Give what was received since the last take, of one name if it is given, and forget it."""
        taken = [element for element in self.received if name in {None, element.name}]
        self.received = [element for element in self.received if element not in taken]
        return taken

    async def manage(self, *, can_resume: bool = True, maximum: int | None = None) -> Element:
        """Enable stream management; from here on `counted` is what it has got. Gives <enabled/>."""
        self.counted = 0
        await self.send(Enable(can_resume, maximum).encode().to_bytes().decode())
        [enabled] = self.take("enabled")
        self.stream_id = enabled.get("id") or ""
        return enabled

    async def leave(self) -> None:
        """End the stream in order."""
        await self.world.end(self.session, None)

    async def lose(self) -> None:
        """Lose the connection; its session goes on without one if it can be resumed."""
        self.closed = True
        self.world.server.abandon(self.session, StreamError("connection-timeout"), is_lost=True)
        await self.world.settle()


async def memory_stores(clock: VirtualClock) -> MemoryStores:
    """Make stores in memory with a ledger; a test may put another store before one of them."""
    archive = await open_memory_ledger(now=lambda: round(clock.now() * 1_000_000))
    return MemoryStores(archive, archive.close)


class _ClientLink:
    """Joins a WorldClient to the kernel: `send` means another thing on either side."""

    def __init__(self, client: WorldClient) -> None:
        self._client = client
        self.send = client.send_out
        self.request_ack = client.request_ack
        self.send_nonza = client.say_raw
        self.backlog = client.backlog
        self.has_room = client.has_room
        self.abort = client.abort
        self.close = client.close
        self.pause = client.pause
        self.resume = client.resume
        self.rests_since = None


class World:
    """The server and its clients."""

    def __init__(
        self, stores: Any, clock: VirtualClock, build: Callable[[Any], tuple[Server, Context]]
    ) -> None:
        self._build = build
        self.stores = stores
        self._begin()
        self.clock = clock
        self.anonymous: frozenset[str] = frozenset()
        self._numbers = iter(range(1, 1_000_000))

    def _begin(self) -> None:
        self.server, self.context = self._build(self.stores)
        assert self.context.live is not None
        self.router = self.context.live.router

    @classmethod
    async def start(
        cls,
        domains: Iterable[str] = ("localhost", "other.test"),
        *,
        features: Iterable[type[Feature]] | None = None,
        options: Mapping[str, msgspec.Struct] | None = None,
        disabled: Mapping[str, Iterable[str]] | None = None,
        admins: Iterable[str] = (),
        anonymous: Iterable[str] = (),
        ledger: Ledger | None = None,
        stores: Stores | None = None,
        clock: VirtualClock | None = None,
        archives: bool = True,
        services: Iterable[ServiceKind] = (),
        sessions_per_account: int = 50,
        accounts_in_memory: int = 10_000,
        outbound_octets: int = DEFAULT_OCTETS,
        registry: SessionRegistry | None = None,
        bus: Bus | None = None,
        explained_messages: int = 1000,
        logs_debug: bool = False,
        spans: MessageSpans | None = None,
        name_rest_days: int = 0,
        blobs: BlobStore | None = None,
    ) -> World:
        """Start a server; `options` are features' option structs by feature name, for every domain.

        `disabled` are features that are left out, by domain.

        Without `stores` they are in memory, and without `ledger` so is that. With `registry` and `bus` it is
        one node of several.
        """
        clock = clock or VirtualClock()
        if stores is not None:
            pass
        elif not archives:
            stores = MemoryStores()
        elif ledger is None:
            stores = await memory_stores(clock)
        else:
            stores = MemoryStores(ledger)
        plans = [
            HostSettings(
                domain=domain,
                admins=tuple(Jid(admin) for admin in admins if Jid(admin).domain == domain),
                anonymous=domain in set(anonymous),
                archives=archives,
                options=dict(options or {}),
                disabled=frozenset((disabled or {}).get(domain, ())),
            )
            for domain in domains
        ]

        def build(stores: Stores) -> tuple[Server, Context]:
            return build_server(
                plans,
                stores,
                clock,
                features=tuple(FEATURES if features is None else features),
                services=tuple(services),
                sessions_per_account=sessions_per_account,
                accounts_in_memory=accounts_in_memory,
                outbound_octets=outbound_octets,
                registry=registry,
                bus=bus,
                explained_messages=explained_messages,
                logs=LogLevels(clock, "debug" if logs_debug else "info"),
                spans=spans,
                name_rest_days=lambda: name_rest_days,
                listening_url=lambda domain: f"https://{domain}",
                blobs=blobs,
            )

        world = cls(stores, clock, build)
        await world.server.start()
        world.anonymous = frozenset(anonymous)
        return world

    async def register(self, jid: str) -> Jid:
        """Make an account without a password, unless it is there."""
        address = Jid(jid).bare
        if not await self.stores.accounts.exists(address):
            await self.stores.accounts.create(address, (), self.clock.now())
            self.server.hosts[address.domain].directory.forget(address)
        return address

    async def login(
        self,
        jid: str,
        *,
        secure: bool = True,
        device: str | None = None,
        inline: tuple[Element, ...] = (),
        is_bind2: bool = False,
    ) -> WorldClient:
        """Bind a resource of an account, which is made when it is missing; without a resource one is chosen.

        `inline` is what Bind 2 asks for together with the session; without `is_bind2` nothing else of it is
        done.
        """
        address = Jid(jid)
        if not address.resource:
            address = address.with_resource(f"r{next(self._numbers)}")
        await self.register(jid)
        client = WorldClient(self)
        way = Client(
            transport="tcp",
            address="127.0.0.1",
            secure=secure,
            since=self.clock.now(),
            device=device,
            anonymous=address.domain in self.anonymous,
            chose_resource=bool(Jid(jid).resource),
        )
        host = self.server.hosts[address.domain]
        client.session, client.answers = await self.server.open_session(
            host, address, way, _ClientLink(client), inline, is_bind2=is_bind2
        )
        client._input = ClientStreamInput(client.session, self.server.supervisor)
        return client

    async def resume(
        self, before: WorldClient, *, handled: int | None = None, transport: str = "tcp"
    ) -> WorldClient | Element:
        """Come back to the session of a client that has got `handled` stanzas; give the client or <failed/>.

        What the server says to it comes first: <resumed/> is the first that the client has received.
        """
        address = before.jid
        host = self.server.hosts[address.domain]
        client = WorldClient(self)
        client.counted = before.counted if handled is None else handled
        client.stream_id = before.stream_id
        request = Resume(client.stream_id, client.counted).encode()
        resumer = host.feature(Resumer)  # type: ignore[type-abstract]
        assert resumer is not None
        answer, session = await resumer.negotiate_resumption(address.bare, request)
        if session is None:
            return answer
        client.session, client._input = session, ClientStreamInput(session, self.server.supervisor)
        client.received.append(answer)
        way = Client(transport=transport, address="127.0.0.1", secure=True, since=self.clock.now())
        self.server.resume(session, way, _ClientLink(client))
        await self.settle()
        return client

    async def online(self, jid: str, presence: str = "<presence/>") -> WorldClient:
        """Log in and send initial presence; what that brought is taken."""
        client = await self.login(jid)
        await client.send(presence)
        client.take()
        return client

    async def settle(self) -> None:
        """Wait until no task of the server has anything left to do."""
        for _ in range(3):
            await asyncio.sleep(0)
        while self.server.supervisor.busy:
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and wait for what that causes."""
        self.clock.advance(seconds)
        await self.settle()

    async def end(self, session: Session, reason: StreamError | None) -> None:
        wait = self.server.end_session(session, reason)
        if wait is not None:
            await wait
        await self.settle()

    async def restart(self, stores: Stores | None = None) -> None:
        """Kill the server, and start another one over the same stores, or over `stores`.

        Nobody is told anything: connections, sessions and all that was only in memory are gone.
        """
        await self.server.supervisor.finish(0)
        self.clock.forget()
        self.stores = self.stores if stores is None else stores
        self._begin()
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop(0)
        await self.stores.close()
