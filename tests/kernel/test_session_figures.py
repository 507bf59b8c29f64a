"""What a scrape shows of sessions, accounts and durations: by domain, bounded, and never less than before."""

from __future__ import annotations

from typing import Any

from tests.harness.world import World
from tidings.kernel.session_figures import MOST_DOMAINS, NamedDomains
from tidings.kernel.telemetry import DELIVERY_SAMPLE


def sample(world: World, metric: str, **labels: str) -> float | None:
    return world.server.telemetry.registry.get_sample_value(f"tidings_{metric}", labels)


def test_the_largest_domains_are_named_and_stay_so() -> None:
    domains = NamedDomains(most=2)
    sizes = {"a.example": 1, "b.example": 5, "c.example": 3}
    assert domains.bounded(sizes, sizes) == {"b.example": 5, "c.example": 3, "other": 1}
    grown = {**sizes, "a.example": 100, "d.example": 50}
    assert domains.bounded(grown, grown) == {"b.example": 5, "c.example": 3, "other": 150}


def test_a_domain_called_other_is_counted_among_the_others() -> None:
    domains = NamedDomains(most=2)
    assert domains.bounded({"other": 2, "a.example": 1}, {}) == {"other": 2, "a.example": 1}
    assert domains.bounded({"b.example": 3, "c.example": 4, "other": 2}, {}) == {"b.example": 3, "other": 6}


async def test_figures_of_domains_are_bounded() -> None:
    world = await World.start([f"d{number}.example" for number in range(MOST_DOMAINS + 5)])
    try:
        for number in range(MOST_DOMAINS + 5):
            await world.login(f"alice@d{number}.example/x")
        [family] = [
            each for each in world.server.telemetry.collect() if each.name == "tidings_domain_sessions"
        ]
        assert len(family.samples) == MOST_DOMAINS + 1
        assert sum(each.value for each in family.samples) == MOST_DOMAINS + 5
        assert sample(world, "domain_sessions", domain="other") == 5
    finally:
        await world.stop()


async def test_totals_of_a_domain_stay_when_its_sessions_end(world: World) -> None:
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@other.test/y")
    await alice.send("<message to='bob@other.test/y' type='chat'><body>hi</body></message>")
    for _ in range(2):
        assert sample(world, "domain_stanzas_received_total", domain="localhost") == 1
        assert sample(world, "domain_stanzas_sent_total", domain="other.test") == 1
        assert sample(world, "stanzas_sent_total") == 1
        await bob.leave()
        await alice.leave()
    assert sample(world, "domain_sessions", domain="localhost") == 0
    assert (sample(world, "sessions_begun_total"), sample(world, "sessions_ended_total")) == (2, 2)


async def test_an_account_with_two_sessions_is_connected_once(world: World) -> None:
    await world.login("alice@localhost/x")
    await world.login("alice@localhost/y")
    assert (sample(world, "sessions"), sample(world, "accounts_connected")) == (2, 1)


async def test_accounts_are_counted_before_a_scrape_and_not_at_each(world: World) -> None:
    await world.register("alice@localhost")
    await world.server.telemetry.refresh()
    assert sample(world, "domain_accounts", domain="localhost") == 1
    await world.register("bob@localhost")
    await world.server.telemetry.refresh()
    assert sample(world, "domain_accounts", domain="localhost") == 1
    await world.advance(301)
    await world.server.telemetry.refresh()
    assert sample(world, "domain_accounts", domain="localhost") == 2


async def test_one_message_in_some_is_timed_until_it_is_written(world: World) -> None:
    alice, bob = await world.login("alice@localhost/x"), await world.online("bob@localhost/y")
    for _ in range(DELIVERY_SAMPLE + 1):
        await alice.send("<message to='bob@localhost' type='chat'><body>hi</body></message>")
    assert len(bob.take("message")) == DELIVERY_SAMPLE + 1
    assert sample(world, "delivery_seconds_count") == 2


async def test_a_message_that_nobody_gets_is_not_timed(world: World) -> None:
    alice = await world.login("alice@localhost/x")
    await world.register("bob@localhost")
    await alice.send("<message to='bob@localhost' type='chat'><body>hi</body></message>")
    assert sample(world, "delivery_seconds_count") == 0


async def test_pages_and_transactions_are_timed(world: World) -> None:
    alice: Any = await world.login("alice@localhost/x")
    await alice.send("<message to='alice@localhost' type='chat'><body>a note</body></message>")
    await alice.request("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
    assert sample(world, "archive_page_seconds_count") == 1
    assert sample(world, "ledger_commit_seconds_bucket", le="+Inf") == sample(
        world, "ledger_transactions_total"
    )
