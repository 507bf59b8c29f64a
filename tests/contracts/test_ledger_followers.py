"""Followers: the feed in order, cursors anywhere in it, leases, gaps, and what could not be done."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from typing import Final

import msgspec
import pytest

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    ROOM,
    SECOND,
    START,
    Clock,
    accept,
    at,
    chat,
    clock,
    key,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    read,
    said,
    say,
    texts,
)
from tests.harness.databases import Server
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.ports.ledger.batch import Direction, EntryKind, Event, LedgerBatch, ReadMove
from tidings.ports.ledger.feed import (
    Cursor,
    FeedEntry,
    FeedErasure,
    FeedEvent,
    FeedGap,
    FeedItem,
    FeedRestart,
)
from tidings.ports.ledger.followers import FollowerState, NoSuchFollower

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]

BEGIN: Final = Cursor("")


@pytest.fixture
async def filled(ledger: SqlLedger, clock: Clock) -> SqlLedger:
    """Twenty messages to Bob, one in each transaction, and ten in a room, all in one."""
    for number in range(1, 21):
        clock.now = START + number * SECOND
        await accept(ledger, chat(ALICE if number % 2 else CAROL, BOB, number))
    await accept(ledger, *(say(ALICE, number) for number in range(21, 31)))
    return ledger


async def follow(ledger: SqlLedger, cursor: Cursor = BEGIN, limit: int = 500) -> list[FeedItem]:
    """Read the feed to its end, a page at a time."""
    found: list[FeedItem] = []
    while True:
        page = await ledger.feed_after(cursor, limit)
        assert page.start == cursor
        found += page.items
        if page.is_complete:
            return found
        assert (page.cursor.feed, page.cursor.number) > (cursor.feed, cursor.number)
        cursor = page.cursor


def words(item: FeedItem) -> str | None:
    """Give the text of a message, the subject of an event."""
    if isinstance(item, FeedEntry):
        return item.body.decode().partition("<body>")[2].partition("</body>")[0]
    return item.subject if isinstance(item, FeedEvent) else None


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


async def leased(ledger: SqlLedger, name: str = "push", owner: str = "one") -> FollowerState:
    state = await ledger.followers.take_lease(name, owner, 30)
    assert state is not None
    return state


# -- the feed


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_the_feed_gives_every_message_once_in_order(filled: SqlLedger, limit: int) -> None:
    await filled.erase(BOB, (1, 2))
    found = await follow(filled, limit=limit)
    assert [words(item) for item in found[:30]] == ["1", "2", *numbers(3, 30)]
    places = [(item.feed, item.number) for item in found]
    assert places == sorted(set(places))
    erased = [item for item in found if isinstance(item, FeedErasure)]
    assert [(item.archive, item.position) for item in erased] == [(BOB, 1), (BOB, 2)]
    assert len(found) == 32


async def test_an_entry_says_where_it_is_and_what(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "hello", name=1, resource="phone", groupchat=True))
    await accept(ledger, pointing(BOB, ALICE, EntryKind.RECEIPT, 1))
    message, receipt = await follow(ledger)
    sent, received = message.places
    assert (message.kind, message.time, receipt.kind) == (EntryKind.MESSAGE, START, EntryKind.RECEIPT)
    assert (sent.archive, sent.peer, sent.direction, sent.resource) == (ALICE, BOB, Direction.SENT, "")
    assert (received.archive, received.peer, received.resource) == (BOB, ALICE, "phone")
    assert (received.direction, received.countable, received.groupchat) == (Direction.RECEIVED, True, True)
    assert (await at(ledger, BOB, 1)).epoch == received.epoch
    assert [place.target for place in receipt.places] == [1, 1]
    assert (message.sender, receipt.sender) == (ALICE, BOB)


async def test_a_message_of_a_room_tells_which_member_sent_it(ledger: SqlLedger) -> None:
    await accept(ledger, say(CAROL, "hello"))
    (message,) = await follow(ledger)
    assert (message.sender, message.places[0].archive, message.places[0].peer) == (CAROL, ROOM, ROOM)


async def test_a_page_of_large_messages_is_short(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, "x" * 900_000) for _ in range(3)))
    await accept(ledger, chat(ALICE, BOB, "z"))
    page = await ledger.feed_after(BEGIN)
    assert (len(page.items), page.is_complete) == (2, False)
    assert len((await ledger.feed_after(page.cursor)).items) == 2


async def test_messages_without_a_mark_are_passed_over_and_nothing_else_is(filled: SqlLedger) -> None:
    await filled.erase(BOB, (1, 2))
    page = await filled.feed_after(BEGIN, 500, (b"29", b"13"))
    assert [words(item) for item in page.items if isinstance(item, FeedEntry)] == ["13", "29"]
    assert [item.position for item in page.items if isinstance(item, FeedErasure)] == [1, 2]
    assert (page.is_complete, (await filled.feed_after(page.cursor)).items) == (True, ())
    page = await filled.feed_after(BEGIN, 10, (b"29",))
    assert (page.is_complete, page.cursor) == (False, (await filled.feed_after(BEGIN, 10)).cursor)


async def test_a_page_may_end_inside_a_transaction(filled: SqlLedger) -> None:
    page = await filled.feed_after(BEGIN, limit=24)
    assert [words(item) for item in page.items] == numbers(1, 24)
    assert (page.cursor.feed, page.cursor.number) == (page.items[-1].feed, page.items[-1].number + 1)
    assert [words(item) for item in await follow(filled, page.cursor)] == numbers(25, 30)
    inside = page.cursor.at(page.items[21])
    assert [words(item) for item in await follow(filled, inside)] == numbers(22, 30)
    assert [words(item) for item in await follow(filled, inside.behind(page.items[21]))] == numbers(23, 30)


async def test_very_many_erasures_come_in_pages(ledger: SqlLedger) -> None:
    for _ in range(4):
        await accept(ledger, *(say(ALICE, number) for number in range(400)))
    cursor = (await ledger.feed_after(BEGIN, 2000)).cursor
    for start in range(1, 1601, 400):
        await ledger.erase(ROOM, tuple(range(start, start + 400)))
    first = await ledger.feed_after(cursor, 2000)
    assert not first.is_complete
    found = [*first.items, *await follow(ledger, first.cursor)]
    assert [item.position for item in found] == list(range(1, 1601))


async def test_cursors_are_written_and_read() -> None:
    cursor = Cursor("abcdefghij", 7, 3, 2)
    assert Cursor.parse(str(cursor)) == cursor
    assert Cursor.parse("abcdefghij-7") == Cursor("abcdefghij", 7)
    for text in ("", "x", "-3", "abc-", "abc-x", "abc-1.2.3.4", "abc-1.-2", "abc-²"):
        assert Cursor.parse(text) is None


# -- events


async def test_events_stand_among_the_messages_that_they_belong_to(ledger: SqlLedger) -> None:
    told = Event("kicked", "carol@example.org", b"\x00\xff")
    await ledger.commit(
        LedgerBatch(
            appends=(
                chat(ALICE, BOB, "first"),
                msgspec.structs.replace(say(ALICE, "second"), events=(told, Event("version", "room"))),
                chat(ALICE, BOB, "third"),
            ),
            reads=(ReadMove(owner=BOB, peer=ALICE, upto=0),),
            events=(Event("read", "bob@example.org"),),
        )
    )
    await ledger.commit(LedgerBatch(events=(Event("account-made", "dora@example.org"),)))
    for limit in (1, 2, 500):
        found = await follow(ledger, limit=limit)
        assert [words(item) for item in found] == [
            "first",
            "second",
            "carol@example.org",
            "room",
            "third",
            "bob@example.org",
            "dora@example.org",
        ]
    assert (found[2].kind, found[2].body, found[2].time) == ("kicked", b"\x00\xff", START)
    assert [item.number for item in found] == [0, 1, 2, 3, 4, 5, 0]


async def test_a_repeat_tells_no_event_again(ledger: SqlLedger) -> None:
    message = msgspec.structs.replace(
        chat(ALICE, BOB, "once", name=1), repeat=key(ALICE, 1), events=(Event("sent", "alice"),)
    )
    for _ in range(2):
        await accept(ledger, message)
    assert [words(item) for item in await follow(ledger)] == ["once", "alice"]


# -- what is gone before a follower comes


async def test_what_was_trimmed_before_is_told_as_a_gap(filled: SqlLedger) -> None:
    for archive in (ALICE, CAROL, BOB):
        await filled.trim(archive, keep=2)
    assert await filled.trim(ROOM, keep=4) == 6
    found = await follow(filled)
    gaps = [item for item in found if isinstance(item, FeedGap)]
    left = [words(item) for item in found if isinstance(item, FeedEntry)]
    assert left == [*numbers(17, 20), *numbers(27, 30)]
    assert sum(gap.count for gap in gaps) == 22
    assert [item.number for item in found[-5:]] == [0, 6, 7, 8, 9]
    inside = Cursor(gaps[0].feed and (await filled.feed())[0], gaps[-1].feed, 3)
    assert [item.count for item in await follow(filled, inside) if isinstance(item, FeedGap)] == [3]
    behind = inside.behind(found[-4])
    assert [words(item) for item in await follow(filled, behind)] == numbers(28, 30)


async def test_an_entry_that_only_one_archive_has_left_is_no_gap(filled: SqlLedger) -> None:
    await filled.trim(BOB, keep=0)
    first = (await follow(filled))[0]
    assert (words(first), [place.archive for place in first.places]) == ("1", [ALICE])


async def test_what_was_erased_before_has_no_content(filled: SqlLedger) -> None:
    await filled.erase_everywhere(await at(filled, BOB, 2), BOB)
    second = (await follow(filled))[1]
    assert (second.body, [place.is_erased for place in second.places]) == (b"", [True, True])


async def test_gaps_and_events_are_forgotten_behind_the_slowest_follower(filled: SqlLedger, clock) -> None:
    await filled.commit(LedgerBatch(events=(Event("made", "dora"),)))
    await filled.trim(ROOM, keep=0)
    state = await leased(filled)
    while await filled.forget_stale(START + 1000 * SECOND):
        pass
    assert [type(item) for item in await follow(filled)][-2:] == [FeedGap, FeedEvent]
    end = (await filled.feed_after(BEGIN)).cursor
    await filled.followers.advance("push", "one", state.cursor, end)
    await filled.index_step(100)
    await accept(filled, chat(ALICE, BOB, "later"))
    while await filled.forget_stale(START + 1000 * SECOND):
        pass
    assert {type(item) for item in await follow(filled)} == {FeedEntry}


async def test_a_new_incarnation_is_told_once(filled: SqlLedger) -> None:
    page = await filled.feed_after(BEGIN, limit=10)
    incarnation = await filled.renew()
    told, *rest = await follow(filled, page.cursor, limit=5)
    assert isinstance(told, FeedRestart)
    assert (told.before, told.incarnation) == (page.cursor.incarnation, incarnation)
    assert [words(item) for item in rest] == numbers(11, 30)
    page = await filled.feed_after(page.cursor, limit=5)
    assert page.cursor.incarnation == incarnation
    assert not any(isinstance(item, FeedRestart) for item in await follow(filled, page.cursor))


async def test_a_cursor_that_is_ahead_of_another_ledger_waits_at_its_end(filled: SqlLedger) -> None:
    page = await filled.feed_after(Cursor("aaaaaaaaaa", 99_999))
    assert [type(item) for item in page.items] == [FeedRestart]
    await accept(filled, chat(ALICE, BOB, "next"))
    assert [words(item) for item in await follow(filled, page.cursor)] == ["next"]


# -- followers and leases


async def test_a_new_follower_begins_at_the_beginning_or_now(filled: SqlLedger) -> None:
    assert await filled.followers.follower("push") is None
    first = await leased(filled)
    assert [words(item) for item in await follow(filled, first.cursor)] == numbers(1, 30)
    later = await filled.followers.take_lease("events", "one", 30, from_now=True)
    await accept(filled, chat(ALICE, BOB, "news"))
    assert [words(item) for item in await follow(filled, later.cursor)] == ["news"]
    assert [state.name for state in await filled.followers.followers()] == ["events", "push"]


async def test_one_owner_at_a_time(ledger: SqlLedger, clock: Clock) -> None:
    followers = ledger.followers
    assert (await leased(ledger)).owner == "one"
    assert await followers.take_lease("push", "two", 30) is None
    clock.now += 20 * SECOND
    await leased(ledger)  # renewed
    clock.now += 20 * SECOND
    assert await followers.take_lease("push", "two", 30) is None
    clock.now += 11 * SECOND
    assert (await leased(ledger, owner="two")).owner == "two"
    assert await followers.take_lease("push", "one", 30) is None
    await followers.release("push", "one")  # no longer its to give
    assert await followers.take_lease("push", "one", 30) is None
    await followers.release("push", "two")
    assert (await leased(ledger)).owner == "one"


async def test_a_paused_owner_moves_nothing(filled: SqlLedger, clock: Clock) -> None:
    paused = await leased(filled)
    page = await filled.feed_after(paused.cursor, 5)
    clock.now += 31 * SECOND
    other = await leased(filled, owner="two")
    assert other.cursor == paused.cursor
    further = await filled.feed_after(other.cursor, 10)
    assert await filled.followers.advance("push", "two", other.cursor, further.cursor)
    assert not await filled.followers.advance("push", "one", paused.cursor, page.cursor)
    assert (await filled.followers.follower("push")).cursor == further.cursor


async def test_a_cursor_moves_from_where_it_stands_only(filled: SqlLedger, clock: Clock) -> None:
    state = await leased(filled)
    incarnation, _ = await filled.feed()
    inside = Cursor(incarnation, 3, 0, 7)
    clock.now += SECOND
    assert await filled.followers.advance("push", "one", state.cursor, inside)
    assert await filled.followers.advance("push", "one", state.cursor, inside)  # nobody heard the answer
    assert not await filled.followers.advance("push", "one", state.cursor, Cursor(incarnation, 9))
    found = await filled.followers.follower("push")
    assert (found.cursor, found.moved) == (inside, clock.now)
    assert (await filled.feed_after(found.cursor)).start.part == 7
    assert not await filled.followers.advance("nobody", "one", state.cursor, inside)


async def test_a_rewound_follower_begins_there(filled: SqlLedger) -> None:
    state = await leased(filled)
    page = await filled.feed_after(state.cursor, 10)
    await filled.followers.advance("push", "one", state.cursor, page.cursor)
    next_page = await filled.feed_after(page.cursor, 10)
    back = page.cursor.at(page.items[4])
    await filled.followers.rewind("push", back)
    assert not await filled.followers.advance("push", "one", page.cursor, next_page.cursor)
    assert [words(item) for item in await follow(filled, (await leased(filled)).cursor)] == numbers(5, 30)
    with pytest.raises(NoSuchFollower):
        await filled.followers.rewind("nobody", back)


async def test_followers_wake_nobody(filled: SqlLedger) -> None:
    rung: list[int] = []
    filled.state.on_feed = rung.append
    await filled.erase(ROOM, (1,))  # what was written before rings no more after this
    assert rung
    rung.clear()
    before = await filled.feed()
    state = await leased(filled)
    page = await filled.feed_after(state.cursor)
    await filled.followers.advance("push", "one", state.cursor, page.cursor)
    await filled.followers.put_aside("push", page.cursor.at(page.items[0]), "no")
    await filled.followers.rewind("push", state.cursor)
    await filled.followers.release("push", "one")
    await filled.index_step()
    assert (await filled.feed(), rung) == (before, [])


async def test_what_is_written_wakes_followers(ledger: SqlLedger) -> None:
    rung: list[int] = []
    ledger.state.on_feed = rung.append
    await accept(ledger, chat(ALICE, BOB, "hello"))
    await read(ledger, BOB, ALICE, 1)
    await ledger.erase(BOB, (1,))
    while ledger.state.feed < 3:
        await asyncio.sleep(0)
    await asyncio.to_thread(lambda: None)
    assert rung[-1:] == [3]
    assert rung == sorted(set(rung))
    assert (await ledger.feed())[1] == ledger.state.feed


# -- dead letters


async def test_dead_letters_wait_until_they_are_tried_again(filled: SqlLedger, clock: Clock) -> None:
    followers = filled.followers
    state = await leased(filled)
    page = await filled.feed_after(state.cursor)
    places = [page.cursor.at(item) for item in page.items]
    for place in (places[25], places[3], places[9]):
        await followers.put_aside("push", place, "the phone is switched off: ü")
    await followers.put_aside("push", places[3], "again")
    letters = await followers.dead_letters("push")
    assert [letter.cursor for letter in letters] == [places[3], places[9], places[25]]
    assert (letters[2].reason, letters[2].time) == ("the phone is switched off: ü", clock.now)
    assert letters[0].reason == "again"
    assert [each.cursor for each in await followers.dead_letters("push", places[3], 1)] == [places[9]]
    assert await followers.retry_dead_letters("push", places[9]) == 1
    state = await leased(filled)
    assert (state.dead_letters, state.retries) == (3, 1)
    (again,) = await followers.dead_letters("push", retried_only=True)
    assert (again.cursor, again.is_retried) == (places[9], True)
    (item,) = (await filled.feed_after(again.cursor, 1)).items
    assert words(item) == "10"
    assert await followers.remove_dead_letter("push", again.cursor)
    assert not await followers.remove_dead_letter("push", again.cursor)
    assert await followers.retry_dead_letters("push") == 2
    assert (await leased(filled)).retries == 2
    with pytest.raises(NoSuchFollower):
        await followers.retry_dead_letters("nobody")


async def test_a_follower_is_forgotten_with_all_that_is_its(filled: SqlLedger) -> None:
    state = await leased(filled)
    await filled.followers.put_aside("push", state.cursor, "no")
    assert await filled.followers.forget_follower("push")
    assert not await filled.followers.forget_follower("push")
    assert await filled.followers.followers() == ()
    assert await filled.followers.dead_letters("push") == ()


# -- the text search is a follower


async def test_the_text_search_has_its_cursor_among_the_others(filled: SqlLedger) -> None:
    await filled.index_step(10)
    page = await filled.feed_after(BEGIN, 10)
    assert (await filled.followers.follower("text_index")).cursor == page.cursor
    assert len(await texts(filled, BOB, words=("7",))) == 1
    assert (await filled.followers.follower("text_index")).cursor >= page.cursor


async def test_the_index_takes_a_page_only_where_it_stands(filled: SqlLedger) -> None:
    first = await filled.feed_after(BEGIN, 10)
    assert await filled.index(first) == 10
    assert await filled.index(first) == 0
    second = await filled.feed_after(first.cursor, 10)
    await filled.erase_everywhere(await at(filled, BOB, 15), BOB)  # after the page was read
    assert await filled.index(second) == 10
    assert await texts(filled, BOB, words=("15",)) == []
    assert await texts(filled, BOB, words=("14",)) == ["14"]


async def test_a_text_search_that_is_rewound_finds_all_as_before(filled: SqlLedger) -> None:
    assert await texts(filled, BOB, words=("14",)) == ["14"]
    await filled.followers.rewind("text_index", BEGIN)
    assert await texts(filled, BOB, words=("14",)) == ["14"]
    await filled.followers.forget_follower("text_index")
    await filled.erase(BOB, (14,))
    assert await texts(filled, BOB, words=("14",)) == []
    assert [said(entry) for entry in [await filled.ends(BOB)][0]] == ["1", "20"]


# -- several processes

CHILD = """
import asyncio, sys
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger

async def main(url, owner, last):
    ledger = SqlLedger(await open_database(url, lock_seconds=20))
    while True:
        state = await ledger.followers.take_lease("push", owner, 1.0)
        if state is None:
            await asyncio.sleep(0.02)
            continue
        page = await ledger.feed_after(state.cursor, 3)
        for item in page.items:
            print(owner, item.feed, item.number, flush=True)
        await ledger.followers.advance("push", owner, page.start, page.cursor)
        if page.cursor.feed > last:
            print(owner, "end", flush=True)
            await ledger.followers.release("push", owner)
            await asyncio.sleep(3600)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture(params=("sqlite", "postgresql", "mariadb"))
def shared_url(request: pytest.FixtureRequest, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tidings.db"
        return
    server: Server = request.getfixturevalue(f"{request.param}_server")
    made = server.create_database()
    yield made
    server.drop_database(made)


async def test_another_process_goes_on_where_a_killed_one_was(shared_url: str) -> None:
    database = await open_database(shared_url)
    ledger = SqlLedger(database)
    for number in range(60):
        await accept(ledger, chat(ALICE, BOB, number))
    everything = [(item.feed, item.number) for item in await follow(ledger)]
    children = {}
    for owner in ("one", "two"):
        children[owner] = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, shared_url, owner, "60", stdout=subprocess.PIPE
        )
    done: list[tuple[int, int]] = []
    owners: list[str] = []
    lines: asyncio.Queue[str] = asyncio.Queue()

    async def listen(process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            lines.put_nowait(line.decode())

    listening = [asyncio.ensure_future(listen(process)) for process in children.values()]
    while (line := (await lines.get()).split())[1] != "end":
        owners.append(line[0])
        done.append((int(line[1]), int(line[2])))
        if len(done) == 10:  # perhaps in the middle of a page: after effects, before the cursor moves
            children[line[0]].send_signal(signal.SIGKILL)
    for process in children.values():
        if process.returncode is None:
            process.kill()
        await process.wait()
    await asyncio.gather(*listening)
    assert len(set(owners)) == 2
    assert sorted(set(done)) == everything
    assert sum(count - 1 for count in Counter(done).values()) <= 6  # what the killed one had under way
    await database.close()
