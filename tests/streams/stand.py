"""A server in memory behind a real TCP door on a free port of loopback; its clock stands still."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.harness.server_process import make_certificate
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.gateways.tcp import TcpGateway
from tidings.gateways.tls import TlsSetup, tls_server_end_point
from tidings.kernel.feature import StreamStage
from tidings.streams.listener import ConnectionOptions, ListenerContext
from tidings.streams.login import StoredCredentials
from tidings.streams.login_line import LoginLine
from tidings.streams.login_throttle import LoginThrottle
from tidings.streams.negotiator import Negotiator
from tidings.wire.xml.fragment import Fragment, StreamHead, StreamTail
from tidings.wire.xml.parser import StreamParser
from tidings.wire.xmpp.framing import TcpFraming
from tidings.wire.xmpp.negotiation import values
from tidings.wire.xmpp.negotiation.client import ClientNegotiation
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.sasl.keys import make_scram_keys

SECRET = b"s" * 32
PATIENCE = 10.0
HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    " to='localhost' version='1.0'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>"
BIND = (
    "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    "<resource>{}</resource></bind></iq>"
)
KEYS = make_scram_keys("secret", iterations=4096)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


class Stand:
    """The server, its door and what tests look at."""

    def __init__(self, world: World, gateway: TcpGateway, port: int, certificate: Path | None) -> None:
        self.world = world
        self.server = world.server
        self.clock = world.clock
        self.gateway = gateway
        self.port = port
        self.certificate = certificate
        self.clients: list[Raw] = []

    async def register(self, jid: str) -> Jid:
        address = Jid(jid)
        await self.world.stores.accounts.create(address, KEYS, 0)
        return address

    async def connect(self, tls: ssl.SSLContext | None = None, **details: Any) -> Raw:
        name = "localhost" if tls is not None else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=tls, server_hostname=name, **details
        )
        client = Raw(reader, writer)
        self.clients.append(client)
        return client

    async def log_in(self, jid: str) -> Raw:
        """Give a client with a session, over plain text with PLAIN."""
        address = Jid(jid)
        if not await self.world.stores.accounts.exists(address.bare):
            await self.register(address.bare)
        client = await self.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(AUTH.format(plain(address.local)), until="<success")
        await client.say(HEADER, until="</stream:features>")
        answer = await client.say(BIND.format(address.resource), until="</iq>")
        assert 'type="result"' in answer, answer
        return client

    def trusting(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificate)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


class Raw:
    """A client that says and hears text."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heard = ""

    def push(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def say(self, text: str, *, until: str) -> str:
        self.push(text)
        return await self.hear(until)

    async def hear(self, what: str) -> str:
        """Give what came up to and with this text."""
        async with asyncio.timeout(PATIENCE):
            while what not in self.heard:
                data = await self.reader.read(65_536)
                assert data, f"the stream ended before {what!r}: {self.heard!r}"
                self.heard += data.decode()
        before, found, self.heard = self.heard.partition(what)
        return before + found

    async def rest(self) -> str:
        """Give what comes until the server closes; a reset is an error."""
        async with asyncio.timeout(PATIENCE):
            text = self.heard + (await self.reader.read()).decode()
        self.heard = ""
        return text

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await self.writer.start_tls(context, server_hostname="localhost")

    async def close(self) -> None:
        transport = self.writer.transport
        transport.abort()
        await until(transport.is_closing)


def plain(name: str, password: str = "secret") -> str:
    import base64

    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


@asynccontextmanager
async def standing(
    *,
    directory: Path | None = None,
    direct_tls: bool = False,
    tls_required: bool = False,
    starttls: bool = True,
    limiter: ConnectionLimiter | None = None,
    limits: ConnectionOptions | None = None,
    attempts: int = 3,
    credentials: type[StoredCredentials] = StoredCredentials,
    **world_options: Any,
) -> AsyncIterator[Stand]:
    """Start; with a directory there is a certificate in it, and TLS."""
    world = await World.start(**world_options)
    stores, clock = world.stores, world.clock
    checked = credentials(stores.accounts, clock, SECRET)
    policies = {
        domain: HostPolicy(
            domain=domain,
            plain_without_tls=not tls_required,
            tls_required=tls_required,
            tls_available=directory is not None,
            iterations=4096,
            features_after=tuple(host.stream_features(StreamStage.AFTER_LOGIN)),
            bind2_inline=tuple(name for feature in host.features for name in feature.inline),
            sasl2_inline=tuple(host.stream_features(StreamStage.INLINE)),
            extensions=tuple(element.namespace for element in host.stream_features(StreamStage.INLINE)),
        )
        for domain, host in world.server.hosts.items()
    }
    listener_context = ListenerContext(
        server=world.server,
        policy=StreamPolicy(
            host=policies.get,
            secret=SECRET,
            starttls=starttls and not direct_tls,
            default_domain="localhost",
            max_login_attempts=attempts,
        ),
        credentials=lambda _: checked,
        throttle=LoginThrottle(clock),
        line=LoginLine(clock, 0),
        negotiator=Negotiator,
        options=limits or ConnectionOptions(),
    )
    certificate = None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    known: dict[ssl.SSLContext, bytes] = {}
    if directory is not None:
        certificate = make_certificate(directory, "localhost")
        context.load_cert_chain(certificate, directory / "localhost.key")
        known[context] = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    context.set_alpn_protocols(["xmpp-client"])
    gateway = TcpGateway(
        policy=ListenerPolicy(
            local=listener_context,
            remote=listener_context,
            before=XmlLimits(stanza_bytes=16_384),
            after=XmlLimits(),
        ),
        limiter=limiter or ConnectionLimiter(),
        tls=TlsSetup(context, known),
        direct_tls=direct_tls,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    listener = await gateway.listen(listening)
    stand = Stand(world, gateway, listening.getsockname()[1], certificate)
    try:
        yield stand
    finally:
        for client in stand.clients:
            await client.close()
        listener.close()
        await until(lambda: not stand.gateway.limiter._count)
        await world.stop()
        assert not world.server.connections
        assert not world.server.session_count


class Machine:
    """Our own client machine over a socket: negotiates, and tells what it was told."""

    def __init__(self, raw: Raw, settings: ClientSettings, *, certificate: Path, tls: ssl.SSLContext) -> None:
        self.raw = raw
        self.negotiation = ClientNegotiation(settings)
        self.log: list[values.Action] = []
        self._tls = tls
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        self.info = values.TlsInfo(version="TLSv1.3", end_point=tls_server_end_point(der))
        self._parser = StreamParser(XmlLimits())
        self._framing = TcpFraming()

    async def negotiate(self, *, is_encrypted: bool) -> None:
        """Go on until there is a session, or the stream has ended."""
        if is_encrypted:
            self.negotiation.tls_established(self.info)
        self.negotiation.start()
        await self._act()
        async with asyncio.timeout(PATIENCE):
            while not any(isinstance(action, values.Established | values.CloseStream) for action in self.log):
                data = await self.raw.reader.read(65_536)
                assert data, f"the stream ended: {self.log}"
                for event in self._parser.feed(data):
                    if isinstance(event, StreamHead):
                        self.negotiation.stream_opened(values.StreamHeader(id=event.attributes.get("id", "")))
                    elif isinstance(event, StreamTail):
                        self.negotiation.stream_closed()
                    elif isinstance(event, Fragment):
                        self.negotiation.received(event.to_element())
                    await self._act()

    async def _act(self) -> None:
        for action in self.negotiation.take():
            self.log.append(action)
            match action:
                case values.OpenStream(header):
                    self.raw.push(self._framing.opening(header))
                case values.Send(element):
                    self.raw.push(self._framing.element(element))
                case values.StartTls():
                    await self.raw.start_tls(self._tls)
                    self._parser = StreamParser(XmlLimits())
                    self.negotiation.tls_established(self.info)
                    await self._act()
                case values.RestartStream():
                    self._parser = StreamParser(XmlLimits())

    def told(self, kind: type[Any]) -> list[Any]:
        return [action for action in self.log if isinstance(action, kind)]


def conditions(text: str) -> list[str]:
    """Give the names of the stream errors in a text."""
    return re.findall(r"<stream:error><([a-z-]+)", text)
