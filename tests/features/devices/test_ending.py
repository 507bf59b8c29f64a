"""A session that takes its time to end, and what comes meanwhile."""

from __future__ import annotations

import asyncio

from tests.harness.world import World
from tidings.app.compose import FEATURES
from tidings.kernel.events import SessionEnded
from tidings.kernel.feature import Feature, listens
from tidings.kernel.hooks import Stage

GATE = asyncio.Event()


class Lingering(Feature):
    """Whatever is done for a session that ends takes as long as the test says."""

    @listens(SessionEnded, stage=Stage.STORE)
    async def linger(self, event: SessionEnded) -> None:
        await GATE.wait()


async def test_what_comes_while_a_session_ends_was_not_seen_by_its_device() -> None:
    GATE.clear()
    world = await World.start(features=(*FEATURES, Lingering))
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/desk")
    leaving = asyncio.ensure_future(bob.leave())
    await asyncio.sleep(0)
    alice.push("<message to='bob@localhost' type='chat'><body>late</body></message>")
    while (await world.stores.ledger.head(bob.jid.bare)).position == 0:
        await asyncio.sleep(0)
    GATE.set()
    await leaving
    for resource in ("desk", "phone"):
        again = await world.login(f"bob@localhost/{resource}")
        await again.send("<presence/>")
        assert [message.text_of("body") for message in again.take("message")] == ["late"]
        await again.lose()
    await world.stop()
