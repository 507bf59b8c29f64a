"""Whatever people do by either door, in whatever order, a model beside the server knows what they get."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest

from tests.features.rooms.light.stage import BY_MUC, ROOM, change, create, info, say, start, texts, user
from tests.features.rooms.light.test_messages import inbox
from tests.features.rooms.stage import enter
from tests.features.rooms.test_owners_and_admins import admin
from tests.harness.world import World, WorldClient

PEOPLE = ("nina", "omar", "pia", "quinn")
STEPS = 60


class Model:
    """What the room and everybody's devices have to be."""

    def __init__(self, world: World, choose: random.Random) -> None:
        self.world = world
        self.choose = choose
        self.members: dict[str, str] = {}
        self.unread: dict[str, int] = {}
        self.devices: dict[tuple[str, str], WorldClient] = {}
        self.inside: set[tuple[str, str]] = set()
        """The devices that are in the room by MUC."""
        self.said = 0

    async def begin(self) -> None:
        for name in PEOPLE[:3]:
            await self.come(name, "phone")
        await create(self.devices["nina", "phone"], user("omar"))
        self.members = {"nina": "owner", "omar": "member"}
        self.unread = {"nina": 0, "omar": 0}

    # --- what people do

    async def come(self, name: str = "", device: str = "") -> None:
        name = name or self.choose.choice(PEOPLE)
        device = device or self.choose.choice(("phone", "desk"))
        if (name, device) not in self.devices:
            self.devices[name, device] = await self.world.online(f"{name}@localhost/{device}")

    async def go(self) -> None:
        if len(self.devices) > 1:
            gone = self.choose.choice(sorted(self.devices))
            if gone[0] != "nina":
                self.inside.discard(gone)
                client = self.devices.pop(gone)
                await client.send(f"<presence to='{BY_MUC}/{gone[0]}' type='unavailable'/>")
                await client.leave()

    async def enter(self) -> None:
        device = self.choose.choice(sorted(self.devices))
        got = await enter(self.devices[device], device[0], room=BY_MUC)
        refused = any(each.get("type") == "error" for each in got)
        assert refused == (device[0] not in self.members)
        if not refused:
            self.inside.add(device)

    async def exit(self) -> None:
        if self.inside:
            device = self.choose.choice(sorted(self.inside))
            self.inside.discard(device)
            await self.devices[device].send(f"<presence to='{BY_MUC}/{device[0]}' type='unavailable'/>")

    async def say(self) -> None:
        device = self.choose.choice(sorted(self.devices))
        by_muc = self.choose.random() < 0.5
        for client in self.devices.values():
            client.take()
        self.said += 1
        text = f"message {self.said}"
        to = BY_MUC if by_muc else ROOM
        await self.devices[device].send(say(text, id_=f"m{self.said}", to=to))
        is_heard = device in self.inside if by_muc else device[0] in self.members
        name = device[0] if any(who == device[0] for who, _ in self.inside) else f"{device[0]}@localhost"
        for (who, resource), client in self.devices.items():
            expected = []
            if is_heard and (who, resource) in self.inside:
                expected = [(f"{BY_MUC}/{name}", text)]
            elif is_heard and who in self.members:
                expected = [(f"{ROOM}/{device[0]}@localhost", text)]
            assert texts(client) == expected, f"{who}/{resource} of {device} by {to}"
        if is_heard:
            for member in self.members:
                self.unread[member] = 0 if member == device[0] else self.unread[member] + 1

    async def add(self) -> None:
        name = self.choose.choice(PEOPLE)
        owner = next(who for who, what in self.members.items() if what == "owner")
        if name in self.members or (owner, "phone") not in self.devices:
            return
        await change(self.devices[owner, "phone"], user(name))
        self.members[name] = "member"
        self.unread[name] = 0

    async def remove(self) -> None:
        owner = next(who for who, what in self.members.items() if what == "owner")
        name = self.choose.choice(sorted(self.members))
        if (owner, "phone") not in self.devices or name == owner:
            return
        client = self.devices[owner, "phone"]
        if self.choose.random() < 0.5:
            await change(client, user(name, "none"))
        else:
            await admin(client, f"<item jid='{name}@localhost' affiliation='none'/>", room=BY_MUC)
        self.forget(name)

    async def restart(self) -> None:
        await self.world.restart()
        gone, self.devices, self.inside = self.devices, {}, set()
        for name, device in gone:
            await self.come(name, device)

    def forget(self, name: str) -> None:
        del self.members[name], self.unread[name]
        self.inside = {each for each in self.inside if each[0] != name}

    # --- what has to be true then

    async def check(self) -> None:
        _, _, users = await info(self.devices["nina", "phone"])
        assert users == self.members
        for name in PEOPLE:
            expected = {BY_MUC: self.unread[name]} if name in self.members else {}
            assert await inbox(self.world, name) == expected, name


@pytest.mark.parametrize("seed", range(8))
async def test_everybody_gets_what_the_model_says(seed: int) -> None:
    world = await start()
    model = Model(world, random.Random(seed))
    await model.begin()
    steps: list[Callable[[], Awaitable[None]]] = [
        *[model.say] * 6,
        *[model.come, model.go, model.enter, model.exit, model.add, model.remove] * 2,
        model.restart,
    ]
    for _ in range(STEPS):
        await model.choose.choice(steps)()
        await model.check()
    assert model.said > STEPS / 8
    await world.stop()
