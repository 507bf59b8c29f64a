"""What is done for a message does not grow with the members who are away."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from types import FrameType

from tests.features.rooms.light.stage import ROOM, change, create, people, say, start, texts, user

ABSENT = 3_000


async def calls_of(work: Awaitable[None]) -> int:
    """Count the calls of functions that some work makes, those of methods of dicts and lists included."""
    count = 0

    def note(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        await work
    finally:
        sys.setprofile(None)
    return count


async def test_a_message_costs_the_same_whoever_is_away() -> None:
    world = await start(max_changes=ABSENT)
    nina, omar = await people(world, "nina", "omar")
    large = "large@muclight.localhost"
    for room in (ROOM, large):
        await create(nina, user("omar"), to=room)
    for first in range(0, ABSENT, 500):
        await change(nina, *(user(f"u{number}") for number in range(first, first + 500)), to=large)
    costs = {}
    for room in (ROOM, large):
        await nina.send(say("first", to=room))
        omar.take()
        costs[room] = await calls_of(nina.send(say("second", to=room, id_="m2")))
        assert texts(omar) == [(f"{room}/nina@localhost", "second")]
    assert costs[large] < costs[ROOM] * 1.2 < ABSENT * 2, costs
    await world.stop()
