"""Followers: pages in order and at least once, leases, failures, dead letters, and nobody woken in vain."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from tests.harness.clock import VirtualClock
from tests.kernel.following import Process, Times, at_part, memory_ledger, talk, until, words_of
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.errors import BackendError
from tidings.kernel.follower import LEASE, POLL, CannotFollow, Follower, Pace
from tidings.ports.ledger.feed import Cursor, FeedItem, FeedPage


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
async def ledger(times: Times) -> AsyncIterator[SqlLedger]:
    opened = await memory_ledger(times)
    yield opened
    await opened.close()


class Reader:
    """Follows the feed, and does with some things what a test says."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.pages = 0
        self.does: dict[str, Callable[[FeedItem], None]] = {}
        self.gate: asyncio.Event | None = None

    async def take(self, page: FeedPage) -> Cursor | None:
        self.pages += 1
        for item in page.items:
            words = words_of(item)
            if words in self.does:
                self.does[words](item)
            self.read.append(words)
        if self.gate is not None:
            await self.gate.wait()
        return None


async def started(
    ledger: SqlLedger, reader: Reader, pace: Pace | None = None, clock: VirtualClock | None = None
) -> tuple[Process, Follower]:
    process = Process(ledger, clock or VirtualClock())
    ledger._now.clock = process.clock  # type: ignore[attr-defined]  # the one that came last tells the time
    follower = process.followers.follow("push", reader.take, pace)
    await process.followers.start()
    return process, follower


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def cannot(item: FeedItem) -> None:
    raise CannotFollow(item, "nobody wants it")


# --- in order, and woken by what is written


async def test_what_is_there_at_the_start_is_read_in_pages(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 11))
    reader = Reader()
    process, follower = await started(ledger, reader, Pace(limit=4))
    await process.pass_time(POLL)
    assert (reader.read, reader.pages) == (numbers(1, 10), 3)
    assert follower.lag == 0
    state = await ledger.followers.follower("push")
    assert state is not None
    assert (await ledger.feed_after(state.cursor)).items == ()


async def test_what_has_no_mark_is_passed_over_and_not_looked_at_again(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 11))
    reader = Reader()
    process, follower = await started(ledger, reader, Pace(limit=3, marks=(b"7", b"none")))
    await process.pass_time(POLL)
    assert (reader.read, follower.lag) == (["7"], 0)
    state = await ledger.followers.follower("push")
    assert state is not None
    assert (await ledger.feed_after(state.cursor)).items == ()
    await talk(ledger, 11, 17)
    await process.settle()
    assert (reader.read, follower.lag) == (["7", "17"], 0)


async def test_the_writer_wakes_followers_at_once(ledger: SqlLedger) -> None:
    reader = Reader()
    process, _ = await started(ledger, reader)
    await process.pass_time(POLL)
    for number in numbers(1, 3):
        await talk(ledger, number)
        await process.settle()  # no time passes
        assert reader.read[-1] == number
    assert reader.read == numbers(1, 3)


async def test_what_comes_soon_after_another_may_be_read_together(ledger: SqlLedger) -> None:
    reader = Reader()
    process, _ = await started(ledger, reader, Pace(delay=2.0))
    await process.pass_time(10)
    await talk(ledger, 1)
    await process.settle()
    await process.pass_time(1)
    await talk(ledger, 2)
    assert reader.read == []
    await process.pass_time(1)
    assert (reader.read, reader.pages) == (["1", "2"], 1)


async def test_no_follower_wakes_another_or_itself(ledger: SqlLedger) -> None:
    one, two = Reader(), Reader()
    process, _ = await started(ledger, one)
    process.followers.follow("events", two.take).start()
    await process.pass_time(2 * POLL)
    await talk(ledger, 1)
    await process.settle()  # it ends: nobody goes round in circles
    before = await ledger.feed()
    assert (one.read, two.read) == (["1"], ["1"])
    await process.pass_time(10 * POLL)
    assert await ledger.feed() == before
    assert (one.pages, two.pages) == (1, 1)


async def test_a_new_follower_may_begin_with_what_comes(ledger: SqlLedger) -> None:
    await talk(ledger, "before")
    reader = Reader()
    process, _ = await started(ledger, reader, Pace(from_now=True))
    await process.pass_time(POLL)
    await talk(ledger, "after")
    await process.settle()
    assert reader.read == ["after"]


async def test_what_other_processes_write_is_found_without_a_bell(ledger: SqlLedger) -> None:
    reader = Reader()
    process, _ = await started(ledger, reader)
    await process.pass_time(POLL)
    ledger.state.on_feed = lambda _: None
    await talk(ledger, "from elsewhere")
    await process.pass_time(POLL)
    assert reader.read == ["from elsewhere"]


# --- the lease and the cursor


async def test_a_crash_between_effect_and_cursor_repeats_and_loses_nothing(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 6))
    first = Reader()
    first.gate = asyncio.Event()
    process, _ = await started(ledger, first, Pace(limit=3))
    process.clock.advance(POLL)
    await until(lambda: len(first.read) == 3)  # the effects are there, the cursor has not moved
    await process.die()
    second = Reader()
    process, _ = await started(ledger, second, Pace(limit=3), VirtualClock(process.clock.now()))
    await process.pass_time(POLL)
    assert second.read == []  # the lease of the one that was killed has not run out
    await process.pass_time(2 * LEASE)
    assert second.read == numbers(1, 5)


async def test_a_follower_that_ends_in_order_leaves_its_place_to_the_next(ledger: SqlLedger) -> None:
    await talk(ledger, 1, 2)
    process, _ = await started(ledger, Reader())
    await process.pass_time(POLL)
    await process.followers.stop()
    second = Reader()
    process, _ = await started(ledger, second, clock=VirtualClock(process.clock.now()))
    await talk(ledger, 3)
    await process.pass_time(POLL)
    assert second.read == ["3"]


async def test_a_paused_owner_goes_on_where_the_other_one_is(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 4))
    paused = Reader()
    paused.gate = asyncio.Event()
    one, _ = await started(ledger, paused, Pace(limit=1))
    one.clock.advance(POLL)
    await until(lambda: paused.read == ["1"])  # and now its clock stands still
    other = Reader()
    two, _ = await started(ledger, other, clock=VirtualClock(one.clock.now()))
    await two.pass_time(3 * LEASE)
    assert other.read == numbers(1, 3)
    stands = (await ledger.followers.follower("push")).cursor
    paused.gate.set()
    await one.settle()
    assert paused.read == ["1"]  # it did not go on, and moved nothing back
    assert (await ledger.followers.follower("push")).cursor == stands


async def test_a_long_page_keeps_its_lease(ledger: SqlLedger) -> None:
    await talk(ledger, 1, 2)
    slow = Reader()
    slow.gate = asyncio.Event()
    one, _ = await started(ledger, slow)
    one.clock.advance(POLL)
    await until(lambda: len(slow.read) == 2)
    for _ in range(6):
        one.clock.advance(LEASE / 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert await ledger.followers.take_lease("push", "another", 1) is None
    slow.gate.set()
    await one.settle()
    await talk(ledger, 3)
    await one.settle()
    assert slow.read == numbers(1, 3)


async def test_a_follower_that_is_rewound_goes_back(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 6))
    reader = Reader()
    process, _ = await started(ledger, reader)
    await process.pass_time(POLL)
    third = (await ledger.feed_after(Cursor(""))).items[2]
    incarnation, _ = await ledger.feed()
    await ledger.followers.rewind("push", Cursor(incarnation, third.feed, third.number))
    await process.pass_time(POLL)
    assert reader.read == [*numbers(1, 5), *numbers(3, 5)]


async def test_a_cursor_may_stand_inside_an_entry(ledger: SqlLedger) -> None:
    await talk(ledger, "a", "b")
    effects: list[str] = []

    class Fan(Reader):
        async def take(self, page: FeedPage) -> Cursor | None:
            item, done = page.items[0], page.start.part
            effects.append(f"{words_of(item)}{done}")
            return page.cursor.behind(item) if done == 2 else at_part(item, page.cursor, done + 1)

    process, _ = await started(ledger, Fan())
    await process.pass_time(POLL)
    assert effects == ["a0", "a1", "a2", "b0", "b1", "b2"]
    inside = at_part((await ledger.feed_after(Cursor(""))).items[1], Cursor((await ledger.feed())[0]), 1)
    await ledger.followers.rewind("push", inside)
    await process.pass_time(POLL)
    assert effects[6:] == ["b1", "b2"]


# --- what fails


async def test_a_target_that_does_not_answer_is_waited_for(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 4))
    reader, failures = Reader(), []

    def fail(item: FeedItem) -> None:
        if len(failures) < 6:
            failures.append(process.clock.monotonic())
            raise BackendError("the broker is gone")

    reader.does["2"] = fail
    process, follower = await started(ledger, reader)
    await process.pass_time(200, 0.25)
    pauses = [after - before for before, after in itertools.pairwise(failures)]
    assert len(pauses) == 5
    assert all(2**n * 0.5 <= pause <= 2**n * 1.5 + 0.25 for n, pause in enumerate(pauses))
    assert list(dict.fromkeys(reader.read)) == numbers(1, 3)
    assert follower.failures == process.metric("follower_failures_total", "push") == 6
    assert (await ledger.followers.dead_letters("push")) == ()


async def test_what_cannot_succeed_is_put_aside_and_the_rest_goes_on(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 6))
    reader = Reader()
    reader.does["3"] = cannot
    process, _ = await started(ledger, reader, Pace(tries=3))
    await process.pass_time(60)
    assert reader.read == ["1", "2", "4", "5"]
    (letter,) = await ledger.followers.dead_letters("push")
    assert letter.reason == "nobody wants it"
    assert words_of((await ledger.feed_after(letter.cursor, 1)).items[0]) == "3"
    assert process.metric("follower_dead_letters", "push") == 1
    assert process.metric("follower_failures_total", "push") == 3
    assert process.metric("follower_lag", "push") == 0


async def test_a_dead_letter_is_tried_again_when_asked_for(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 4))
    reader = Reader()
    reader.does["1"] = reader.does["2"] = cannot
    process, follower = await started(ledger, reader, Pace(tries=1))
    await process.pass_time(POLL)
    assert (reader.read, follower.dead_letters) == (["3"], 2)
    del reader.does["1"]
    await ledger.followers.retry_dead_letters("push")
    await process.pass_time(POLL)
    assert reader.read == ["3", "1"]
    (letter,) = await ledger.followers.dead_letters("push")
    assert (letter.is_retried, follower.dead_letters) == (False, 1)
    assert words_of((await ledger.feed_after(letter.cursor, 1)).items[0]) == "2"


async def test_a_dead_letter_whose_message_was_trimmed_is_forgotten(ledger: SqlLedger) -> None:
    await talk(ledger, 1, 2)
    reader = Reader()
    reader.does["1"] = cannot
    process, _ = await started(ledger, reader, Pace(tries=1))
    await process.pass_time(POLL)
    for archive in await ledger.archives("example.org"):
        await ledger.trim(archive, keep=1)
    await ledger.followers.retry_dead_letters("push")
    await process.pass_time(POLL)
    assert await ledger.followers.dead_letters("push") == ()


async def test_a_bug_is_told_and_does_not_stop_the_follower_for_ever(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 5))
    reader = Reader()

    def break_down(item: FeedItem) -> None:
        raise KeyError("a bug")

    reader.does["2"] = break_down
    process, _ = await started(ledger, reader, Pace(tries=2))
    await process.pass_time(1000, 5)
    assert list(dict.fromkeys(reader.read)) == ["1", "3", "4"]
    assert process.telemetry.bugs["follower push"] == 6  # twice with "1", twice without, twice alone
    assert len(await ledger.followers.dead_letters("push")) == 1


async def test_a_ledger_that_does_not_answer_is_waited_for(ledger: SqlLedger) -> None:
    await talk(ledger, 1)
    reader = Reader()
    process, follower = await started(ledger, reader)
    before = ledger.feed_after
    outage = [BackendError("the disk is full")] * 3

    async def feed_after(cursor: Cursor, limit: int = 500, marks: Sequence[bytes] = ()) -> FeedPage:
        if outage:
            raise outage.pop()
        return await before(cursor, limit, marks)

    ledger.feed_after = feed_after  # type: ignore[method-assign]
    await process.pass_time(60)
    assert (reader.read, follower.failures) == (["1"], 3)


async def test_a_backlog_does_not_hold_up_the_end(ledger: SqlLedger) -> None:
    await talk(ledger, *range(1, 101))
    reader = Reader()
    process, _ = await started(ledger, reader, Pace(limit=1))
    process.clock.advance(POLL)
    await until(lambda: len(reader.read) >= 5)
    process.followers.wind_down()
    await process.settle()  # the page under way comes to its end, and no other begins
    await process.followers.stop()
    assert len(reader.read) < 20
    rest = Reader()
    process, _ = await started(ledger, rest, clock=VirtualClock(process.clock.now()))
    await process.pass_time(POLL)
    assert reader.read + rest.read == numbers(1, 100)
