"""The inbox: which conversations are where, in which order, and exactly how much of them is unread."""

from __future__ import annotations

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
    change,
    chat,
    clock,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    read,
    said,
    say,
    unread,
)
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import InboxOrder, InboxQuery, PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]

PEERS = tuple(Jid(f"{name}@example.org") for name in "defghij")


@pytest.fixture
async def filled(ledger: SqlLedger, clock: Clock) -> SqlLedger:
    """Seven conversations of Bob: d has 1 message, e 2, … , one second each; f and g of the same time."""
    for number, peer in enumerate(PEERS, 1):
        clock.now += SECOND * (peer.local != "g")
        await accept(ledger, *(chat(peer, BOB, f"{peer.local}{count}") for count in range(number)))
    return ledger


async def names(ledger: SqlLedger, owner: Jid = BOB, **query: object) -> str:
    return "".join(row.peer.local for row in (await ledger.inbox(owner, InboxQuery(**query))).rows)


# -- order and pages


async def test_conversations_are_sorted_by_time_and_peer(filled: SqlLedger) -> None:
    assert await names(filled) == "jihfged"
    assert await names(filled, order=InboxOrder.OLDEST) == "defghij"
    assert await names(filled, limit=3) == "jih"
    assert await names(filled, limit=3, last_page=True) == "ged"


async def test_pages_beside_a_conversation(filled: SqlLedger) -> None:
    f, g, h = ((START + second * SECOND, peer) for second, peer in zip((3, 3, 4), PEERS[2:5], strict=True))
    assert await names(filled, after=f) == "ged"
    assert await names(filled, after=f, limit=1) == "g"
    assert await names(filled, before=g, limit=2) == "hf"
    assert await names(filled, before=h) == "ji"
    assert await names(filled, after=h, before=g) == "f"
    assert await names(filled, order=InboxOrder.OLDEST, after=f) == "ghij"
    assert await names(filled, order=InboxOrder.OLDEST, before=f, limit=1) == "e"
    assert await names(filled, after=(START + 3 * SECOND, Jid("fa@example.org"))) == "ged"


async def test_a_page_says_whether_it_is_the_last_in_its_direction(filled: SqlLedger) -> None:
    async def is_complete(**query: object) -> bool:
        return (await filled.inbox(BOB, InboxQuery(**query))).is_complete

    e, i = (START + 2 * SECOND, PEERS[1]), (START + 5 * SECOND, PEERS[5])
    assert await is_complete()
    assert await is_complete(limit=7)
    assert not await is_complete(limit=6)
    assert not await is_complete(limit=0)
    assert await is_complete(after=e, limit=1)
    assert not await is_complete(before=e, limit=1)
    assert await is_complete(before=i, limit=1)
    assert not await is_complete(last_page=True, limit=6)


async def test_conversations_by_peer_time_and_what_is_unread(filled: SqlLedger) -> None:
    assert await names(filled, peer=PEERS[0]) == "d"
    assert await names(filled, start=START + 4 * SECOND) == "jih"
    assert await names(filled, end=START + 2 * SECOND) == "ed"
    await read(filled, BOB, PEERS[6], 0)
    await read(filled, BOB, PEERS[0], 0)
    assert await names(filled, unread_only=True) == "ihfge"
    page = await filled.inbox(BOB, InboxQuery(limit=1, start=START + 5 * SECOND))
    assert (page.unread, page.unread_conversations, page.conversations) == (20, 5, 7)


# -- rows


async def test_a_row_has_the_last_message_and_what_became_of_it(ledger: SqlLedger, clock: Clock) -> None:
    await accept(ledger, chat(ALICE, BOB, "one", name=1), chat(BOB, ALICE, "two", name=2))
    clock.now += SECOND
    await accept(
        ledger,
        pointing(BOB, ALICE, EntryKind.CORRECTION, 2, "deux"),
        pointing(ALICE, BOB, EntryKind.DISPLAYED, 2),
        pointing(BOB, ALICE, EntryKind.CORRECTION, 2, "zwei"),
    )
    for owner, peer in ((ALICE, BOB), (BOB, ALICE)):
        row = await ledger.conversation(owner, peer)
        assert (said(row.last), row.last.id.position, row.position) == ("two", 2, 2)
        assert [said(entry) for entry in row.last.pointers] == ["zwei"]
        assert (row.time, row.last.retracted, row.source) == (START, None, owner)
    await accept(ledger, pointing(BOB, ALICE, EntryKind.RETRACTION, 2))
    assert (await ledger.conversation(ALICE, BOB)).last.retracted == START + SECOND
    await ledger.erase(ALICE, (2,))
    assert (await ledger.conversation(ALICE, BOB)).last.body is None
    await ledger.trim(ALICE, keep=0)
    row = await ledger.conversation(ALICE, BOB)
    assert (row.last, row.unread) == (None, 0)


async def test_what_is_read_in_part_is_unread_exactly(ledger: SqlLedger) -> None:
    for number in range(1, 6):
        await accept(ledger, chat(ALICE, BOB, number, name=number), chat(CAROL, BOB, number))
    await read(ledger, BOB, ALICE, 5)
    assert await unread(ledger, BOB) == {ALICE: 2, CAROL: 5}
    await accept(
        ledger, pointing(ALICE, BOB, EntryKind.RETRACTION, 2), pointing(ALICE, BOB, EntryKind.RETRACTION, 4)
    )
    assert await unread(ledger, BOB) == {ALICE: 1, CAROL: 5}
    await accept(
        ledger, pointing(ALICE, BOB, EntryKind.REACTIONS, 5), pointing(ALICE, BOB, EntryKind.CORRECTION, 5)
    )
    assert await unread(ledger, BOB) == {ALICE: 1, CAROL: 5}
    await accept(ledger, chat(BOB, CAROL, "read"), chat(CAROL, BOB, 6))
    assert await unread(ledger, BOB) == {ALICE: 1, CAROL: 1}
    await ledger.erase(BOB, (9,))
    assert await unread(ledger, BOB) == {ALICE: 0, CAROL: 1}


async def test_a_conversation_marked_as_unread_has_one(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, 1), chat(ALICE, BOB, 2))
    await change(ledger, BOB, ALICE, unread=True)
    assert await unread(ledger, BOB) == {ALICE: 2}
    await change(ledger, BOB, ALICE, unread=False)
    assert await unread(ledger, BOB) == {ALICE: 0}
    await change(ledger, BOB, ALICE, unread=True)
    assert await unread(ledger, BOB) == {ALICE: 1}
    assert await names(ledger, unread_only=True) == "alice"


async def test_what_its_owner_set_is_told(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, 1))
    await change(ledger, BOB, ALICE, muted_until=START + 9, pinned=3, box="work")
    row = await ledger.conversation(BOB, ALICE)
    assert (row.muted_until, row.pinned, row.box) == (START + 9, 3, "work")
    await change(ledger, BOB, ALICE, muted_until=0, pinned=0)
    row = await ledger.conversation(BOB, ALICE)
    assert (row.muted_until, row.pinned, row.box) == (0, 0, "work")


# -- boxes


async def test_conversations_by_box(filled: SqlLedger) -> None:
    for peer, box in zip(PEERS, ("archive", "bin", "work"), strict=False):
        await change(filled, BOB, peer, box=box)
    assert await names(filled) == "jihfgd"
    assert await names(filled, boxes=("inbox",)) == "jihg"
    assert await names(filled, boxes=("archive", "work")) == "fd"
    assert await names(filled, boxes=("bin",)) == "e"
    assert await names(filled, all_boxes=True) == "jihfged"
    page = await filled.inbox(BOB, InboxQuery(boxes=("bin",)))
    assert (page.unread, page.unread_conversations, page.conversations) == (26, 6, 6)
    assert (await filled.conversation(BOB, PEERS[1])).box == "bin"


async def test_a_new_message_brings_a_conversation_back_from_the_archive_alone(ledger: SqlLedger) -> None:
    for peer, box in ((ALICE, "archive"), (CAROL, "bin")):
        await accept(ledger, chat(peer, BOB, 1))
        await change(ledger, BOB, peer, box=box)
        await accept(ledger, pointing(peer, BOB, EntryKind.DISPLAYED, "?"))
        assert (await ledger.conversation(BOB, peer)).box == box
        await accept(ledger, chat(peer, BOB, 2))
    assert (await ledger.conversation(BOB, ALICE)).box == "inbox"
    assert (await ledger.conversation(BOB, CAROL)).box == "bin"


async def test_an_emptied_bin_shows_no_conversation_until_a_new_message(
    filled: SqlLedger, clock: Clock
) -> None:
    for peer in PEERS[:3]:
        await change(filled, BOB, peer, box="bin")
        clock.now += SECOND
    _, since = await filled.feed()
    assert await filled.empty_bin(BOB, before=clock.now - SECOND) == 2
    assert await names(filled, all_boxes=True) == "jihfg"
    assert await filled.conversation(BOB, PEERS[0]) is None
    assert await filled.empty_bin(BOB) == 1
    assert await filled.empty_bin(BOB) == 0
    assert await names(filled, all_boxes=True) == "jihg"
    assert len((await filled.page(BOB, PageQuery(limit=99))).entries) == 28
    await accept(filled, chat(PEERS[1], BOB, "again"))
    assert await names(filled) == "ejihg"
    row = await filled.conversation(BOB, PEERS[1])
    assert (row.box, row.unread) == ("inbox", 3)
    await accept(filled, chat(BOB, PEERS[0], "mine"))
    assert (await filled.conversation(BOB, PEERS[0])).box == "inbox"
    assert {row.peer for row in (await filled.changes(BOB, since)).rows} == {PEERS[0], PEERS[1]}


# -- rooms


async def test_a_room_is_read_from_its_own_archive(ledger: SqlLedger, clock: Clock) -> None:
    await accept(ledger, say(ALICE, 1), say(ALICE, 2))
    await read(ledger, BOB, ROOM, 2, source=ROOM)
    clock.now += SECOND
    await accept(ledger, say(ALICE, 3), say(ALICE, 4), say(ALICE, 5))
    row = await ledger.conversation(BOB, ROOM)
    assert (row.source, row.position, row.time, row.unread, said(row.last)) == (
        ROOM,
        5,
        START + SECOND,
        3,
        "5",
    )
    assert (await ledger.head(BOB)).position == 0
    await read(ledger, BOB, ROOM, 4, source=ROOM)
    assert await unread(ledger, BOB) == {ROOM: 1}
    assert await unread(ledger, ALICE) == {ROOM: 0}
    await change(ledger, BOB, ROOM, box="archive")
    assert await names(ledger, boxes=("archive",)) == "room"
    _, since = await ledger.feed()
    await accept(ledger, say(ALICE, 6))
    assert await names(ledger, boxes=("inbox",)) == "room"
    changes = await ledger.room_changes(BOB, since, 1 << 40)
    assert [each.row.unread for each in changes.rooms] == [2]
    await change(ledger, BOB, ROOM, box="bin")
    assert await ledger.empty_bin(BOB) == 1
    assert await names(ledger, all_boxes=True) == ""
    await accept(ledger, say(ALICE, 7))
    assert await names(ledger) == "room"
