"""What is the same message sent again: the same content under the same origin-id, whenever it was sent."""

from __future__ import annotations

import pytest

from tests.harness.archives import archived, unread
from tests.harness.world import World
from tidings.wire.xmpp import ns

ALICE, BOB = "alice@localhost", "bob@localhost"
ORIGIN = f"<origin-id xmlns='{ns.STANZA_ID}' id='4e1c7a8f-0c55-4b0e-9d55-e7f3a0b1c2d3'/>"


def chat(
    text: str, *more: str, id_: str = "1", kind: str = "chat", to: str = BOB, origin: str = ORIGIN
) -> str:
    inside = "".join(more)
    return f"<message to='{to}' type='{kind}' id='{id_}'><body>{text}</body>{origin}{inside}</message>"


def named(origin_id: str) -> str:
    return f"<origin-id xmlns='{ns.STANZA_ID}' id='{origin_id}'/>"


@pytest.mark.parametrize(
    "again",
    [
        chat("hello"),
        chat("hello", id_="2"),
        chat("hello", f"<delay xmlns='{ns.DELAY}' stamp='2026-01-31T12:00:00Z'/>"),
    ],
)
async def test_the_same_content_is_stored_and_delivered_once(world: World, again: str) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await alice.send(chat("hello"))
    await alice.send(again)
    assert [message.text_of("body") for message in bob.take("message")] == ["hello"]
    assert [message.text for message in await archived(world, BOB)] == ["hello"]
    assert await unread(world, BOB) == {ALICE: 1}


CORRECTION = f"<replace xmlns='{ns.CORRECTION}' id='1'/>"


@pytest.mark.parametrize(
    "other",
    [
        chat("goodbye"),
        chat("hello", "<x xmlns='urn:x'/>"),
        chat("hello", kind="normal"),
        chat("goodbye", to=f"{BOB}/desk"),
    ],
)
async def test_another_content_under_a_used_id_is_another_message(world: World, other: str) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await alice.send(chat("hello"))
    await alice.send(other)
    assert len(bob.take("message")) == 2
    assert len(await archived(world, ALICE)) == len(await archived(world, BOB)) == 2
    assert await unread(world, BOB) == {ALICE: 2}


async def test_a_correction_may_keep_the_id_of_what_it_corrects(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await alice.send(chat("helo"))
    await alice.send(chat("hello", CORRECTION))
    assert [message.text_of("body") for message in bob.take("message")] == ["helo", "hello"]
    assert [message.text for message in await archived(world, BOB)] == ["helo", "hello"]


async def test_another_device_may_have_used_the_id_for_something_else(world: World) -> None:
    phone, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    laptop = await world.online(f"{ALICE}/laptop")
    await phone.send(chat("from the phone", origin=named("1")))
    await laptop.send(chat("from the laptop", origin=named("1")))
    assert len(bob.take("message")) == 2
    assert await unread(world, BOB) == {ALICE: 2}


@pytest.mark.parametrize(
    ("origin_id", "wait", "count"), [("1", 14 * 60, 1), ("1", 16 * 60, 2), ("f" * 16, 16 * 60, 1)]
)
async def test_a_short_id_makes_a_repeat_for_a_quarter_of_an_hour(
    world: World, origin_id: str, wait: int, count: int
) -> None:
    """A client that counts its ids from 1 whenever it starts says "ok" to somebody more than once."""
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await alice.send(chat("ok", origin=named(origin_id)))
    await world.advance(wait)
    await alice.send(chat("ok", origin=named(origin_id)))
    assert len(bob.take("message")) == count
    assert await unread(world, BOB) == {ALICE: count}
