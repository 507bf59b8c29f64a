"""Sessions are not XMPP: a session over a link that speaks JSON, with acks and resumption of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from tests.harness.archives import archived
from tests.harness.mailing_lists import LISTS, join
from tests.harness.world import World
from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Client
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.acks import HandledTooHigh, SentWindow
from tidings.wire.xmpp.stanza import Stanza

ALL = "all@lists.localhost"


class Encoder:
    """Writes a stanza as JSON, and counts how often it has to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, stanza: Stanza) -> bytes:
        self.calls += 1
        body = stanza.decode(ns.CLIENT, "body")
        text = None if body is None else body.text
        return json.dumps({"type": stanza.name, "from": str(stanza.sender), "text": text}).encode()


class JsonLink:
    """A connection that writes JSON."""

    def __init__(self, encode: Callable[[Stanza], bytes]) -> None:
        self._encode = encode
        self.sent: list[dict[str, str]] = []
        self.is_open = True

    def send(self, out: Outgoing) -> None:
        self.sent.append(json.loads(out.encoded(self._encode)))

    def send_nonza(self, raw: bytes) -> None:
        raise AssertionError(f"nothing but stanzas: {raw!r}")

    def request_ack(self) -> None:
        self.sent.append({"type": "ack?"})

    def backlog(self) -> int:
        return 0

    @property
    def rests_since(self) -> float | None:
        return None

    def has_room(self) -> bool:
        return True

    def close(self, error: StreamError | None) -> None:
        self.is_open = False

    def abort(self) -> None:
        raise AssertionError("nobody asked for it")

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


class JsonClient:
    """A client behind such a link: says what it has by its own acks, and comes back after a loss."""

    def __init__(self, world: World, encode: Callable[[Stanza], bytes]) -> None:
        self._world = world
        self._encode = encode
        self.link = JsonLink(encode)

    @classmethod
    async def login(cls, world: World, jid: str, encode: Callable[[Stanza], bytes]) -> JsonClient:
        client = cls(world, encode)
        address = Jid(jid)
        await world.register(address)
        host = world.server.hosts[address.domain]
        client.session, _ = await world.server.open_session(host, address, client._way(), client.link)
        client.session.flow.count(SentWindow())
        client.session.flow.resume_seconds = 60
        return client

    def _way(self) -> Client:
        return Client(transport="json", address="127.0.0.1", secure=True, since=0)

    async def say(self, to: str, text: str) -> None:
        stanza = Stanza.build(
            "message",
            kind="chat",
            to=Jid(to),
            sender=self.session.jid,
            content=(Element("body", ns.CLIENT, {}, text),),
        )
        self.session.inbound.submit([stanza])
        await self._world.settle()

    async def become_available(self) -> None:
        self.session.inbound.submit([Stanza.build("presence", sender=self.session.jid)])
        await self._world.settle()
        self.link.sent.clear()

    def ack(self, count: int) -> None:
        assert self.session.flow.window is not None
        assert not isinstance(self.session.flow.window.acknowledge(count), HandledTooHigh)

    async def lose(self) -> None:
        """The connection is gone, and the server has noticed."""
        self._world.server.abandon(self.session, StreamError("connection-timeout"), is_lost=True)
        await self._world.settle()

    async def come_back(self) -> None:
        self.link = JsonLink(self._encode)
        self._world.server.resume(self.session, self._way(), self.link)
        await self._world.settle()

    def texts(self) -> list[str]:
        return [sent["text"] for sent in self.link.sent if sent["type"] == "message"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(("localhost",), services=(LISTS,))
    yield world
    await world.stop()


async def test_a_json_client_and_an_xmpp_client_talk(world: World) -> None:
    alice = await JsonClient.login(world, "alice@localhost/app", Encoder())
    await alice.become_available()
    bob = await world.online("bob@localhost/phone")
    await alice.say("bob@localhost", "hello")
    [message] = bob.take("message")
    assert (message.get("from"), message.text_of("body")) == ("alice@localhost/app", "hello")
    await bob.send("<message to='alice@localhost' type='chat'><body>hi</body></message>")
    assert alice.link.sent == [{"type": "message", "from": "bob@localhost/phone", "text": "hi"}]
    assert [kept.text for kept in await archived(world, "alice@localhost")] == ["hello", "hi"]


async def test_what_is_not_acknowledged_comes_again_after_a_loss(world: World) -> None:
    alice = await JsonClient.login(world, "alice@localhost/app", Encoder())
    await alice.become_available()
    alice.ack(alice.session.flow.sent)
    bob = await world.online("bob@localhost/phone")
    before = alice.session.flow.sent
    for number in range(3):
        await bob.send(f"<message to='alice@localhost' type='chat'><body>{number}</body></message>")
    alice.ack(before + 1)
    await alice.lose()
    await bob.send("<message to='alice@localhost' type='chat'><body>3</body></message>")
    await alice.come_back()
    assert alice.texts() == ["1", "2", "3"]
    assert alice.session.flow.handled == 1  # its presence


async def test_all_who_speak_json_share_one_encoding(world: World) -> None:
    encode = Encoder()
    clients = []
    for number in range(20):
        member = f"user{number}@localhost"
        client = await JsonClient.login(world, f"{member}/app", encode)
        await client.become_available()
        await join(world, ALL, member)
        clients.append(client)
    phone = await world.online("alice@localhost/phone")
    await join(world, ALL, "alice@localhost")
    encode.calls = 0
    await phone.send(f"<message to='{ALL}' type='chat'><body>all of you</body></message>")
    async with asyncio.timeout(5):
        while not all(client.texts() for client in clients):
            await asyncio.sleep(0)
    assert [client.texts() for client in clients] == [["all of you"]] * 20
    assert phone.take("message")[0].text_of("body") == "all of you"
    assert encode.calls == 1
