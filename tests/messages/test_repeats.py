"""What is the same message sent again: the same content under the same origin-id, whenever it was sent."""

from __future__ import annotations

import pytest

from tests.harness.archives import archived, unread
from tests.harness.world import World
from tidings.wire.xmpp import ns

ALICE, BOB = "alice@localhost", "bob@localhost"
ORIGIN = f"<origin-id xmlns='{ns.STANZA_ID}' id='4e1c7a8f-0c55-4b0e-9d55-e7f3a0b1c2d3'/>"


def chat(text: str, *more: str, id_: str = "1", kind: str = "chat") -> str:
    inside = "".join(more)
    return f"<message to='{BOB}' type='{kind}' id='{id_}'><body>{text}</body>{ORIGIN}{inside}</message>"


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


@pytest.mark.parametrize("other", [chat("goodbye"), chat("hello", "<x xmlns='urn:x'/>")])
async def test_another_content_under_a_used_id_is_another_message(world: World, other: str) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await alice.send(chat("hello"))
    await alice.send(other)
    assert len(bob.take("message")) == 2
    assert len(await archived(world, ALICE)) == len(await archived(world, BOB)) == 2
    assert await unread(world, BOB) == {ALICE: 2}
