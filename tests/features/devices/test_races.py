"""Devices over a database that answers in its own time: what is read and what is live never meet twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.world import World, WorldClient
from tidings.adapters.sql import open_stores
from tidings.base.jid import Jid
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.devices import Devices
from tidings.features.stream_management import StreamManagement
from tidings.ports.ledger.batch import Direction
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xmpp import ns

ROMEO = Jid("romeo@localhost")
FEATURES = (Rosters, Subscriptions, Presences, StreamManagement, Devices)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    stores = await open_stores(f"sqlite:///{tmp_path / 'races.db'}")
    world = await World.start(features=FEATURES, ledger=stores.ledger)
    yield world
    assert not world.server.telemetry.bugs
    await world.stop()
    await stores.close()


def positions(client: WorldClient) -> list[int]:
    ids = [message.find("stanza-id", ns.STANZA_ID) for message in client.take("message")]
    return [int((each.get("id") or "").partition("-")[2]) for each in ids if each is not None]


@pytest.mark.parametrize("seed", range(12))
async def test_a_device_that_comes_and_goes_under_fire(world: World, seed: int) -> None:
    chance = random.Random(seed)
    await world.register("romeo@localhost")
    juliet = await world.login("juliet@localhost/balcony")
    phone = await world.login("romeo@localhost/phone")
    desk = await world.login("romeo@localhost/desk")
    await phone.manage(can_resume=False)
    got: list[int] = []
    for burst in range(40):
        text = f"<message to='{ROMEO}' type='chat'><body>{burst}</body></message>"
        juliet.push(*[text] * chance.randint(1, 4))
        if chance.random() < 0.5:
            phone.push(chance.choice(["<presence/>", "<presence type='unavailable'/>"]))
        if chance.random() < 0.2:
            desk.push(f"<message to='juliet@localhost' type='chat'><body>{burst}</body></message>")
        for _ in range(chance.randint(0, 30)):  # the database has some time, and never the same
            await asyncio.sleep(0)
        got += positions(phone)
    await phone.send("<presence/>")
    await world.settle()
    got += positions(phone)
    while True:
        await phone.send(f"<a xmlns='urn:xmpp:sm:3' h='{phone.counted}'/>")
        more = positions(phone)
        if not more:
            break
        got += more
    await juliet.send(f"<message to='{ROMEO}' type='chat'><body>the last</body></message>")
    got += positions(phone)
    head = await world.stores.ledger.head(ROMEO)
    assert got == sorted(set(got))
    page = await world.stores.ledger.page(ROMEO, PageQuery(limit=1_000))
    assert got == [entry.id.position for entry in page.entries if entry.direction is Direction.RECEIVED]
    assert got[-1] == head.position


def told(client: WorldClient) -> list[tuple[int, bool]]:
    """Give the numbers of what somebody got, and whether it was a text."""
    return [(int(each.get("id") or ""), each.find("body") is not None) for each in client.take("message")]


@pytest.mark.parametrize("seed", range(12))
async def test_what_nobody_keeps_does_not_overtake_what_was_said_before(world: World, seed: int) -> None:
    chance = random.Random(seed)
    await world.register("romeo@localhost")
    juliet = await world.login("juliet@localhost/balcony")
    phone = await world.login("romeo@localhost/phone")
    await phone.manage(can_resume=False)
    state = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
    got: list[tuple[int, bool]] = []
    for burst in range(60):
        head = f"<message to='{ROMEO}' type='chat' id='{burst}'>"
        juliet.push(f"{head}<body>{burst}</body></message>", f"{head}{state}</message>")
        if chance.random() < 0.5:
            phone.push(chance.choice(["<presence/>", "<presence type='unavailable'/>"]))
        for _ in range(chance.randint(0, 30)):
            await asyncio.sleep(0)
        got += told(phone)
    await phone.send("<presence/>")
    await world.settle()
    got += told(phone)
    while True:
        await phone.send(f"<a xmlns='urn:xmpp:sm:3' h='{phone.counted}'/>")
        more = told(phone)
        if not more:
            break
        got += more
    assert [number for number, is_text in got if is_text] == list(range(60))
    there: set[int] = set()
    for number, is_text in got:
        if is_text:
            there.add(number)
        else:
            assert number in there, f"{number} was overtaken in {got}"
