"""A room among three nodes whose bus loses, delays and reorders: seeded dice decide what people do.

Whoever is in the room hears everything that is said there, once and in the order of the archive, and sees who
is in it; what somebody says is kept in his order. A node that dies takes nobody's words with it.
"""

from __future__ import annotations

import random

import msgspec
import pytest

from tests.features.rooms.light import stage as light
from tests.features.rooms.stage import ROOM, shown
from tests.harness.nodes import Nodes
from tests.harness.world import World, WorldClient
from tidings.app.rooms import MUC_LIGHT, ROOMS
from tidings.base.jid import Jid
from tidings.features.rooms.entrance import EntranceOptions
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns

OPTIONS: dict[str, msgspec.Struct] = {"muc": msgspec.convert({"locks_new": False}, EntranceOptions)}
ENTERING = f"<x xmlns='{ns.MUC}'><history maxstanzas='0'/></x>"

MEMBERS = "".join(light.user(name) for name in ("omar", "pia", "quinn"))


class Person:
    """A client that enters the room again when it is told that it is out."""

    def __init__(self, nodes: Nodes, name: str) -> None:
        self.nodes = nodes
        self.name = name
        self.client: WorldClient | None = None
        self.world: World | None = None
        self.wants_in = False
        self.is_in = False
        self.sees: set[str] = set()
        self.visits: list[list[str]] = []
        """What was heard in each stay in the room."""
        self.said = 0
        self.sessions = 0

    async def come(self, world: World) -> None:
        self.world = world
        self.sessions += 1
        online = world.online(f"{self.name}@localhost/device{self.sessions}")
        self.client = await self.nodes.wait_for(online)
        self.wants_in = True
        self.enter()

    def enter(self) -> None:
        assert self.client is not None
        self.client.push(f"<presence to='{ROOM}/{self.name}'>{ENTERING}</presence>")

    def say(self) -> None:
        assert self.client is not None
        self.said += 1
        text = f"{self.name} {self.said}"
        self.client.push(
            f"<message to='{ROOM}' type='groupchat' id='{self.name}{self.said}'><body>{text}</body></message>"
        )

    async def leave(self) -> None:
        assert self.client is not None
        self.wants_in = False
        self.client.push(f"<presence type='unavailable' to='{ROOM}/{self.name}'/>")  # after what he has said
        await self.nodes.settle()
        self.look()
        await self.nodes.wait_for(self.client.leave())
        self.out()
        self.client = None

    def out(self) -> None:
        self.is_in = False
        self.sees.clear()

    def look(self) -> None:
        """Take note of what has come, as a client does."""
        for element in [] if self.client is None else self.client.take():
            if element.name == "presence":
                self._see(element)
            elif element.get("type") == "groupchat" and element.find("body") is not None:
                assert self.is_in, element
                self.visits[-1].append(element.text_of("body") or "")

    def _see(self, presence: Element) -> None:
        if presence.get("type") == "error" or not (presence.get("from") or "").startswith(ROOM):
            if presence.get("type") == "error":
                self.again()
            return
        nick, type_, _, _, codes = shown(presence)
        if type_ == "unavailable":
            self.sees.discard(nick)
            if "110" in codes:
                self.out()
                self.again()
            return
        self.sees.add(nick)
        if "110" in codes and not self.is_in:
            self.is_in = True
            self.visits.append([])

    def again(self) -> None:
        if self.wants_in:
            self.enter()


async def archived(world: World) -> list[str]:
    assert world.stores.ledger is not None
    texts: list[str] = []
    above = 0
    while True:
        page = await world.stores.ledger.page(Jid(ROOM), PageQuery(above=above, limit=100))
        for entry in page.entries:
            above = entry.id.position
            body = None if entry.body is None else decode(entry.body, ns.CLIENT).text_of("body")
            texts += [] if body is None else [body]
        if page.is_complete:
            return texts


class Story:
    """What five people do in a room, by a seeded die."""

    def __init__(self, nodes: Nodes, seed: int) -> None:
        self.nodes = nodes
        self.dice = random.Random(seed)
        self.people = [Person(nodes, name) for name in ("nina", "omar", "pia", "quinn", "rosa")]

    async def step(self) -> None:
        dice = self.dice
        person = dice.choice(self.people)
        match dice.randrange(6):
            case 0 if person.client is not None and person.is_in:
                await person.leave()
            case 1 | 2 if person.client is None:
                await person.come(dice.choice(self.nodes.worlds))
            case 3:
                await self.nodes.run(dice.choice((0.02, 0.2, 1)))
            case _ if person.is_in:
                person.say()
        self.look()

    def look(self) -> None:
        for person in self.people:
            person.look()

    async def lose_node(self) -> None:
        dead = self.dice.choice(self.nodes.worlds)
        for person in self.people:
            if person.world is dead and person.client is not None:
                person.look()
                person.client = None
                person.out()
        await self.nodes.kill(dead)

    async def end(self, seconds: int) -> None:
        """Wait until everybody knows everything."""
        for _ in range(2 * seconds):
            await self.nodes.run(0.5)
            self.look()


@pytest.mark.parametrize("seed", range(6))
async def test_who_is_in_hears_everything_once_in_order(seed: int) -> None:
    nodes = await Nodes.start(
        loss=0.2,
        delay=0.2,
        seed=seed,
        stale=0.1,
        is_slow=seed % 2 == 0,
        names=("one", "two", "three"),
        services=(ROOMS,),
        options=OPTIONS,
    )
    story = Story(nodes, seed)
    for number in range(60):
        await story.step()
        if number == 30 and seed % 3 == 0:
            await story.lose_node()
    await story.end(25 if len(nodes.worlds) < 3 else 10)
    kept = await archived(nodes.worlds[0])
    assert len(set(kept)) == len(kept) > 5
    for person in story.people:
        own = [int(text.split()[1]) for text in kept if text.split()[0] == person.name]
        assert own == sorted(own)
        for heard in filter(None, person.visits):
            first = kept.index(heard[0])
            assert heard == kept[first : first + len(heard)], person.name
    there = [person for person in story.people if person.client is not None]
    for person in there:
        assert (person.is_in, person.sees) == (True, {each.name for each in there}), person.name
        if person.visits[-1]:
            assert person.visits[-1][-1] == kept[-1]
    await nodes.stop()


@pytest.mark.parametrize("seed", range(3))
async def test_members_by_muc_light_hear_everything_once_in_order(seed: int) -> None:
    dice = random.Random(seed)
    nodes = await Nodes.start(
        loss=0.2,
        delay=0.2,
        seed=seed,
        stale=0.1,
        is_slow=seed % 2 == 0,
        names=("one", "two", "three"),
        services=(ROOMS, MUC_LIGHT),
        options=OPTIONS,
    )
    people = [
        await nodes.wait_for(world.online(f"{name}@localhost/phone"))
        for name, world in zip(("nina", "omar", "pia", "quinn"), [*nodes.worlds, nodes.one], strict=True)
    ]
    await nodes.run(1)
    people[0].push(light.query("set", "create", f"<configuration/><occupants>{MEMBERS}</occupants>"))
    await nodes.run(5)
    for person in people:
        person.take()
    for number in range(30):
        dice.choice(people).push(light.say(f"text {number}", id_=f"m{number}"))
        if dice.random() < 0.4:
            await nodes.run(dice.choice((0.02, 0.2)))
    await nodes.run(15)
    heard = [text for _, text in light.texts(people[0])]
    assert sorted(heard, key=str) == sorted(f"text {number}" for number in range(30))
    for person in people[1:]:
        assert [text for _, text in light.texts(person)] == heard
    await nodes.stop()
