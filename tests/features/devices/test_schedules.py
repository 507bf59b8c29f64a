"""Whatever happens to its connections, a device gets every message that is meant for it, in order, once."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.devices import DeviceOptions, Devices
from tidings.features.stream_management import StreamManagement
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ROMEO = Jid("romeo@localhost")
FEATURES = (Rosters, Subscriptions, Presences, StreamManagement, Devices)
NAMES = ("phone", "desk", "watch")


def position_of(message: Element) -> int:
    stanza_id = message.find("stanza-id", ns.STANZA_ID)
    assert stanza_id is not None
    return int((stanza_id.get("id") or "").partition("-")[2])


@dataclass
class Device:
    """A device, and what it remembers of what it was sent; what it has not looked at is lost in a crash."""

    world: World
    name: str
    counts: bool
    client: WorldClient | None = None
    is_available: bool = False
    session: list[int] = field(default_factory=list)
    """The positions that this session was sent; those that came early are not in order."""
    early: set[int] = field(default_factory=set)
    all: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    """What can never come again."""

    async def come(self) -> None:
        if self.client is None:
            user_agent = "d4565fa7" if self.name == "watch" else None
            self.client = await self.world.login(f"romeo@localhost/{self.name}", device=user_agent)
            self.session, self.early = [], set()
            if self.counts:
                await self.client.manage(can_resume=False)
        self.look()
        await self.client.send("<presence/>")
        self.is_available = True

    async def hide(self) -> None:
        if self.client is not None:
            self.look()
            self.is_available = False
            await self.client.send("<presence type='unavailable'/>")

    def look(self) -> None:
        """Take what has come, and check that nothing of it should not have."""
        if self.client is None:
            return
        for message in self.client.take("message"):
            position = position_of(message)
            assert position not in self.session, f"{self.name} got {position} twice in one session"
            assert position not in self.settled, f"{self.name} got {position} again"
            if not self.is_available:
                self.early.add(position)
            in_order = [each for each in self.session if each not in self.early]
            assert position in self.early or not in_order or position > in_order[-1], "out of order"
            self.session.append(position)
            self.all.add(position)

    async def answer(self) -> bool:
        """Answer what the server asks; tell whether it asked anything."""
        if self.client is None:
            return False
        self.look()
        pings = [each for each in self.client.take("iq") if each.get("type") == "get"]
        for ping in pings:
            await self.client.send(f"<iq type='result' id='{ping.get('id')}' to='localhost'/>")
        asked = bool(self.client.take("r"))
        if self.counts and asked:
            await self.client.send(f"<a xmlns='urn:xmpp:sm:3' h='{self.client.counted}'/>")
        self.look()
        return bool(pings) or asked

    async def leave(self) -> None:
        """End in order, having acknowledged everything."""
        if self.client is None:
            return
        counted = -1
        while self.counts and counted != self.client.counted:  # an ack lets the replay go on
            counted = self.client.counted
            await self.client.send(f"<a xmlns='urn:xmpp:sm:3' h='{counted}'/>")
        self.look()
        was_replaying = self.client.session.is_catching_up
        early = {position for position in self.session if position in self.early}
        await self.client.leave()
        self.look()
        if not was_replaying and self.is_available:
            self.settled |= set(self.session)
        else:  # what came ahead of others may come again with them
            self.settled |= {each for each in self.session if each not in early and not early}
        self.client, self.is_available = None, False

    async def crash(self) -> None:
        if self.client is not None:
            client, self.client, self.is_available = self.client, None, False
            await client.lose()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 4)),
        st.tuples(st.just("say to"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["come", "come", "hide", "leave", "crash", "answer"]), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.sampled_from([1, 6, 20])),
    ),
    max_size=30,
)


async def play(schedule: list[tuple[str, int]], counting: list[bool]) -> None:
    world = await World.start(features=FEATURES, options={"devices": DeviceOptions(offline_messages=3)})
    try:
        juliet = await world.login("juliet@localhost/balcony")
        devices = [Device(world, name, counts) for name, counts in zip(NAMES, counting, strict=True)]
        for device in devices:  # all are known before anything is said
            await device.come()
            await device.leave()
        for what, number in schedule:
            await step(world, juliet, devices, what, number)
        for device in devices:
            await device.come()
            while await device.answer():
                pass
        page = await world.stores.ledger.page(ROMEO, PageQuery(limit=1_000))
        for device in devices:
            meant = {each.id.position for each in page.entries if each.resource in {"", device.name}}
            assert device.all == meant, device.name
            assert device.client is not None
            assert not device.client.session.is_catching_up
        assert not world.server.telemetry.bugs
    finally:
        await world.stop()


async def step(world: World, juliet: WorldClient, devices: list[Device], what: str, number: int) -> None:
    chat = "<message to='{}' type='chat'><body>x</body></message>"
    match what:
        case "say":
            await juliet.send(*[chat.format(ROMEO)] * number)
        case "say to":
            await juliet.send(chat.format(ROMEO.with_resource(NAMES[number])))
        case "wait":
            await world.advance(number)
        case _:
            await getattr(devices[number], what)()


@pytest.mark.timeout(300)
@settings(max_examples=60, deadline=None)
@given(steps, st.lists(st.booleans(), min_size=3, max_size=3))
def test_every_device_gets_every_message(schedule: list[tuple[str, int]], counting: list[bool]) -> None:
    asyncio.run(play(schedule, counting))
