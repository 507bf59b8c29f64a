"""A listener hands in the negotiator of its streams: a component's beside those of clients (XEP-0114)."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.harness.archives import archived
from tests.harness.world import World
from tests.streams.stand import Raw, until
from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.listener_policy import ListenerPolicy
from tidings.gateways.tcp import TcpGateway
from tidings.gateways.tls import TlsSetup
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.streams.listener import Item, ListenerContext
from tidings.streams.login_line import LoginLine
from tidings.streams.login_throttle import LoginThrottle
from tidings.streams.stream_output import StreamOutput
from tidings.wire.xml.element import Element
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xmpp.content_namespaces import as_client
from tidings.wire.xmpp.negotiation.policy import StreamPolicy
from tidings.wire.xmpp.negotiation.values import StreamHeader, TlsInfo
from tidings.wire.xmpp.stanza import Stanza

ACCEPT = "jabber:component:accept"
SECRET = "open sesame"
HEADER = (
    f"<stream:stream xmlns='{ACCEPT}' xmlns:stream='http://etherx.jabber.org/streams' to='bot.localhost'>"
)


class ComponentStream:
    """Takes what a component sends, once that has shown the secret, and sends it what is for it."""

    def __init__(self, world: World, output: StreamOutput, domain: str) -> None:
        self._world = world
        self._output = output
        self._domain = domain

    @property
    def idle(self) -> bool:
        return True

    def when_idle(self, callback: Callable[[], object]) -> None:
        callback()

    def receive(self, fragments: list[Fragment]) -> None:
        for fragment in fragments:
            stanza = Stanza.received(as_client(fragment, ACCEPT))
            if stanza.sender is None or stanza.sender.domain != self._domain:
                raise StreamError("invalid-from", f"this stream may send as {self._domain} only")
            wait = self._world.router.route(stanza)
            if wait is not None:
                self._world.server.supervisor.start("component", until_done(wait))

    def route(self, stanza: Stanza) -> MaybeAwaitable:
        self._output.send_nonza(stanza.to_bytes_for(ACCEPT))
        return None


class ComponentNegotiator:
    """XEP-0114 §3: a header each way, then a digest of the stream's id and the secret."""

    def __init__(self, world: World, output: StreamOutput) -> None:
        self._world = world
        self._output = output
        self._domain = ""

    def receive(self, items: list[Item]) -> None:
        for position, item in enumerate(items):
            if isinstance(item, StreamHeader):
                self._domain = item.to
                self._output.send_opening(StreamHeader(sender=item.to, id="s1"))
            elif isinstance(item, Fragment):
                self._shake_hands(item, items[position + 1 :])
                return

    def _shake_hands(self, item: Fragment, rest: list[Item]) -> None:
        wanted = hashlib.sha1(b"s1" + SECRET.encode()).hexdigest()
        if item.name != "handshake" or item.to_element().text != wanted:
            self._output.close(StreamError("not-authorized"))
            return
        self._output.send_element(Element("handshake", ACCEPT))
        stream = ComponentStream(self._world, self._output, self._domain)
        self._world.router.services[self._domain] = stream
        self._output.established(stream, None, [], rest)

    def tls_established(self, info: TlsInfo) -> None:
        pass

    def fail(self, error: StreamError) -> None:
        pass

    def end(self, reason: StreamError | None) -> None:
        pass


class Components:
    """A listener for components beside a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients: list[Raw] = []

    async def listen(self) -> None:
        world = self.world
        context = ListenerContext(
            server=world.server,
            policy=StreamPolicy(host=lambda _: None, secret=b"", default_domain="localhost"),
            credentials={},
            throttle=LoginThrottle(world.clock),
            line=LoginLine(world.clock, 0),
            negotiator=lambda _, output: ComponentNegotiator(world, output),
        )
        gateway = TcpGateway(
            policy=ListenerPolicy(local=context, remote=context, before=XmlLimits(), after=XmlLimits()),
            limiter=ConnectionLimiter(),
            tls=TlsSetup(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), {}),
            direct_tls=False,
            content_namespace=ACCEPT,
        )
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self.listener = await gateway.listen(listening)

    async def connect(self, secret: str = SECRET) -> tuple[Raw, str]:
        client = Raw(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        opening = await client.say(HEADER, until=">")
        assert "<?xml" in opening or "<stream:stream" in opening
        if ACCEPT not in opening:
            opening += await client.hear(">")
        assert f'xmlns="{ACCEPT}"' in opening
        digest = hashlib.sha1(b"s1" + secret.encode()).hexdigest()
        return client, await client.say(f"<handshake>{digest}</handshake>", until="/")

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        self.listener.close()
        await until(lambda: not self.world.server.connections)


@pytest.fixture
async def components(world: World):
    listening = Components(world)
    await listening.listen()
    yield listening
    await listening.close()


async def test_a_component_and_a_client_talk_and_the_archive_has_both_sides(
    world: World, components: Components
) -> None:
    alice = await world.online("alice@localhost/phone")
    bot, answer = await components.connect()
    assert answer.endswith("<handshake/")
    bot.push(
        f"<message from='help@bot.localhost' to='{alice.jid.bare}' type='chat'><body>hello</body></message>"
    )
    await until(lambda: any(stanza.name == "message" for stanza in alice.received))
    [message] = alice.take("message")
    assert (message.get("from"), message.text_of("body")) == ("help@bot.localhost", "hello")
    alice.push("<message to='help@bot.localhost' type='chat' id='1'><body>thanks</body></message>")
    heard = await bot.hear("</message>")
    assert "<body>thanks</body>" in heard
    assert "jabber:client" not in heard
    kept = await archived(world, "alice@localhost")
    assert [(str(each.sender), str(each.to)) for each in kept] == [
        ("help@bot.localhost", "alice@localhost"),
        ("alice@localhost/phone", "help@bot.localhost"),
    ]


async def test_a_component_with_another_secret_is_refused(components: Components) -> None:
    client, _ = await components.connect("guessed")
    assert "not-authorized" in await client.rest()


async def test_a_client_that_comes_to_the_wrong_listener_is_told_so(components: Components) -> None:
    client = Raw(*await asyncio.open_connection("127.0.0.1", components.port))
    components.clients.append(client)
    client.push(HEADER.replace(ACCEPT, "jabber:client"))
    assert "invalid-namespace" in await client.rest()


async def test_what_a_component_sends_in_anothers_name_ends_its_stream_alone(
    world: World, components: Components
) -> None:
    alice = await world.online("alice@localhost/phone")
    bot, _ = await components.connect()
    bot.push(f"<message from='bob@localhost' to='{alice.jid}'><body>hello</body></message>")
    assert "invalid-from" in await bot.rest()
    assert alice.take("message") == []
    assert Jid("bot.localhost").domain in world.router.services
