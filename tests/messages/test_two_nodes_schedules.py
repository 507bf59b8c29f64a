"""Two nodes and a bad bus: every device gets every message once, in order, whatever happens when."""

from __future__ import annotations

import random

import pytest

from tests.harness.nodes import Nodes
from tests.harness.world import WorldClient
from tidings.base.jid import Jid
from tidings.wire.xmpp import ns

ALICE, BOB = "alice@localhost", "bob@localhost"


class Device:
    """A client that comes and goes, on one node or the other, and remembers all it was ever sent."""

    def __init__(self, nodes: Nodes, jid: str) -> None:
        self._nodes = nodes
        self.jid = jid
        self._client: WorldClient | None = None
        self.got: list[str] = []

    @property
    def is_there(self) -> bool:
        return self._client is not None

    async def come(self, number: int) -> None:
        self._client = await self._nodes.worlds[number].login(self.jid)
        await self._client.manage()
        await self._client.send("<presence/>")

    async def go(self) -> None:
        assert self._client is not None
        await self.look()
        await self._client.leave()
        self._client = None

    async def send(self, to: str, text: str) -> None:
        assert self._client is not None
        await self._client.send(f"<message to='{to}' type='chat' id='{text}'><body>{text}</body></message>")

    async def _acknowledge(self) -> None:
        assert self._client is not None
        await self._client.send(f"<a xmlns='urn:xmpp:sm:3' h='{self._client.counted}'/>")

    async def look(self) -> None:
        """Take what has come, and acknowledge it, so that a replay goes on."""
        if self._client is None:
            return
        for message in self._client.take("message"):
            body = message.find("body", ns.CLIENT)
            if body is not None:
                self.got.append(body.text)
        await self._acknowledge()


class Story:
    """What two people with five devices do, by a seeded die."""

    def __init__(self, nodes: Nodes, seed: int) -> None:
        self.nodes = nodes
        self.dice = random.Random(seed)
        self.alices = [Device(nodes, f"{ALICE}/{name}") for name in ("a", "b")]
        self.bobs = [Device(nodes, f"{BOB}/{name}") for name in ("c", "d", "e")]
        self.to_alice: list[str] = []
        self.to_bob: list[str] = []

    @property
    def devices(self) -> list[Device]:
        return self.alices + self.bobs

    async def all_come(self) -> None:
        for device in self.devices:
            if not device.is_there:
                await device.come(self.dice.randrange(2))

    async def step(self, number: int) -> None:
        dice = self.dice
        device = dice.choice(self.bobs)
        there = [each for each in self.bobs if each.is_there]
        match dice.randrange(8):
            case 0 if device.is_there and len(there) > 1:
                await device.go()
            case 1 if not device.is_there:
                await device.come(dice.randrange(2))
            case 2:
                await self.nodes.run(dice.choice((0.02, 0.1, 0.5)))
            case 3:
                self.to_alice.append(f"to alice {number}")
                await dice.choice(there).send(ALICE, self.to_alice[-1])
            case _:
                self.to_bob.append(f"to bob {number}")
                await dice.choice(self.alices).send(BOB, self.to_bob[-1])
        if dice.random() < 0.3:
            await self.look()

    async def look(self) -> None:
        for device in self.devices:
            await device.look()


@pytest.mark.parametrize("seed", range(12))
async def test_devices_come_and_go_and_miss_nothing(seed: int) -> None:
    nodes = await Nodes.start(loss=0.25, delay=0.2, seed=seed, stale=0.1, is_slow=seed % 2 == 0)
    story = Story(nodes, seed)
    await story.all_come()
    await nodes.run(2)
    for number in range(40):
        await story.step(number)
    await story.all_come()
    for _ in range(8):
        await nodes.run(1)
        await story.look()
    assert nodes.hub.lost
    for device in story.bobs:
        assert device.got == story.to_bob
    for device in story.alices:
        assert device.got == story.to_alice
    row = await nodes.one.stores.ledger.conversation(Jid(BOB), Jid(ALICE))
    assert row.unread == to_bob_after_last_answer(story.to_bob, story.to_alice)
    await nodes.stop()


def to_bob_after_last_answer(to_bob: list[str], to_alice: list[str]) -> int:
    """Count what Bob has not read: his own messages say that he has read what came before."""
    answered = max((int(text.split()[-1]) for text in to_alice), default=-1)
    return sum(int(text.split()[-1]) > answered for text in to_bob)
