"""Forgetting: what is trimmed or erased is gone, what is held stays, positions stay dense."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from sqlalchemy import text

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
    positions,
    read,
    say,
    seen,
    texts,
    unread,
)
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, Direction, Entry, EntryKind, LedgerBatch, message_key
from tidings.ports.ledger.feed import Cursor
from tidings.ports.ledger.reading import EntryId, InboxQuery, NoSuchEntry, PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]


@pytest.fixture
async def filled(ledger: SqlLedger, clock: Clock) -> SqlLedger:
    """Bob's archive has 1 … 10 from Alice (odd) and Carol (even), one each second."""
    for number in range(1, 11):
        clock.now = START + number * SECOND
        await accept(ledger, chat(ALICE if number % 2 else CAROL, BOB, number, name=number, resource="phone"))
    return ledger


async def rows(ledger: SqlLedger, statement: str) -> list[tuple]:
    found = await ledger._database.read(lambda connection: connection.execute(text(statement)).all())
    return [tuple(row) for row in found]


async def stored(ledger: SqlLedger) -> set[str]:
    """What the messages table still says."""
    bodies = await rows(ledger, "SELECT body FROM messages")
    return {bytes(body).decode().partition("<body>")[2].partition("</body>")[0] for (body,) in bodies}


async def everything(step, *args: object, **options: object) -> int:
    """Repeat a step until it has nothing to do."""
    total = 0
    while count := await step(*args, **options):
        total += count
    return total


# -- trimming


async def test_trimming_by_count_moves_first(filled: SqlLedger) -> None:
    before = await filled.head(BOB)
    assert await filled.trim(BOB, keep=4, limit=5) == 5
    assert await filled.trim(BOB, keep=4, limit=5) == 1
    assert await filled.trim(BOB, keep=4, limit=5) == 0
    head = await filled.head(BOB)
    assert (head.first, head.position) == (7, 10)
    assert await positions(filled, BOB) == [7, 8, 9, 10]
    assert (await filled.page(BOB, PageQuery(limit=1))).total == 4
    assert await positions(filled, ALICE) == [1, 2, 3, 4, 5]
    assert await unread(filled, BOB) == {ALICE: 2, CAROL: 2}
    with pytest.raises(NoSuchEntry) as caught:
        await filled.page(BOB, PageQuery(after=EntryId(before.epoch_at(6), 6)))
    assert caught.value.head == head
    assert await positions(filled, BOB, start=START) == [7, 8, 9, 10]
    assert len((await filled.changes(BOB, 0)).entries) == 4


async def test_trimming_by_age(filled: SqlLedger) -> None:
    assert await filled.trim(BOB, before=START + 3 * SECOND) == 2
    assert await filled.trim(BOB, before=START + 3 * SECOND) == 0
    assert (await filled.head(BOB)).first == 3
    assert await filled.trim(BOB, before=START + 100 * SECOND) == 8
    head = await filled.head(BOB)
    assert (head.first, head.position) == (11, 10)
    assert await positions(filled, BOB) == []
    assert await unread(filled, BOB) == {ALICE: 0, CAROL: 0}
    await accept(filled, chat(ALICE, BOB, "x"))
    assert await positions(filled, BOB) == [11]
    assert await unread(filled, BOB) == {ALICE: 1, CAROL: 0}


async def test_nothing_to_trim(filled: SqlLedger) -> None:
    _, feed = await filled.feed()
    assert await filled.trim(BOB, keep=10) == 0
    assert await filled.trim(BOB, before=START) == 0
    assert await filled.trim(BOB) == 0
    assert await filled.trim(Jid("nobody@example.org"), keep=0) == 0
    assert (await filled.feed())[1] == feed


async def test_what_is_trimmed_everywhere_is_gone(filled: SqlLedger) -> None:
    await filled.trim(BOB, keep=0)
    assert await stored(filled) == {f"{number}" for number in range(1, 11)}
    await filled.trim(ALICE, keep=1)
    assert await stored(filled) == {"9"} | {f"{number}" for number in range(2, 11, 2)}
    assert len(await rows(filled, "SELECT message FROM message_keys")) == 6


async def test_a_trimmed_room_is_not_unread(ledger: SqlLedger) -> None:
    await read(ledger, BOB, ROOM, 0, source=ROOM)
    await accept(ledger, *[say(ALICE, "x")] * 6)
    assert (await unread(ledger, BOB))[ROOM] == 6
    await ledger.trim(ROOM, keep=4)
    await ledger.erase(ROOM, (6,))
    assert (await unread(ledger, BOB))[ROOM] == 3
    await read(ledger, BOB, ROOM, 4, source=ROOM)
    assert (await unread(ledger, BOB))[ROOM] == 1


async def test_trimming_leaves_what_a_follower_has_not_read(filled: SqlLedger) -> None:
    fifth = (await filled.page(BOB, PageQuery())).entries[4]
    assert await filled.trim(BOB, keep=1, unread_from=fifth.feed) == 4
    assert await filled.trim(BOB, keep=1, unread_from=fifth.feed) == 0
    assert (await filled.head(BOB)).first == 5


# -- erasing


async def test_an_erased_entry_leaves_a_tombstone_without_content(filled: SqlLedger) -> None:
    since = (await filled.feed_after(Cursor(""))).cursor
    assert await filled.erase(BOB, (3, 4, 99)) == 2
    assert await filled.erase(BOB, (3,)) == 0
    assert await positions(filled, BOB, limit=5) == [1, 2, 5, 6, 7]
    tombstone = (await filled.page(BOB, PageQuery(tombstones=True))).entries[2]
    assert (tombstone.id.position, tombstone.body, tombstone.time) == (3, None, START + 3 * SECOND)
    assert (tombstone.resource, tombstone.target) == ("", 0)
    assert await unread(filled, BOB) == {ALICE: 4, CAROL: 4}
    assert "3" in await stored(filled)  # Alice still has it
    assert await filled.erase(ALICE, (2,)) == 1
    assert "3" not in await stored(filled)
    feed = await filled.feed_after(since)
    assert [(item.archive, item.position) for item in feed.items] == [(BOB, 3), (BOB, 4), (ALICE, 2)]
    assert (await filled.feed_after(feed.cursor)).items == ()


async def test_what_was_erased_is_still_a_repeat_when_sent_again(filled: SqlLedger) -> None:
    again = msgspec.structs.replace(chat(ALICE, BOB, "3", name=3), repeat=key(ALICE, 3))
    await filled.erase_everywhere(await at(filled, BOB, 3), BOB)
    (outcome,) = await accept(filled, again)
    assert (outcome.repeated, outcome.places[1].position) == (True, 3)
    assert "3" not in await texts(filled, BOB)


async def test_a_message_is_erased_from_every_archive(filled: SqlLedger) -> None:
    assert await filled.erase_everywhere(await at(filled, BOB, 3), BOB) == 2
    assert await filled.erase_everywhere(await at(filled, BOB, 3), BOB) == 0
    assert await filled.erase_everywhere(EntryId("other", 4), BOB) == 0
    assert await positions(filled, BOB, limit=3) == [1, 2, 4]
    assert await positions(filled, ALICE) == [1, 3, 4, 5]
    assert "3" not in await stored(filled)
    await filled.hold(ALICE, (3,))
    assert await filled.erase_everywhere(await at(filled, BOB, 5), BOB) == 1
    assert "5" in await stored(filled)


async def test_an_erased_conversation_is_gone(filled: SqlLedger) -> None:
    steps = [await filled.erase_conversation(BOB, ALICE, limit=2) for _ in range(4)]
    assert steps == [2, 2, 1, 0]
    assert await positions(filled, BOB) == [2, 4, 6, 8, 10]
    assert await positions(filled, BOB, peer=ALICE) == []
    assert await unread(filled, BOB) == {CAROL: 5}
    assert (await filled.inbox(BOB, InboxQuery())).unread == 5
    await accept(filled, chat(ALICE, BOB, "again"))
    assert await unread(filled, BOB) == {ALICE: 1, CAROL: 5}


# -- holding


async def test_held_entries_stay_and_their_trimmed_neighbours_become_tombstones(filled: SqlLedger) -> None:
    assert await filled.hold(BOB, (3, 5, 77)) == 2
    assert await filled.erase(BOB, (3,)) == 0
    assert await everything(filled.trim, BOB, keep=2, limit=3) == 6
    head = await filled.head(BOB)
    assert (head.first, head.position) == (3, 10)
    assert await positions(filled, BOB) == [3, 5, 9, 10]
    assert await positions(filled, BOB, tombstones=True) == list(range(3, 11))
    assert await unread(filled, BOB) == {ALICE: 3, CAROL: 1}
    assert await everything(filled.erase_conversation, BOB, ALICE) == 1
    assert await unread(filled, BOB) == {ALICE: 2, CAROL: 1}
    assert await filled.hold(BOB, (3, 5), is_held=False) == 2
    await everything(filled.trim, BOB, keep=2, limit=3)
    assert (await filled.head(BOB)).first == 9


async def test_an_archive_is_held_as_a_whole(filled: SqlLedger) -> None:
    await filled.hold_archive(BOB)
    await accept(filled, chat(ALICE, BOB, 11))
    await filled.forget_offline_only(START + 99 * SECOND)
    assert await filled.erase(BOB, (1, 11)) == 0
    assert await filled.trim(BOB, keep=0) == 0
    assert await filled.erase_conversation(BOB, ALICE) == 0
    assert await filled.erase_everywhere(await at(filled, BOB, 1), BOB) == 1
    await everything(filled.forget_account, BOB)
    assert await texts(filled, BOB) == [str(number) for number in range(1, 12)]
    await filled.hold_archive(BOB, is_held=False)
    assert await everything(filled.forget_account, BOB, limit=3) == 11
    assert await texts(filled, BOB) == []


# -- accounts


async def test_a_removed_account_leaves_nothing_and_others_keep_theirs(filled: SqlLedger) -> None:
    await seen(filled, BOB, "phone", 5)
    await read(filled, BOB, ROOM, 0, source=ROOM)
    await accept(filled, pointing(ALICE, BOB, EntryKind.RETRACTION, 9))
    before = await filled.head(BOB)
    assert await everything(filled.forget_account, BOB, limit=4) > 11
    head = await filled.head(BOB)
    assert (head.first, head.position) == (12, 11)
    assert (await filled.inbox(BOB, InboxQuery(all_boxes=True))).rows == ()
    assert await filled.devices(BOB) == {}
    assert await texts(filled, ALICE) == ["1", "3", "5", "7", "9", "-"]
    assert await unread(filled, CAROL) == {BOB: 0}
    for statement in (
        "SELECT archive FROM message_links",
        "SELECT archive FROM uncounted",
        "SELECT position FROM entries WHERE archive = (SELECT archive FROM archives WHERE position = 11)",
    ):
        assert len(await rows(filled, statement)) == (1 if "message_links" in statement else 0), statement
    await everything(filled.forget_account, ALICE)
    await everything(filled.forget_account, CAROL)
    for table in ("messages", "message_keys", "entries", "message_links", "offline_only", "devices"):
        assert await rows(filled, f"SELECT * FROM {table}") == [], table
    await accept(filled, chat(ALICE, BOB, "to another Bob"))
    again = await filled.head(BOB)
    assert (again.first, again.position) == (12, 12)
    assert again.epoch_at(12) != before.epoch_at(11)
    assert not again.has(EntryId(before.epoch_at(11), 12))
    assert await unread(filled, BOB) == {ALICE: 1}


async def test_it_is_told_whether_anything_is_held(filled: SqlLedger) -> None:
    assert not await filled.is_held(BOB)
    assert not await filled.is_held(Jid("nobody@example.org"))
    await filled.hold(BOB, (4,))
    assert await filled.is_held(BOB)
    assert not await filled.is_held(ALICE)
    await filled.hold(BOB, (4,), is_held=False)
    assert not await filled.is_held(BOB)
    await filled.hold_archive(BOB)
    assert await filled.is_held(BOB)


async def test_entries_under_hold_outlive_their_account(filled: SqlLedger) -> None:
    await filled.hold(BOB, (4,))
    await everything(filled.forget_account, BOB, limit=3)
    assert await texts(filled, BOB) == ["4"]
    assert (await filled.head(BOB)).first == 4
    assert await unread(filled, BOB) == {}


# -- what is not kept


async def test_offline_only_entries_go_when_every_device_has_them(ledger: SqlLedger, clock: Clock) -> None:
    async def offline_only(recipient: Jid) -> None:
        clock.now += SECOND
        await accept(ledger, chat(ALICE, recipient, "offline only", offline_only=True, countable=False))

    for recipient in (BOB, BOB, BOB, CAROL):
        await offline_only(recipient)
    assert await ledger.forget_offline_only(START) == 0  # no device is known: it may come
    await seen(ledger, BOB, "phone", 2)
    await seen(ledger, BOB, "tablet", 1)
    await seen(ledger, BOB, "web", 0, pulls=True)  # never gets what it missed
    assert await everything(ledger.forget_offline_only, START, limit=1) == 1
    assert await positions(ledger, BOB, offline_only=True) == [2, 3]
    await ledger.hold(BOB, (2,))
    await seen(ledger, BOB, "tablet", 3)
    assert await ledger.forget_offline_only(START) == 0
    await ledger.hold(BOB, (2,), is_held=False)
    assert await ledger.forget_offline_only(START) == 1
    assert await positions(ledger, BOB, offline_only=True) == [3]
    assert await everything(ledger.forget_offline_only, clock.now + 1) == 2
    assert await positions(ledger, BOB, tombstones=True) == [1, 2, 3]
    assert await rows(ledger, "SELECT * FROM offline_only") == []


async def test_devices_and_streams_that_nobody_uses_are_forgotten(ledger: SqlLedger, clock: Clock) -> None:
    stream = message_key("stream", "one")
    entry = Entry(archive=BOB, peer=ALICE, direction=Direction.RECEIVED)
    await accept(ledger, Append(body=b"x", entries=(entry,), stream=stream, number=7))
    await seen(ledger, BOB, "old", 1)
    clock.now += 10 * SECOND
    await accept(ledger, chat(ALICE, BOB, "later"))
    await seen(ledger, BOB, "new", 1)
    await everything(ledger.forget_stale, START)
    assert len(await rows(ledger, "SELECT * FROM streams")) == 1
    assert set(await ledger.devices(BOB)) == {"old", "new"}
    await everything(ledger.forget_stale, START + SECOND, limit=1)
    assert set(await ledger.devices(BOB)) == {"new"}
    assert await ledger.end_stream(stream) is None


# -- beside the traffic


async def test_forgetting_beside_the_traffic(ledger_url: str, filled: SqlLedger) -> None:
    if ledger_url == "sqlite://":
        pytest.skip("one connection is the whole database")
    others = [SqlLedger(await open_database(ledger_url, lock_seconds=20)) for _ in range(2)]

    async def talk() -> None:
        for number in range(60):
            await filled.commit(LedgerBatch(appends=(chat(ALICE, BOB, f"talk {number}"),)))

    async def forget(other: SqlLedger, archive: Jid) -> None:
        for _ in range(60):
            await other.trim(archive, keep=3, limit=4)

    await asyncio.gather(talk(), *map(forget, others, (ALICE, BOB)))
    for archive in (ALICE, BOB):
        await everything(filled.trim, archive, keep=3)
    await filled.trim(CAROL, keep=0)
    assert await positions(filled, BOB) == [68, 69, 70]
    assert await stored(filled) == {"talk 57", "talk 58", "talk 59"}
    assert await unread(filled, BOB) == {ALICE: 3, CAROL: 0}
    for other in others:
        await other.close()
