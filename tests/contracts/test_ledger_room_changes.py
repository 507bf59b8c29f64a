"""What every ledger tells of the rooms of one account between two numbers of the feed."""

from __future__ import annotations

import pytest

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    ROOM,
    Clock,
    accept,
    change,
    chat,
    clock,
    ledger,
    ledger_url,
    ledger_urls,
    place,
    said,
    say,
    stanza,
)
from tests.contracts.room_stories import by, joins, leaves, membership, room_changes
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, Entry, EntryKind, MemberChange
from tidings.ports.ledger.reading import NEWEST_OF_ROOM, ROOMS_OF_PAGE, RoomChange, RoomChanges

__all__ = ["Clock", "clock", "ledger", "ledger_url", "ledger_urls"]


def room(number: int) -> Jid:
    return Jid(f"room{number}@conference.localhost")


async def join(ledger: SqlLedger, *rooms: Jid, member: Jid = BOB) -> int:
    """Let somebody join rooms; gives the number of the feed behind that."""
    for each in rooms:
        entry = Entry(archive=each, peer=each)
        changes = (joins(member, room=each),)
        body = stanza("members change")
        await accept(ledger, Append(body=body, entries=(entry,), kind=EntryKind.MEMBERSHIP, members=changes))
    return (await ledger.feed())[1]


def told(change: RoomChange) -> list[str | None]:
    return [said(entry) for entry in change.entries]


def by_room(changes: RoomChanges) -> dict[Jid, list[str | None]]:
    return {each.row.peer: told(each) for each in changes.rooms}


async def test_the_new_entries_of_rooms_are_told_with_how_each_stands(ledger: SqlLedger) -> None:
    base = await join(ledger, room(1), room(2), room(3))
    await accept(ledger, say(ALICE, "a", room(1)), say(ALICE, "b", room(1)), say(BOB, "c", room(3)))
    changes = await room_changes(ledger, BOB, base)
    assert by_room(changes) == {room(1): ["a", "b"], room(3): ["c"]}
    assert [(each.row.unread, each.gap, each.erased) for each in changes.rooms] == [
        (2, None, ()),
        (0, None, ()),
    ]
    assert changes.is_complete
    first = changes.rooms[0].entries[0]
    assert (first.sender, first.id.position) == (ALICE, 2)
    assert (await room_changes(ledger, CAROL, base)).rooms == ()  # she is in none of them
    assert (await room_changes(ledger, BOB, (await ledger.feed())[1])).rooms == ()


async def test_what_happens_after_the_end_is_left_out(ledger: SqlLedger) -> None:
    base = await join(ledger, room(1), room(2))
    await accept(ledger, say(ALICE, "in time", room(1)))
    top = (await ledger.feed())[1]
    for number in range(60):
        await accept(ledger, say(ALICE, f"late {number}", room(1)))
    await accept(ledger, say(ALICE, "late", room(2)))
    found = by_room(await room_changes(ledger, BOB, base, top))
    assert found == {room(1): ["in time"], room(2): []}
    [again] = (await room_changes(ledger, BOB, top)).rooms[:1]
    assert told(again)[-1] == "late 59"


async def test_of_a_room_come_the_newest_entries_and_where_the_others_are(ledger: SqlLedger) -> None:
    base = await join(ledger, room(1))
    await accept(ledger, say(ALICE, "early", room(1)))
    base = (await ledger.feed())[1]
    count = NEWEST_OF_ROOM + 20
    await accept(ledger, *(say(ALICE, number, room(1)) for number in range(count)))
    [change] = (await room_changes(ledger, BOB, base)).rooms
    assert told(change) == [str(number) for number in range(20, count)]
    assert change.gap == (2, 23)
    exactly = (await ledger.feed())[1]
    await accept(ledger, *(say(ALICE, number, room(1)) for number in range(NEWEST_OF_ROOM)))
    [change] = (await room_changes(ledger, BOB, exactly)).rooms
    assert (len(change.entries), change.gap) == (NEWEST_OF_ROOM, None)


async def test_a_page_has_so_many_entries_and_rooms_and_the_next_goes_on(ledger: SqlLedger) -> None:
    rooms = [room(number) for number in range(ROOMS_OF_PAGE + 5)]
    base = await join(ledger, *rooms)
    await accept(ledger, *(say(ALICE, f"{each}", each) for each in rooms for _ in range(2)))
    top = (await ledger.feed())[1]
    found: dict[Jid, list[str | None]] = {}
    pages, after, is_complete = 0, 0, False
    while not is_complete:
        page = await room_changes(ledger, BOB, base, top, after=after, limit=25)
        assert 0 < sum(len(each.entries) for each in page.rooms) <= 25
        assert not found.keys() & by_room(page).keys()
        found |= by_room(page)
        after, is_complete, pages = page.place, page.is_complete, pages + 1
    assert found == {each: [str(each)] * 2 for each in rooms}
    assert pages == 9
    page = await room_changes(ledger, BOB, base, top, limit=1_000)
    assert (len(page.rooms), page.is_complete) == (ROOMS_OF_PAGE, False)


async def test_a_room_that_has_no_place_whole_is_told_with_a_gap_on_a_page_of_its_own(
    ledger: SqlLedger,
) -> None:
    base = await join(ledger, room(1), room(2))
    await accept(ledger, *(say(ALICE, number, each) for each in (room(1), room(2)) for number in range(8)))
    page = await room_changes(ledger, BOB, base, limit=5)
    [change] = page.rooms
    assert (told(change), change.gap, page.is_complete) == (["3", "4", "5", "6", "7"], (1, 5), False)
    octets = sum(len(entry.body or b"") for entry in change.entries)
    page = await room_changes(ledger, BOB, base, octets=octets - 1)
    [change] = page.rooms
    assert (told(change), change.gap, page.is_complete) == (["4", "5", "6", "7"], (1, 6), False)
    page = await room_changes(ledger, BOB, base, after=page.place, octets=1)
    [change] = page.rooms
    assert (told(change), page.is_complete) == (["7"], True)


async def test_nothing_from_before_joining_is_told(ledger: SqlLedger) -> None:
    base = await join(ledger, room(1), member=ALICE)
    await accept(ledger, say(ALICE, "before", room(1)))
    await join(ledger, room(1))
    await accept(ledger, say(ALICE, "after", room(1)))
    [change] = (await room_changes(ledger, BOB, base)).rooms
    assert told(change) == ["members change", "after"]
    assert change.gap is None


async def test_what_counts_for_nobody_is_told_too(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, 1), say(ALICE, 2))
    base = (await ledger.feed())[1]
    first = await place(ledger, ROOM, 2)
    await accept(ledger, by(ALICE, EntryKind.REACTIONS, first))
    [change] = (await room_changes(ledger, BOB, base)).rooms
    [entry] = change.entries
    assert (entry.kind, entry.target) == (EntryKind.REACTIONS, 2)
    assert said(change.row.last) == "2"  # which is not among the entries


async def test_erased_entries_and_pointers_are_told(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, 1), say(ALICE, 2))
    base = (await ledger.feed())[1]
    await ledger.erase(ROOM, (2,))
    [change_] = (await room_changes(ledger, BOB, base)).rooms
    assert (change_.erased, change_.entries, change_.row.unread) == ((2,), (), 1)
    base = (await ledger.feed())[1]
    await change(ledger, BOB, ROOM, pinned=2)
    [change_] = (await room_changes(ledger, BOB, base)).rooms
    assert (change_.row.pinned, change_.entries, change_.erased) == (2, (), ())


async def test_who_has_left_is_told_nothing_of_the_room(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)))
    base = (await ledger.feed())[1]
    await accept(ledger, say(ALICE, 1), membership(leaves(BOB)), say(ALICE, 2))
    assert (await room_changes(ledger, BOB, base)).rooms == ()
    assert (await ledger.changes(BOB, base)).gone == (ROOM,)


async def test_the_own_changes_have_an_end_and_no_rooms(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)))
    base = (await ledger.feed())[1]
    await accept(ledger, chat(ALICE, BOB, "one"), say(ALICE, 1))
    top = (await ledger.feed())[1]
    await accept(ledger, chat(ALICE, BOB, "two"))
    changes = await ledger.changes(BOB, base, upto=top)
    assert ([said(entry) for entry in changes.entries], changes.feed, changes.is_complete) == (
        ["one"],
        top,
        True,
    )
    assert {row.peer for row in (await ledger.changes(BOB, base)).rows} == {ALICE}


@pytest.mark.parametrize("domain", ["other.localhost", ""])
async def test_a_room_is_told_with_the_domain_that_its_member_knows(ledger: SqlLedger, domain: str) -> None:
    known = MemberChange(room=ROOM, member=BOB, affiliation="member", joins=True, domain=domain)
    await accept(ledger, membership(joins(ALICE, "owner"), known))
    base = (await ledger.feed())[1]
    await accept(ledger, say(ALICE, 1))
    [change] = (await room_changes(ledger, BOB, base)).rooms
    assert change.row.domain == domain
