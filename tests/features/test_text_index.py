"""The text index follows the messages by itself, and a search never waits for it."""

from __future__ import annotations

from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.text_index import DELAY
from tidings.ports.ledger.reading import PageQuery

BOB = Jid("bob@localhost")


async def talk(world: World, *texts: str) -> None:
    alice = await world.online("alice@localhost/phone")
    await world.register("bob@localhost")
    for text in texts:
        await alice.send(f"<message to='{BOB}' type='chat'><body>{text}</body></message>")


async def test_the_text_search_follows_by_itself(world: World) -> None:
    await talk(world, "one", "two", "three")
    for _ in range(3):
        await world.advance(DELAY)
    assert await world.stores.ledger.index_step(100) == 0


async def test_a_search_finds_what_is_not_indexed_yet(world: World) -> None:
    await talk(world, "needle")
    page = await world.stores.ledger.page(BOB, PageQuery(words=("needle",)))
    assert len(page.entries) == 1


async def test_it_goes_on_after_a_search_and_after_a_restart(world: World) -> None:
    await talk(world, "one")
    await world.stores.ledger.page(BOB, PageQuery(words=("one",)))
    await talk(world, "two")
    await world.restart()
    await talk(world, "three")
    for _ in range(6):
        await world.advance(DELAY)
    assert await world.stores.ledger.index_step(100) == 0
    state = await world.stores.ledger.followers.follower("text_index")
    assert state.cursor.feed > 0


async def test_a_scrape_shows_how_far_it_is(world: World) -> None:
    registry = world.server.telemetry.registry
    await world.advance(DELAY)
    await talk(world, "one", "two")
    assert registry.get_sample_value("tidings_follower_lag", {"follower": "text_index"}) >= 2
    for _ in range(3):
        await world.advance(DELAY)
    assert registry.get_sample_value("tidings_follower_lag", {"follower": "text_index"}) == 0
