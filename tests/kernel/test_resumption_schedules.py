"""Resumption under random schedules: whatever is lost, each side gets each stanza once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.world import World, WorldClient
from tests.messages.slow_ledger import SlowLedger
from tests.messages.slow_world import turns
from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.features.stream_management import StreamManagement
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Client, Session
from tidings.streams.acks import request_ack
from tidings.streams.client_input import ClientStreamInput
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.acks import HandledTooHigh, SentWindow
from tidings.wire.xmpp.payloads.stream_management import (
    ACK_REQUEST,
    Ack,
    Enable,
    Enabled,
    Failed,
    Resume,
    Resumed,
    ack_bytes,
)

ENABLE = Enable(can_resume=True).encode().to_bytes()
PHONE, DESK = "alice@localhost/phone", "bob@localhost/desk"


def chat(number: int, to: str) -> str:
    return f"<message xmlns='{ns.CLIENT}' to='{to}' type='chat' id='{number}'><body>{number}</body></message>"


class Wire:
    """One connection between the phone and the server; what is on its way is lost with it."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.up: list[bytes] = []
        self.down: list[Element] = []
        self.is_cut = False
        """Whether the phone has no use for it any more; the server may not have noticed."""
        self.is_ready = False
        """Whether the phone knows that its session goes on here."""

    def send(self, out: Outgoing) -> None:
        self.send_nonza(out.to_bytes())

    def send_nonza(self, raw: bytes) -> None:
        self.down.append(decode(raw, ns.CLIENT))

    def request_ack(self) -> None:
        request_ack(self.phone.session.flow, self.send_nonza)

    def backlog(self) -> int:
        return 0

    @property
    def rests_since(self) -> float | None:
        return None

    def has_room(self) -> bool:
        return True

    def close(self, error: StreamError | None) -> None:
        assert error is not None
        assert error.condition == "conflict"
        self.is_cut = True

    def abort(self) -> None:
        raise AssertionError("nobody asked for it")

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass


class Phone:
    """A client that counts, and comes back."""

    def __init__(self, world: World, session: Session) -> None:
        self.world = world
        self.session = session
        self._input = ClientStreamInput(session, world.server.supervisor)
        self.wire = Wire(self)
        self.window: SentWindow[bytes] = SentWindow()
        self.said = 0
        self.handled = 0
        self.got: list[str] = []
        self.name = ""
        self.was_late = False
        self.comings: list[asyncio.Task[None]] = []
        self._parser = FrameParser(XmlLimits())

    # --- what the phone does

    def say(self, count: int) -> None:
        for _ in range(count):
            raw = chat(self.said, DESK).encode()
            self.said += 1
            self.window.push(raw, len(raw))
            if self.wire.is_ready:
                self.wire.up.append(raw)

    def ask(self) -> None:
        if self.wire.is_ready:
            self.wire.up.append(ACK_REQUEST)

    def hear(self, count: int) -> None:
        heard, self.wire.down = self.wire.down[:count], self.wire.down[count:]
        if self.wire.is_cut:
            return
        for element in heard:
            match element.name:
                case "message":
                    self.handled += 1
                    self.got.append(element.get("id") or "")
                case "r":
                    self.wire.up.append(ack_bytes(self.handled))
                case "a":
                    assert not isinstance(
                        self.window.acknowledge(Ack.decode(element).handled), HandledTooHigh
                    )
                case "resumed":
                    assert not isinstance(self.window.resume(Resumed.decode(element).handled), HandledTooHigh)
                    self._begin()
                case "enabled":
                    self.name, self.handled = Enabled.decode(element).id or "", 0
                    self._begin()

    def _begin(self) -> None:
        self.wire.is_ready = True
        self.wire.up += self.window.unacknowledged

    def come_back(self) -> None:
        self.wire.is_cut = True
        wire = self.wire = Wire(self)
        self.comings.append(asyncio.ensure_future(self._come_back(wire)))

    async def _come_back(self, wire: Wire) -> None:
        """What the negotiator does; the server may attach a connection that the phone has given up since."""
        server = self.world.server
        host = self.session.host
        feature = host.feature(StreamManagement)
        assert feature is not None
        way = Client(transport="tcp", address="", secure=True, since=0)
        if self.name:
            request = Resume(self.name, self.handled).encode()
            answer, session = await feature.negotiate_resumption(self.session.account.jid, request)
            if session is not None:
                wire.down.append(answer)
                server.resume(session, way, wire)
                self._input = ClientStreamInput(session, server.supervisor)
                return
            if wire.is_cut:
                return
            self._was_late(Failed.decode(answer))
        session, _ = await server.open_session(host, self.session.jid, way, wire)
        self.session, self._input = session, ClientStreamInput(session, server.supervisor)
        self._input.receive([self._parser.parse(ENABLE)])

    def _was_late(self, failed: Failed) -> None:
        """Begin to count anew; what the old session has not handled is to be sent again."""
        assert failed.handled is not None
        assert not isinstance(self.window.acknowledge(failed.handled), HandledTooHigh)
        unhandled, self.window = self.window.unacknowledged, SentWindow()
        for raw in unhandled:
            self.window.push(raw, len(raw))
        self.name = ""
        self.was_late = True

    # --- what happens to it

    def transmit(self, count: int) -> None:
        """Let so much arrive at the server in one read, unless that reads from another connection by now."""
        wire = self.wire
        if self.session.link is wire:
            arrived, wire.up = wire.up[:count], wire.up[count:]
            self._input.receive([self._parser.parse(raw) for raw in arrived])

    def drop(self) -> None:
        """The connection is gone, and the server notices."""
        self.wire.is_cut = True
        if self.session.link is self.wire:
            self.world.server.abandon(self.session, StreamError("connection-timeout"), is_lost=True)


async def perform(schedule: list[tuple[str, int]]) -> None:
    ledger = SlowLedger()
    world = await World.start(ledger=ledger, features=[StreamManagement])
    alice, bob = await world.login(PHONE), await world.login(DESK)
    phone = Phone(world, alice.session)
    alice.session.link = phone.wire
    phone.wire.up.append(ENABLE)
    phone.transmit(1)
    phone.hear(1)
    sent: list[str] = []

    def bob_says(count: int) -> None:
        numbers = range(len(sent), len(sent) + count)
        bob.push(*(chat(number, PHONE) for number in numbers))
        sent.extend(map(str, numbers))

    def commit(count: int) -> None:
        for _ in range(min(count, len(ledger.waiting))):
            ledger.accept()

    def expire(_count: int) -> None:
        phone.drop()
        world.clock.advance(301)

    steps: dict[str, Callable[[int], object]] = {
        "phone says": phone.say,
        "phone asks": lambda _: phone.ask(),
        "bob says": bob_says,
        "up": phone.transmit,
        "down": phone.hear,
        "server asks": lambda _: phone.wire.request_ack(),
        "commit": commit,
        "drop": lambda _: phone.drop(),
        "expire": expire,
        "come back": lambda _: phone.come_back(),
    }
    for step, count in schedule:
        steps[step](count)
        await turns(12)
    await finish(phone, ledger)
    assert ids(bob) == [str(number) for number in range(phone.said)]
    if phone.was_late:  # what it has missed with its session it finds in the archive
        assert phone.got == sorted(set(phone.got), key=int)
    else:
        assert phone.got == sent
        assert phone.session.flow.h == phone.window.acknowledged == phone.said
        assert phone.session.flow.sent == phone.handled == len(sent)
    assert len(phone.window) == len(phone.session.flow.window or ()) == 0
    await world.stop()


async def finish(phone: Phone, ledger: SlowLedger) -> None:
    """Let everything come to its end: connect where that is needed, and transmit all there is."""
    for _ in range(2_000):
        await turns(12)
        if ledger.waiting:
            ledger.accept()
        elif any(not coming.done() for coming in phone.comings):
            pass
        elif phone.session.link is not phone.wire or phone.wire.is_cut:
            phone.come_back()
        elif phone.wire.up or phone.wire.down:
            phone.hear(1_000)
            phone.transmit(1_000)
        elif phone.session.inbound.idle and len(phone.window):
            phone.ask()
        elif phone.session.flow.window is not None and len(phone.session.flow.window):
            phone.wire.up.append(ack_bytes(phone.handled))
        elif phone.session.inbound.idle:
            await asyncio.gather(*phone.comings)
            return
    raise AssertionError("it comes to no end")


def ids(client: WorldClient) -> list[str | None]:
    return [element.get("id") for element in client.take("message")]


STEPS = (
    "phone says",
    "phone asks",
    "bob says",
    "up",
    "down",
    "server asks",
    "commit",
    "drop",
    "expire",
    "come back",
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 4)), max_size=60))
def test_each_stanza_arrives_once_and_in_order(schedule: list[tuple[str, int]]) -> None:
    asyncio.run(perform(schedule))
