"""Retention: what is too old or too much goes, step by step; a removed account leaves nothing to the next."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.harness.mailing_lists import LISTS, join, kick
from tests.harness.world import World
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.inbox import BinCleaning, Inbox
from tidings.features.retention import FIRST_PASS, Retention, RetentionOptions
from tidings.kernel.events import AccountRemoved, AccountWanted
from tidings.ports.ledger.batch import CursorMove, LedgerBatch
from tidings.ports.ledger.feed import FeedGap
from tidings.ports.ledger.reading import EntryId, InboxQuery, NoSuchEntry, PageQuery

ALICE, BOB, CAROL = (Jid(f"{name}@localhost") for name in ("alice", "bob", "carol"))
DAY = 86_400


def options(**values: object) -> dict[str, RetentionOptions]:
    return {"retention": RetentionOptions(step=2, pause=1.0, interval_hours=1.0, **values)}


async def start(**values: object) -> World:
    world = await World.start(options=options(**values))
    for account in (ALICE, BOB, CAROL):
        await world.register(account)
    return world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Give a server that keeps everything."""
    world = await start()
    yield world
    await world.stop()


def retention(world: World, domain: str = "localhost") -> Retention:
    feature = world.server.hosts[domain].feature(Retention)
    assert feature is not None
    return feature


async def passes(world: World, count: int = 1) -> None:
    """Let time pass until every domain has gone through its archives so often."""
    features = [retention(world, domain) for domain in world.server.hosts]
    wanted = [feature.passes + count for feature in features]
    for _ in range(10_000):
        if all(feature.passes >= number for feature, number in zip(features, wanted, strict=True)):
            return
        await world.advance(1 if any(feature.looked_at for feature in features) else 60)
    raise AssertionError("the passes do not end")


async def talk(world: World, count: int, *, sender: Jid = ALICE, to: Jid = BOB, first: int = 1) -> None:
    """Send so many messages, one a second."""
    client = await world.login(f"{sender}/talk")
    for number in range(first, first + count):
        world.clock.advance(1)
        await client.send(
            f"<message to='{to}' type='chat' id='m{number}'><body>text {number}</body></message>"
        )
    await client.leave()


async def bodies(world: World, archive: Jid) -> list[str]:
    page = await world.stores.ledger.page(archive, PageQuery(limit=1_000))
    return [entry.body.partition(b"<body>")[2].partition(b"</body>")[0].decode() for entry in page.entries]


async def texts(world: World, archive: Jid) -> list[str]:
    return [text for text in await bodies(world, archive) if text]


async def remove(world: World, account: Jid, *, told: bool = True) -> None:
    """Remove an account; when nobody is told, the server stopped in that moment."""
    host = world.server.hosts[account.domain]
    assert await world.stores.accounts.remove(account)
    host.directory.forget(account)
    wait = host.hooks.tell(AccountRemoved(account)) if told else None
    if wait is not None:
        await wait


async def register_again(world: World, account: Jid) -> None:
    wait = world.server.hosts[account.domain].hooks.run(AccountWanted(account))
    assert wait is not None
    await wait
    await world.register(account)


async def test_everything_is_kept_unless_the_domain_says_otherwise(world: World) -> None:
    await talk(world, 7)
    await world.advance(1_000 * DAY)
    await passes(world, 2)
    assert len(await bodies(world, ALICE)) == len(await bodies(world, BOB)) == 7


async def test_what_is_too_old_goes() -> None:
    world = await start(keep_days=10)
    await talk(world, 5)
    await world.advance(8 * DAY)
    await talk(world, 3, first=6)
    await passes(world)
    assert len(await bodies(world, BOB)) == 8
    await world.advance(3 * DAY)
    await passes(world)
    assert await bodies(world, BOB) == await bodies(world, ALICE) == ["text 6", "text 7", "text 8"]
    head = await world.stores.ledger.head(BOB)
    assert (head.first, head.position) == (6, 8)
    assert (await world.stores.ledger.conversation(BOB, ALICE)).unread == 3
    with pytest.raises(NoSuchEntry):
        await world.stores.ledger.page(BOB, PageQuery(after=EntryId(head.epochs[0][0], 3)))
    await world.stop()


async def test_what_is_too_much_goes_from_each_archive() -> None:
    world = await start(keep_messages=4)
    await talk(world, 5)
    await talk(world, 2, sender=CAROL, first=6)
    await passes(world)
    assert await bodies(world, ALICE) == [f"text {number}" for number in (2, 3, 4, 5)]
    assert await bodies(world, BOB) == [f"text {number}" for number in (4, 5, 6, 7)]
    assert await bodies(world, CAROL) == ["text 6", "text 7"]
    await world.stop()


async def test_what_is_too_large_goes_from_each_archive() -> None:
    world = await start()
    await talk(world, 1)
    octets = (await world.stores.ledger.head(BOB)).octets
    await world.stop()
    world = await start(keep_octets=3 * octets)
    await talk(world, 5)
    await talk(world, 2, sender=CAROL, first=6)
    await passes(world)
    assert await bodies(world, ALICE) == [f"text {number}" for number in (3, 4, 5)]
    assert await bodies(world, BOB) == [f"text {number}" for number in (5, 6, 7)]
    assert await bodies(world, CAROL) == ["text 6", "text 7"]
    assert retention(world).trimmed == 6
    await world.stop()


async def test_a_held_archive_is_not_trimmed_for_its_size() -> None:
    world = await start(keep_octets=1)
    await talk(world, 3)
    await world.stores.ledger.hold_archive(BOB)
    await passes(world, 2)
    assert await bodies(world, ALICE) == []
    assert len(await bodies(world, BOB)) == 3
    await world.stop()


async def test_what_is_held_stays() -> None:
    world = await start(keep_messages=1)
    await talk(world, 5)
    await world.stores.ledger.hold(BOB, (2,))
    await world.stores.ledger.hold_archive(ALICE)
    await passes(world, 2)
    assert await bodies(world, BOB) == ["text 2", "text 5"]
    assert len(await bodies(world, ALICE)) == 5
    await world.stop()


async def test_steps_are_small_and_have_pauses() -> None:
    world = await start(keep_messages=1)
    await talk(world, 9)
    feature = retention(world)
    await world.advance(FIRST_PASS)
    steps = []
    while not feature.passes:
        before = feature.trimmed
        await world.advance(0.5)
        steps.append(feature.trimmed - before)
    assert max(steps) <= 2
    assert feature.trimmed == 16
    assert steps.count(0) >= sum(step > 0 for step in steps)  # a pause after each
    await world.stop()


async def test_each_domain_keeps_what_it_wants() -> None:
    world = await World.start()
    other = Jid("dora@other.test")
    await world.register(other)
    world.server.hosts["localhost"].options["retention"].now = RetentionOptions(keep_messages=1)
    await talk(world, 3, to=other)
    await passes(world)
    assert len(await bodies(world, ALICE)) == 1
    assert len(await bodies(world, other)) == 3
    await world.stop()


async def test_a_removed_account_is_forgotten_in_steps(world: World) -> None:
    await talk(world, 9)
    await remove(world, BOB)
    for _ in range(30):
        await world.advance(1)
    ledger = world.stores.ledger
    assert await bodies(world, BOB) == []
    assert (await ledger.inbox(BOB, InboxQuery(all_boxes=True))).rows == ()
    assert len(await bodies(world, ALICE)) == 9
    assert retention(world).forgotten >= 9


async def test_a_removed_account_is_no_reason_for_a_pass(world: World) -> None:
    await talk(world, 3)
    await passes(world)
    done = retention(world).passes
    await remove(world, BOB)
    for _ in range(60):
        await world.advance(1)
    assert await bodies(world, BOB) == []
    assert retention(world).passes == done
    await passes(world)


async def test_what_a_follower_has_not_read_waits_for_it() -> None:
    world = await start(keep_messages=2, follower_days=3)
    await talk(world, 6)
    followers = world.stores.ledger.followers
    push = await followers.take_lease("push", "one", 10)
    await passes(world)
    assert len(await bodies(world, BOB)) == 6
    page = await world.stores.ledger.feed_after(push.cursor, 3)
    assert await followers.advance("push", "one", push.cursor, page.cursor)
    await passes(world)
    assert len(await bodies(world, BOB)) == 3
    await world.advance(4 * DAY)  # and then it is waited for no more
    await passes(world)
    assert len(await bodies(world, BOB)) == 2
    gaps = [
        item
        for item in (await world.stores.ledger.feed_after(page.cursor)).items
        if isinstance(item, FeedGap)
    ]
    assert sum(gap.count for gap in gaps) == 1
    await world.stop()


async def test_what_a_stop_of_the_server_left_is_forgotten_later(world: World) -> None:
    await talk(world, 9)
    await remove(world, BOB, told=False)
    assert len(await bodies(world, BOB)) == 9
    await passes(world)
    assert await bodies(world, BOB) == []
    assert len(await bodies(world, ALICE)) == 9


@pytest.mark.parametrize("told", [True, False])
async def test_whoever_registers_the_address_again_begins_with_nothing(world: World, told: bool) -> None:
    ledger = world.stores.ledger
    await talk(world, 9)
    await ledger.commit(LedgerBatch(cursors=(CursorMove(archive=BOB, device="phone", position=3),)))
    old = await ledger.head(BOB)
    await remove(world, BOB, told=told)
    await world.settle()
    await register_again(world, BOB)
    assert await bodies(world, BOB) == []
    assert (await ledger.inbox(BOB, InboxQuery(all_boxes=True))).rows == ()
    assert await ledger.devices(BOB) == {}
    await talk(world, 2, first=10)
    await passes(world, 2)
    assert await bodies(world, BOB) == ["text 10", "text 11"]
    assert (await ledger.conversation(BOB, ALICE)).unread == 2
    head = await ledger.head(BOB)
    assert head.position == old.position + 2
    assert head.epoch_at(head.position) != old.epoch_at(old.position)
    with pytest.raises(NoSuchEntry):
        await ledger.page(BOB, PageQuery(after=EntryId(old.epoch_at(9), 9)))


async def test_what_is_held_of_an_earlier_owner_is_nobody_elses(world: World) -> None:
    await talk(world, 3)
    await world.stores.ledger.hold(BOB, (2,))
    await remove(world, BOB)
    await passes(world)
    assert await bodies(world, BOB) == ["text 2"]
    with pytest.raises(StanzaError) as caught:
        await register_again(world, BOB)
    assert (caught.value.condition, caught.value.text) == ("conflict", "that name is taken")
    await world.stores.ledger.hold(BOB, (2,), is_held=False)
    await register_again(world, BOB)
    assert await bodies(world, BOB) == []


async def test_wanting_an_address_that_is_in_use_forgets_nothing(world: World) -> None:
    await talk(world, 3)
    await register_again(world, BOB)
    assert len(await bodies(world, BOB)) == 3


async def test_a_client_that_registers_again_begins_with_nothing(world: World) -> None:
    await talk(world, 3)
    bob = await world.login("bob@localhost/b")
    await bob.send("<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>")
    for _ in range(10):
        await world.advance(1)
    assert await bodies(world, BOB) == []
    assert len(await bodies(world, ALICE)) == 3


async def test_progress_is_told() -> None:
    world = await start(keep_messages=1)
    await talk(world, 3)
    await passes(world)
    samples = {
        sample.name: sample.value
        for family in world.server.telemetry.collect()
        for sample in family.samples
        if sample.name.startswith("tidings_retention")
    }
    assert samples == {
        "tidings_retention_trimmed_total": 4,
        "tidings_retention_forgotten_total": 0,
        "tidings_retention_passes_total": 2,
        "tidings_retention_looked_at": 0,
    }
    await world.stop()


async def test_nothing_runs_after_the_end() -> None:
    world = await start(keep_messages=1)
    await talk(world, 3)
    await world.advance(FIRST_PASS)
    await world.stop()
    world.clock.advance(DAY)
    assert not world.server.supervisor.busy


async def test_the_archive_of_what_exists_and_is_no_account_stays() -> None:
    """Whether an archive has an owner is for the kind of its host to say."""
    lists = msgspec.structs.replace(LISTS, features=(*LISTS.features, Retention, Inbox, BinCleaning))
    world = await World.start(("localhost",), options=options(), services=(lists,))
    this = Jid("all@lists.localhost")
    await world.register(ALICE)
    await join(world, this, ALICE)
    await join(world, this, BOB)
    alice = await world.online(f"{ALICE}/phone")
    for number in (1, 2, 3):
        await alice.send(f"<message to='{this}' type='chat'><body>text {number}</body></message>")
    await alice.leave()
    await passes(world, 2)
    assert await texts(world, this) == ["text 1", "text 2", "text 3"]
    await remove(world, ALICE)
    await world.advance(DAY)  # the bins are emptied now and then
    await passes(world)
    assert await texts(world, this) == ["text 1", "text 2", "text 3"]
    for member in (ALICE, BOB):
        await kick(world, this, member)  # without members there is no list any more
    await passes(world, 2)
    assert await texts(world, this) == []
    await world.stop()
