"""Whatever happens to its connections, a device gets every message that is meant for it, in order, once."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.carbons import Carbons
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.devices import DeviceOptions, Devices
from tidings.features.stream_management import StreamManagement
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ROMEO = Jid("romeo@localhost")
FEATURES = (Rosters, Subscriptions, Presences, StreamManagement, Carbons, Devices)
NAMES = ("phone", "desk", "watch")


def copied(message: Element) -> Element | None:
    """Give the message that a carbon is a copy of."""
    copy = message.find("received", ns.CARBONS)
    return None if copy is None else copy.children[0].children[-1]


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
    can_resume: bool
    wants_copies: bool
    has_bind2: bool
    client: WorldClient | None = None
    is_available: bool = False
    session: list[int] = field(default_factory=list)
    """The positions that this session was sent; those that came early are not in order."""
    early: set[int] = field(default_factory=set)
    all: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    """What can never come again."""
    lost: WorldClient | None = None
    """The client whose connection was lost, while its session may go on."""
    looked_at: int = 0
    """How many stanzas of its stream it has looked at."""
    logins: int = 0

    async def come(self) -> None:
        await self.show("<presence/>")
        self.is_available = True

    async def connect(self) -> None:
        """Go on with the session, where there is one that can be resumed, or begin another."""
        lost, self.lost = self.lost, None
        if lost is not None:
            resumed = await self.world.resume(lost, handled=self.looked_at)
            if isinstance(resumed, WorldClient):
                self.client = resumed
                self.is_available = resumed.session.priority == 0
                return
        user_agent = f"{self.name} d4565fa7" if self.has_bind2 or self.name == "watch" else None
        self.logins += 1
        resource = f"{self.name}/{self.logins}" if self.has_bind2 else self.name
        self.client = await self.world.login(
            f"romeo@localhost/{resource}", device=user_agent, is_bind2=self.has_bind2
        )
        self.session, self.early = [], set()
        if self.has_bind2:  # it reads in the archive what there is by now, which never comes again
            head = await self.world.stores.ledger.head(ROMEO)
            self.settled |= {*range(1, head.position + 1)}
            self.all |= self.settled
        if self.wants_copies:
            await self.client.send("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
            self.client.take("iq")
        if self.counts:
            await self.client.manage(can_resume=self.can_resume)

    async def hide(self) -> None:
        if self.client is not None:
            await self.show("<presence type='unavailable'/>")

    async def sink(self) -> None:
        """Have a negative priority, with which messages to the account are for others."""
        await self.show("<presence><priority>-1</priority></presence>")

    async def show(self, presence: str) -> None:
        if self.client is None:
            await self.connect()
        self.look()
        self.is_available = False
        assert self.client is not None
        await self.client.send(presence)

    def look(self) -> None:
        """Take what has come, and check that nothing of it should not have."""
        if self.client is None:
            return
        for message in self.client.take("message"):
            copy = copied(message)
            position = position_of(message if copy is None else copy)
            assert position not in self.session, f"{self.name} got {position} twice in one session"
            assert position not in self.settled, f"{self.name} got {position} again"
            is_for_another = copy is not None and "/" in (copy.get("to") or "")
            if not self.is_available or is_for_another:
                self.early.add(position)
            in_order = [each for each in self.session if each not in self.early]
            assert position in self.early or not in_order or position > in_order[-1], "out of order"
            self.session.append(position)
            self.all.add(position)
        self.looked_at = self.client.counted

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
            self.lost = client if self.counts and self.can_resume else None

    async def restart(self) -> None:
        """Lose the connection and everything that is known of the session, as an app that is killed."""
        await self.crash()
        self.lost = None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 4)),
        st.tuples(st.just("say to"), st.integers(0, 2)),
        st.tuples(
            st.sampled_from(["come", "come", "hide", "sink", "leave", "crash", "restart", "answer"]),
            st.integers(0, 2),
        ),
        st.tuples(st.just("wait"), st.sampled_from([1, 6, 20])),
    ),
    max_size=30,
)


async def play(schedule: list[tuple[str, int]], kinds: list[tuple[bool, bool, bool, bool]]) -> None:
    world = await World.start(features=FEATURES, options={"devices": DeviceOptions(offline_messages=3)})
    try:
        juliet = await world.login("juliet@localhost/balcony")
        devices = [Device(world, name, *kind) for name, kind in zip(NAMES, kinds, strict=True)]
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
            resources = {"", device.name, f"{device.name}/{device.logins}"}
            meant = {each.id.position for each in page.entries if each.resource in resources}
            # Copies of what was for another device alone come beside what is meant for this one.
            assert meant <= device.all, device.name
            assert device.all <= meant or device.wants_copies or device.has_bind2, device.name
            assert device.client is not None
            assert not device.client.session.is_catching_up
        sessions = [each for each in world.server.sessions() if each.account.jid == ROMEO]
        assert {each.client and each.client.session for each in devices} == {*sessions}  # no ghosts
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
@given(steps, st.lists(st.tuples(*[st.booleans()] * 4), min_size=3, max_size=3))
@example([("sink", 0), ("say", 1)], [(True, True, True, False)] * 3)
@example([("come", 0), ("sink", 0), ("say", 1)], [(False, False, True, False)] * 3)
@example([("sink", 0), ("say", 1)], [(True, True, False, True)] * 3)
@example(
    [("come", 0), ("sink", 0), ("say", 2), ("come", 0), ("sink", 0), ("say", 1)],
    [(True, True, False, True)] * 3,
)
@example([("come", 0), ("restart", 0), ("say", 1)], [(True, True, True, True)] * 3)
def test_every_device_gets_every_message(
    schedule: list[tuple[str, int]], kinds: list[tuple[bool, bool, bool, bool]]
) -> None:
    asyncio.run(play(schedule, kinds))
