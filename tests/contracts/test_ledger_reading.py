"""What is read of archives: pages, what is folded into them, devices, sync and the feed."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    SECOND,
    START,
    Clock,
    accept,
    at,
    change,
    chat,
    clock,
    key,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    positions,
    read,
    said,
    seen,
    texts,
)
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Direction, EntryKind, message_key
from tidings.ports.ledger.feed import Cursor
from tidings.ports.ledger.reading import COUNTED, EntryId, InboxQuery, NoSuchEntry, PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]


@pytest.fixture
async def filled(ledger: SqlLedger, clock: Clock) -> SqlLedger:
    """Bob's archive: 1 … 20, the odd ones from Alice, the even ones from Carol, one each second."""
    for number in range(1, 21):
        clock.now = START + number * SECOND
        await accept(ledger, chat(ALICE if number % 2 else CAROL, BOB, number))
    return ledger


def numbers(*values: int) -> list[str]:
    return [str(value) for value in values]


# -- pages


async def test_an_empty_ledger_has_nothing_to_read(ledger: SqlLedger) -> None:
    page = await ledger.page(ALICE, PageQuery(newest=True, start=1, end=2, peer=BOB))
    assert (page.entries, page.is_complete, page.total, page.index) == ((), True, 0, 0)
    assert (await ledger.page(ALICE, PageQuery(words=("a",), folded=True))).entries == ()
    assert await ledger.ends(ALICE) is None
    assert await ledger.conversation(ALICE, BOB) is None
    assert await ledger.markers(ALICE, BOB) == ()
    assert await ledger.devices(ALICE) == {}
    assert await ledger.end_stream(message_key("stream")) is None
    assert await ledger.archives("example.org") == ()
    changes = await ledger.changes(ALICE, 0)
    assert (changes.entries, changes.rows, changes.erased, changes.is_complete) == ((), (), (), True)
    assert (await ledger.feed_after(Cursor(""))).is_complete


async def test_pages_in_both_directions(filled: SqlLedger) -> None:
    first = await filled.page(BOB, PageQuery(limit=3))
    assert (first.total, first.index, first.is_complete) == (20, 0, False)
    assert await texts(filled, BOB, limit=3) == numbers(1, 2, 3)
    assert await texts(filled, BOB, limit=3, after=await at(filled, BOB, 3)) == numbers(4, 5, 6)
    assert await texts(filled, BOB, limit=3, newest=True) == numbers(18, 19, 20)
    assert await texts(filled, BOB, limit=3, newest=True, before=await at(filled, BOB, 18)) == numbers(
        15, 16, 17
    )
    assert await texts(filled, BOB, limit=3, newest=True, flipped=True) == numbers(20, 19, 18)
    assert await texts(filled, BOB, limit=3, flipped=True) == numbers(3, 2, 1)
    assert await texts(filled, BOB, above=18) == numbers(19, 20)
    assert await texts(filled, BOB, above=99) == []


async def test_a_page_says_whether_it_is_the_last_in_its_direction(filled: SqlLedger) -> None:
    async def page(**query: object) -> tuple[bool, int | None, int | None]:
        found = await filled.page(BOB, PageQuery(**query))
        return found.is_complete, found.total, found.index

    at17, at4 = await at(filled, BOB, 17), await at(filled, BOB, 4)
    assert await page(limit=3, after=at17) == (True, 20, 17)
    assert await page(limit=2, after=at17) == (False, 20, 17)
    assert await page(limit=3, newest=True, before=at4) == (True, 20, 0)
    assert await page(limit=2, newest=True, before=at4) == (False, 20, 1)
    assert await page(limit=20, newest=True) == (True, 20, 0)
    assert await page(limit=19, newest=True) == (False, 20, 1)
    assert await page(limit=0) == (False, 20, 0)
    assert await page(limit=0, peer=Jid("nobody@example.org")) == (True, 0, 0)
    assert await page(limit=2, peer=ALICE, after=at4) == (False, 10, 2)
    assert await page(limit=20, counted=False) == (True, None, None)


async def test_bounds_by_id_change_what_is_counted(filled: SqlLedger) -> None:
    at5, at9 = await at(filled, BOB, 5), await at(filled, BOB, 9)

    async def page(**query: object) -> tuple[list[int], int | None]:
        found = await filled.page(BOB, PageQuery(**query))
        return [entry.id.position for entry in found.entries], found.total

    assert await page(from_id=at5, to_id=at9, limit=2) == ([5, 6], 5)
    assert await page(after_id=at5, before_id=at9) == ([6, 7, 8], 3)
    assert await page(from_id=at9, to_id=at5) == ([], 0)
    assert await page(after_id=at5, before_id=at9, after=await at(filled, BOB, 7)) == ([8], 3)
    assert await page(after_id=at5, before_id=at9, before=await at(filled, BOB, 8), newest=True) == (
        [6, 7],
        3,
    )
    assert await page(after_id=at5, after=at9, limit=2) == ([10, 11], 15)


async def test_pages_by_peer_time_and_ids(filled: SqlLedger) -> None:
    ids = tuple([await at(filled, BOB, position) for position in (4, 2, 9)])
    assert await texts(filled, BOB, peer=ALICE, limit=3) == numbers(1, 3, 5)
    assert await texts(filled, BOB, peer=ALICE, after=ids[0], limit=2) == numbers(5, 7)
    assert await texts(filled, BOB, peer=ALICE, newest=True, limit=2) == numbers(17, 19)
    assert await texts(filled, BOB, start=START + 18 * SECOND) == numbers(18, 19, 20)
    assert await texts(filled, BOB, start=START + 18 * SECOND + 1) == numbers(19, 20)
    assert await texts(filled, BOB, end=START + 2 * SECOND) == numbers(1, 2)
    assert await texts(filled, BOB, end=START + 2 * SECOND - 1) == numbers(1)
    assert await texts(filled, BOB, end=START) == []
    between = {"start": START + 5 * SECOND, "end": START + 9 * SECOND}
    assert await texts(filled, BOB, peer=ALICE, **between) == numbers(5, 7, 9)
    assert (await filled.page(BOB, PageQuery(limit=1, peer=ALICE, **between))).total == 3
    assert await texts(filled, BOB, start=START + 9 * SECOND, end=START) == []
    assert await texts(filled, BOB, ids=ids) == numbers(2, 4, 9)
    assert await texts(filled, BOB, ids=ids, peer=ALICE) == numbers(9)
    assert await texts(filled, BOB, ids=()) == []


async def test_every_time_finds_its_place_in_a_long_archive(ledger: SqlLedger, clock: Clock) -> None:
    for number in range(1, 401):
        clock.now = START + number // 3 * SECOND  # three of each second
        await accept(ledger, chat(ALICE, BOB, number))
    for second in range(0, 134, 7):
        found = await texts(ledger, BOB, start=START + second * SECOND, limit=1)
        assert found == numbers(max(1, 3 * second)), second
        found = await texts(ledger, BOB, end=START + second * SECOND, limit=1, newest=True)
        assert found == numbers(min(400, 3 * second + 2)), second


async def test_an_unknown_id_is_told_with_the_head(filled: SqlLedger) -> None:
    head = await filled.head(BOB)
    epoch = head.epoch_at(1)
    for wrong in (EntryId(epoch, 21), EntryId(epoch, 0), EntryId("other", 3)):
        for name in ("after", "before", "from_id", "to_id", "after_id", "before_id"):
            with pytest.raises(NoSuchEntry) as caught:
                await filled.page(BOB, PageQuery(**{name: wrong}))
            assert (caught.value.condition, caught.value.head) == ("item-not-found", head)
        with pytest.raises(NoSuchEntry):
            await filled.page(BOB, PageQuery(ids=(EntryId(epoch, 1), wrong)))


async def test_more_than_can_be_counted_cheaply_has_no_total(ledger: SqlLedger) -> None:
    message = chat(ALICE, BOB, "x")
    for _ in range(COUNTED // 500):
        await accept(ledger, *[message] * 500)
    assert (await ledger.page(BOB, PageQuery(limit=1))).total == COUNTED
    assert (await ledger.page(BOB, PageQuery(limit=1, peer=ALICE))).total == COUNTED
    await accept(ledger, chat(ALICE, BOB, "x"), chat(CAROL, BOB, "y"))
    for peer in (None, ALICE):
        page = await ledger.page(BOB, PageQuery(limit=1, peer=peer, newest=True))
        assert (page.total, page.index, page.is_complete) == (None, None, False)
    await ledger.erase(BOB, (1, 2))
    last = await ledger.page(BOB, PageQuery(limit=1, newest=True))
    assert (last.total, last.index) == (COUNTED, COUNTED - 1)
    page = await ledger.page(BOB, PageQuery(limit=1, peer=ALICE, newest=True))
    assert (page.total, page.index) == (COUNTED - 1, COUNTED - 2)
    assert (await ledger.page(BOB, PageQuery(tombstones=True, limit=1))).total is None


async def test_messages_of_type_groupchat_can_be_left_out(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, 1), chat(ALICE, BOB, 2, groupchat=True), chat(ALICE, BOB, 3))
    page = await ledger.page(BOB, PageQuery(groupchat=False))
    assert ([said(entry) for entry in page.entries], page.total) == (numbers(1, 3), 2)
    assert await texts(ledger, BOB) == numbers(1, 2, 3)


async def test_tombstones_and_offline_only_entries_are_shown_on_request(ledger: SqlLedger) -> None:
    offline_only = chat(ALICE, BOB, 2, offline_only=True, countable=False)
    await accept(ledger, chat(ALICE, BOB, 1), offline_only, chat(ALICE, BOB, 3), chat(ALICE, BOB, 4))
    await ledger.erase(BOB, (3,))

    async def page(**query: object) -> tuple[list[str | None], int | None]:
        found = await ledger.page(BOB, PageQuery(**query))
        return [said(entry) for entry in found.entries], found.total

    for peer in (None, ALICE):
        assert await page(peer=peer) == (["1", "4"], 2)
        assert await page(peer=peer, tombstones=True) == (["1", None, None, "4"], 4)
        assert await page(peer=peer, offline_only=True) == (["1", "2", "4"], 3)
        assert await page(peer=peer, offline_only=True, tombstones=True) == (["1", "2", None, "4"], 4)
        found = await ledger.page(BOB, PageQuery(peer=peer, after=await at(ledger, BOB, 3)))
        assert (found.index, found.total) == (1, 2)
    first, last = await ledger.ends(BOB)
    assert (said(first), said(last)) == ("1", "4")


async def test_the_ends_are_what_queries_show(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, number) for number in range(1, 6)))
    await ledger.erase(BOB, (1, 5))
    first, last = await ledger.ends(BOB)
    assert (said(first), said(last)) == ("2", "4")
    await ledger.erase(BOB, (2, 3, 4))
    assert await ledger.ends(BOB) is None


# -- what refers to entries


async def test_what_refers_to_an_entry_is_folded(ledger: SqlLedger, clock: Clock) -> None:
    await accept(ledger, chat(ALICE, BOB, "one", name=1), chat(ALICE, BOB, "two", name=2))
    for kind, target, words in (
        (EntryKind.CORRECTION, 1, "uno"),
        (EntryKind.REACTIONS, 2, "+"),
        (EntryKind.CORRECTION, 1, "eins"),
        (EntryKind.RETRACTION, 2, "gone"),
    ):
        clock.now += SECOND
        await accept(ledger, pointing(ALICE, BOB, kind, target, words))
    for archive in (ALICE, BOB):
        page = await ledger.page(archive, PageQuery(limit=2, folded=True))
        one, two = page.entries
        assert [said(entry) for entry in one.pointers] == ["uno", "eins"]
        assert [(entry.kind, entry.target) for entry in two.pointers] == [
            (EntryKind.REACTIONS, 2),
            (EntryKind.RETRACTION, 2),
        ]
        assert (one.retracted, two.retracted) == (None, START + 4 * SECOND)
        plain = await ledger.page(archive, PageQuery(limit=2))
        assert [(entry.pointers, entry.retracted) for entry in plain.entries] == [
            ((), None),
            ((), START + 4 * SECOND),
        ]
    await ledger.erase(BOB, (3, 6))
    one, two = (await ledger.page(BOB, PageQuery(limit=2, folded=True))).entries
    assert ([said(entry) for entry in one.pointers], two.retracted) == (["eins"], START + 4 * SECOND)


async def test_what_was_retracted_itself_refers_to_nothing(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "one", name=1))
    for kind, name, words in (
        (EntryKind.CORRECTION, 2, "uno"),
        (EntryKind.CORRECTION, 3, "eins"),
        (EntryKind.REACTIONS, 4, "+"),
    ):
        append = pointing(ALICE, BOB, kind, 1, words)
        await accept(ledger, msgspec.structs.replace(append, keys=(key(ALICE, name),)))
    await accept(ledger, *(pointing(ALICE, BOB, EntryKind.RETRACTION, name) for name in (3, 4)))
    for archive in (ALICE, BOB):
        one, uno, eins, plus, *_ = (await ledger.page(archive, PageQuery(folded=True))).entries
        assert [said(entry) for entry in one.pointers] == ["uno"]
        assert [entry.retracted is None for entry in (one, uno, eins, plus)] == [True, True, False, False]


async def test_a_retraction_holds_whatever_refers_to_the_page_later(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.adapters.sql.ledger.reader.FOLDED", 2)
    await accept(ledger, chat(ALICE, BOB, "one", name=1), chat(BOB, ALICE, "two", name=2))
    await accept(ledger, pointing(ALICE, BOB, EntryKind.RETRACTION, 1))
    await accept(ledger, *[pointing(BOB, ALICE, EntryKind.REACTIONS, 1, number) for number in range(3)])
    await accept(ledger, *[pointing(BOB, ALICE, EntryKind.RETRACTION, 2) for _ in range(3)])
    for query in (PageQuery(), PageQuery(folded=True)):
        one, two, *_ = (await ledger.page(ALICE, query)).entries
        assert one.retracted is not None
        assert two.retracted is not None


async def test_what_corrects_a_correction_corrects_the_original(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "one", name=1))
    chain = [
        msgspec.structs.replace(
            pointing(ALICE, BOB, EntryKind.CORRECTION, number, number + 1), keys=(key(ALICE, number + 1),)
        )
        for number in (1, 2, 3)
    ]
    await accept(ledger, chain[0])
    outcomes = await accept(ledger, *chain[1:])  # of the same transaction, and of an earlier one
    assert [outcome.targets for outcome in outcomes] == [(1, 1), (1, 1)]
    await accept(ledger, pointing(ALICE, BOB, EntryKind.RETRACTION, 1))
    for archive in (ALICE, BOB):
        page = await ledger.page(archive, PageQuery(limit=4))
        assert all(entry.retracted is not None for entry in page.entries)
        assert await ledger.erase(archive, (1,)) == 4


async def test_the_newest_markers_of_a_conversation(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, number, name=number) for number in range(1, 4)))
    await accept(ledger, chat(BOB, ALICE, 4, name=4), chat(CAROL, BOB, 5, name=5))
    await accept(
        ledger,
        pointing(BOB, ALICE, EntryKind.DISPLAYED, 1),
        pointing(BOB, ALICE, EntryKind.RECEIVED, 2),
        pointing(BOB, ALICE, EntryKind.DISPLAYED, 3),
        pointing(ALICE, BOB, EntryKind.DISPLAYED, 4),
        pointing(BOB, CAROL, EntryKind.DISPLAYED, 5),
    )
    found = await ledger.markers(BOB, ALICE)
    assert [(entry.kind, entry.direction, entry.target) for entry in found] == [
        (EntryKind.RECEIVED, Direction.SENT, 2),
        (EntryKind.DISPLAYED, Direction.SENT, 3),
        (EntryKind.DISPLAYED, Direction.RECEIVED, 4),
    ]


# -- devices and lists


async def test_devices_are_told_with_what_is_known_of_them(ledger: SqlLedger, clock: Clock) -> None:
    await accept(ledger, chat(ALICE, BOB, 1), chat(ALICE, BOB, 2))
    await seen(ledger, BOB, "phone", 1)
    clock.now += SECOND
    await seen(ledger, BOB, "tablet", 2, pulls=True)
    devices = await ledger.devices(BOB)
    assert {name: (each.position, each.pulls) for name, each in devices.items()} == {
        "phone": (1, False),
        "tablet": (2, True),
    }
    assert devices["tablet"].seen == START + SECOND


async def test_archives_of_a_domain_are_listed_in_steps(ledger: SqlLedger) -> None:
    members = [Jid(f"user{number}@example.org") for number in range(7)]
    await accept(ledger, *(chat(member, Jid("x@other.example"), 1) for member in members))
    found, after = [], ""
    while step := await ledger.archives("example.org", after, limit=3):
        found += step
        after = step[-1]
    assert sorted(found) == members
    assert await ledger.archives("other.example") == ("x@other.example",)
    assert await ledger.archives("example") == ()


# -- sync


async def synced(ledger: SqlLedger, owner: Jid, since: int = 0, limit: int = 50):
    """Go through all pages of sync; gives them."""
    pages = []
    while not pages or not pages[-1].is_complete:
        pages.append(await ledger.changes(owner, since, limit))
        assert pages[-1].feed > since or pages[-1].is_complete
        since = pages[-1].feed
    return pages


async def test_sync_gives_every_entry_once_and_never_cuts_a_transaction(filled: SqlLedger) -> None:
    await accept(filled, *(chat(ALICE, BOB, number) for number in range(21, 31)))
    for limit in (1, 3, 7, 50):
        pages = await synced(filled, BOB, limit=limit)
        entries = [entry for page in pages for entry in page.entries]
        assert [said(entry) for entry in entries] == numbers(*range(1, 31))
        for page in pages:
            feeds = {entry.feed for entry in page.entries}
            assert len(page.entries) <= limit or len(feeds) == 1
            assert all(feed <= page.feed for feed in feeds)
    incarnation, feed = await filled.feed()
    last = pages[-1]
    assert (last.incarnation, last.feed, last.head.position) == (incarnation, feed, 30)
    assert (await filled.changes(BOB, feed)).entries == ()


async def test_sync_tells_what_was_erased_and_which_conversations_changed(filled: SqlLedger) -> None:
    _, since = await filled.feed()
    await filled.erase(BOB, (3, 4))
    (page,) = await synced(filled, BOB, since)
    assert (page.entries, page.erased) == ((), (3, 4))
    assert {row.peer: row.unread for row in page.rows} == {ALICE: 9, CAROL: 9}
    since = page.feed
    await read(filled, BOB, ALICE, 9)
    (page,) = await synced(filled, BOB, since)
    assert ([(row.peer, row.unread, row.position) for row in page.rows], page.erased) == (
        [(ALICE, 5, 19)],
        (),
    )
    since = page.feed
    await change(filled, BOB, CAROL, pinned=1)
    await accept(filled, chat(CAROL, BOB, 21))
    await filled.erase(BOB, (21,))
    (page,) = await synced(filled, BOB, since)
    assert [(entry.id.position, entry.body) for entry in page.entries] == [(21, None)]
    assert page.erased == ()
    assert [(row.peer, row.pinned, row.unread) for row in page.rows] == [(CAROL, 1, 9)]
    assert (await filled.changes(BOB, page.feed)).rows == ()


async def test_sync_of_many_erasures_and_conversations_comes_in_pages(ledger: SqlLedger) -> None:
    peers = [Jid(f"peer{number}@example.org") for number in range(620)]
    for start in range(0, 620, 124):
        await accept(ledger, *(chat(peer, BOB, peer.local) for peer in peers[start : start + 124]))
    pages = await synced(ledger, BOB, limit=1000)
    assert len(pages) > 1
    assert {row.peer for page in pages for row in page.rows} == set(peers)
    _, since = await ledger.feed()
    for start in range(1, 621, 155):
        await ledger.erase(BOB, tuple(range(start, start + 155)))
    pages = await synced(ledger, BOB, since)
    assert [position for page in pages for position in page.erased] == list(range(1, 621))


async def test_sync_beside_writers_misses_nothing(ledger_url: str, ledger: SqlLedger) -> None:
    if ledger_url == "sqlite://":
        pytest.skip("one connection is the whole database")
    other = SqlLedger(await open_database(ledger_url, lock_seconds=20))
    done = asyncio.Event()

    async def talk(by: SqlLedger, peer: Jid) -> None:
        for number in range(40):
            await accept(by, chat(peer, BOB, number), chat(peer, BOB, number))
            await by.erase(BOB, (number,))

    async def follow() -> tuple[list[int], set[int]]:
        found, erased, since = [], set(), 0
        while True:
            was_done = done.is_set()
            page = await ledger.changes(BOB, since, 7)
            found += [entry.id.position for entry in page.entries]
            erased |= {*page.erased, *(entry.id.position for entry in page.entries if entry.body is None)}
            since = page.feed
            if was_done and page.is_complete:
                return found, erased

    following = asyncio.create_task(follow())
    await asyncio.gather(talk(ledger, ALICE), talk(other, CAROL))
    done.set()
    found, erased = await following
    assert found == list(range(1, 161))
    gone = [
        entry.id.position
        for entry in (await ledger.page(BOB, PageQuery(limit=200, tombstones=True))).entries
        if entry.body is None
    ]
    assert sorted(erased) == gone
    await other.close()


async def test_an_inbox_row_is_read_alone(filled: SqlLedger) -> None:
    row = await filled.conversation(BOB, CAROL)
    (same,) = (await filled.inbox(BOB, InboxQuery(peer=CAROL))).rows
    assert row == same
    assert await positions(filled, BOB, newest=True, limit=1) == [row.position]
