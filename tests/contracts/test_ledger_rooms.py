"""What every ledger promises to rooms: members, kicks, mentions, their end."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select

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
    read,
    said,
    say,
    stanza,
    texts,
    unread,
)
from tests.contracts.room_stories import (
    by,
    joins,
    leaves,
    membership,
    room_changes,
    row_of,
    whisper,
)
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.ledger.tables import inbox, jids
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Entry,
    EntryKind,
    LedgerBatch,
    MemberChange,
    PropertyChange,
    ReadMove,
    Refused,
    Stale,
)
from tidings.ports.ledger.reading import InboxQuery, Member, PageQuery

__all__ = ["Clock", "clock", "ledger", "ledger_url", "ledger_urls"]

# -- members


async def test_members_are_listed_with_where_they_joined(ledger: SqlLedger) -> None:
    await accept(ledger, say(ALICE, 1), membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, 2))
    await accept(ledger, membership(leaves(CAROL, "outcast")))
    alice = Member(ROOM, ALICE, "owner", 2)
    bob, carol = Member(ROOM, BOB, "member", 2), Member(ROOM, CAROL, "outcast", None)
    assert set(await ledger.members(ROOM)) == {alice, bob, carol}
    assert await ledger.member(ROOM, BOB) == bob
    assert await ledger.member(ROOM, Jid("nobody@example.org")) is None
    first, *rest = await ledger.members(ROOM)
    assert await ledger.members(ROOM, limit=1) == (first,)
    assert await ledger.members(ROOM, after=first.member) == tuple(rest)
    assert await unread(ledger, BOB) == {ROOM: 1}
    assert await unread(ledger, CAROL) == {}


async def test_an_affiliation_changes_and_the_member_stays(ledger: SqlLedger) -> None:
    promoted = MemberChange(room=ROOM, member=BOB, affiliation="admin")
    await accept(ledger, membership(joins(BOB)), say(ALICE, 1), membership(promoted), say(ALICE, 2))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "admin", 1)
    assert await unread(ledger, BOB) == {ROOM: 2}


async def test_the_rooms_of_somebody_are_listed(ledger: SqlLedger) -> None:
    other = Jid("other@rooms.example.org")
    entry = Entry(archive=other, peer=other)
    there = Append(body=b"-", entries=(entry,), kind=EntryKind.MEMBERSHIP, members=(joins(BOB, room=other),))
    await accept(ledger, membership(joins(BOB), joins(ALICE)), there)
    rooms = await ledger.rooms_of(BOB)
    assert {member.room for member in rooms} == {ROOM, other}
    assert await ledger.rooms_of(BOB, after=rooms[0].room) == rooms[1:]
    assert [member.room for member in await ledger.rooms_of(ALICE)] == [ROOM]


async def test_what_was_before_joining_is_not_unread(ledger: SqlLedger) -> None:
    await accept(ledger, say(ALICE, 1), say(ALICE, 2), membership(joins(BOB)), say(ALICE, 3))
    assert await unread(ledger, BOB) == {ROOM: 1}
    assert said((await row_of(ledger, BOB)).last) == "3"
    # Behind the join in one transaction, and trimmed ahead of the pointer.
    await accept(ledger, say(ALICE, 4))
    await ledger.trim(ROOM, keep=1)
    assert await unread(ledger, BOB) == {ROOM: 1}


async def test_a_message_in_a_room_writes_nothing_for_its_members(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE), joins(BOB), joins(CAROL)))
    since = (await ledger.feed())[1]

    async def rows() -> list[object]:
        statement = select(inbox).join(jids, jids.c.id == inbox.c.owner).where(jids.c.jid == BOB)
        return await ledger._database.read(lambda connection: connection.execute(statement).all())

    before = await rows()
    assert len(before) == 1
    await accept(ledger, say(ALICE, "hello"))
    assert await rows() == before
    assert [each.row.unread for each in (await room_changes(ledger, BOB, since)).rooms] == [1]


# -- a kick


async def test_a_kick_is_one_transaction(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, 1), say(BOB, 2))
    version = (await ledger.head(ROOM)).version
    since = (await ledger.feed())[1]
    kick = membership(leaves(BOB, "outcast"), version=version)
    entry = Entry(archive=ROOM, peer=ROOM, countable=True, reader=BOB, version=version)
    late = Append(body=stanza("late"), entries=(entry,))
    kicked, refused = (await ledger.commit(LedgerBatch(appends=(kick, late)))).outcomes
    assert isinstance(kicked, Accepted)
    assert refused == Stale(ROOM)  # guard let it pass before the kick
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "outcast", None)
    assert await unread(ledger, BOB) == {}
    assert (await ledger.changes(BOB, since)).gone == (ROOM,)
    # What is said later is nothing to him.
    await accept(ledger, say(ALICE, 3))
    assert await unread(ledger, BOB) == {}
    assert (await room_changes(ledger, BOB, kicked.feed)).rooms == ()


async def test_who_was_kicked_may_come_again(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(BOB)), say(ALICE, 1), membership(leaves(BOB)), say(ALICE, 2))
    assert await ledger.members(ROOM) == ()
    await accept(ledger, membership(joins(BOB)), say(ALICE, 3))
    assert await unread(ledger, BOB) == {ROOM: 1}
    assert (await ledger.member(ROOM, BOB)) == Member(ROOM, BOB, "member", 5)


async def test_a_refused_change_changes_nothing(ledger: SqlLedger) -> None:
    """What belongs to an append goes with it, or not at all."""
    too_long = MemberChange(room=ROOM, member=BOB, affiliation="x" * 33, joins=True)
    stale = membership(joins(BOB), version=7)
    (outcome,) = (await ledger.commit(LedgerBatch(appends=(stale,)))).outcomes
    assert outcome == Stale(ROOM)
    (outcome,) = (await ledger.commit(LedgerBatch(appends=(membership(too_long),)))).outcomes
    assert "33 octets" in outcome.reason
    assert await ledger.members(ROOM) == ()
    head = await ledger.head(ROOM)
    assert (head.position, head.version) == (0, 0)
    assert await unread(ledger, BOB) == {}


async def test_pointers_move_with_an_append(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(BOB)), say(ALICE, 1), chat(ALICE, BOB, "hi"))
    moves = (ReadMove(owner=BOB, peer=ROOM, upto=0), ReadMove(owner=BOB, peer=ALICE, upto=0))
    await accept(ledger, say(ALICE, 2), membership(by=BOB, reads=moves), say(ALICE, 3))
    assert await unread(ledger, BOB) == {ROOM: 1, ALICE: 0}


# -- mentions


async def test_unread_mentions_are_counted_for_the_mentioned(ledger: SqlLedger) -> None:
    def mention(words: object, *whom: Jid, everybody: bool = False) -> Append:
        return msgspec.structs.replace(say(ALICE, words), mentions=whom, mentions_all=everybody)

    async def mentions() -> tuple[int, ...]:
        return tuple([(await row_of(ledger, each)).mentions for each in (ALICE, BOB, CAROL)])

    await accept(ledger, mention("before", BOB), membership(joins(ALICE), joins(BOB), joins(CAROL)))
    assert await mentions() == (0, 0, 0)
    await accept(ledger, mention(1, BOB), mention(2, BOB, everybody=True), say(ALICE, 3), mention(4, CAROL))
    assert await mentions() == (0, 2, 2)
    await read(ledger, BOB, ROOM, 3, ROOM)
    assert await mentions() == (0, 1, 2)
    await accept(ledger, by(ALICE, EntryKind.RETRACTION, await place(ledger, ROOM, 4)))
    assert await mentions() == (0, 0, 1)
    await ledger.erase(ROOM, (6,))
    assert await mentions() == (0, 0, 0)


# -- the end of a room


async def test_a_destroyed_room_leaves_the_inboxes_of_its_members(ledger: SqlLedger) -> None:
    crowd = [Jid(f"member{number}@example.org") for number in range(40)]
    await accept(ledger, membership(*(joins(each) for each in (BOB, *crowd))), say(ALICE, 1), say(ALICE, 2))
    await accept(ledger, chat(ALICE, BOB, "still here"))
    await change(ledger, BOB, ROOM, pinned=1)
    since = (await ledger.feed())[1]
    assert await ledger.forget_account(ROOM) > 0
    while await ledger.forget_account(ROOM):
        pass
    for member in (BOB, ALICE, *crowd):  # Alice was no member: she had it in her inbox by speaking
        assert ROOM not in await unread(ledger, member)
    assert (await ledger.changes(BOB, since)).gone == (ROOM,)
    assert await unread(ledger, BOB) == {ALICE: 1}
    assert await ledger.members(ROOM) == ()
    assert await ledger.rooms_of(BOB) == ()
    assert await texts(ledger, ROOM) == []
    # Another room of its name is another room.
    await accept(ledger, say(ALICE, 3))
    assert await unread(ledger, BOB) == {ALICE: 1}
    await accept(ledger, membership(joins(BOB)), say(ALICE, 4))
    assert await unread(ledger, BOB) == {ALICE: 1, ROOM: 1}


async def test_a_removed_account_is_a_member_of_nothing(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE), joins(BOB)), say(ALICE, 1))
    version = (await ledger.head(ROOM)).version
    while await ledger.forget_account(BOB):
        pass
    assert [member.member for member in await ledger.members(ROOM)] == [ALICE]
    assert (await ledger.head(ROOM)).version == version + 1  # what guard knew of him is void
    assert await unread(ledger, BOB) == {}
    assert (await ledger.inbox(ALICE, InboxQuery())).conversations == 1


@pytest.mark.parametrize("box", ["archive", "bin"])
async def test_a_boxed_room_comes_back_as_a_boxed_conversation_does(ledger: SqlLedger, box: str) -> None:
    await accept(ledger, membership(joins(BOB)), say(ALICE, 1))
    await change(ledger, BOB, ROOM, box=box)
    assert (await row_of(ledger, BOB)).box == box
    await accept(ledger, say(ALICE, 2))
    assert (await row_of(ledger, BOB)).box == ("inbox" if box == "archive" else box)


# -- nicknames and properties


async def test_a_nickname_stays_until_it_is_changed_or_the_member_goes(ledger: SqlLedger) -> None:
    named = msgspec.structs.replace(joins(BOB), nick="Bobby")
    await accept(ledger, membership(joins(ALICE, "owner"), named))
    assert {each.member: each.nick for each in await ledger.members(ROOM)} == {ALICE: "", BOB: "Bobby"}
    await accept(ledger, membership(MemberChange(room=ROOM, member=BOB, affiliation="admin")))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "admin", 1, "Bobby")
    await accept(ledger, membership(MemberChange(room=ROOM, member=BOB, affiliation="admin", nick="")))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "admin", 1, "")
    await accept(ledger, membership(named))
    await accept(ledger, membership(leaves(BOB)))
    await accept(ledger, membership(joins(BOB)))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "member", 6, "")


async def test_a_member_may_know_the_room_under_another_domain(ledger: SqlLedger) -> None:
    await accept(ledger, membership(msgspec.structs.replace(joins(BOB), domain="light.example")))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "member", 1, "", "light.example")
    await accept(ledger, membership(MemberChange(room=ROOM, member=BOB, affiliation="owner", nick="Bobby")))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "owner", 1, "Bobby", "light.example")
    await accept(ledger, membership(MemberChange(room=ROOM, member=BOB, affiliation="owner", domain="")))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "owner", 1, "Bobby")


async def test_two_changes_of_one_member_in_one_message_follow_each_other(ledger: SqlLedger) -> None:
    first = MemberChange(room=ROOM, member=BOB, affiliation="member", joins=True, nick="Bobby")
    await accept(ledger, membership(first, MemberChange(room=ROOM, member=BOB, affiliation="owner")))
    assert await ledger.member(ROOM, BOB) == Member(ROOM, BOB, "owner", 1, "Bobby")


def configured(*changes: PropertyChange, version: int | None = None) -> Append:
    entry = Entry(archive=ROOM, peer=ROOM, version=version)
    return Append(body=stanza("configured"), entries=(entry,), properties=changes, raises=(ROOM,))


async def test_properties_change_with_the_entry_that_tells_of_it(ledger: SqlLedger) -> None:
    assert await ledger.properties(ROOM) == {}
    await accept(
        ledger,
        configured(
            PropertyChange(archive=ROOM, name="room", value=b"\0one"),
            PropertyChange(archive=ROOM, name="subject", value=b"tea"),
        ),
    )
    assert await ledger.properties(ROOM) == {"room": b"\0one", "subject": b"tea"}
    await accept(ledger, configured(PropertyChange(archive=ROOM, name="subject", value=b"")))
    assert await ledger.properties(ROOM) == {"room": b"\0one"}
    head = await ledger.head(ROOM)
    stale = configured(PropertyChange(archive=ROOM, name="room", value=b"two"), version=head.version - 1)
    assert (await ledger.commit(LedgerBatch(appends=(stale,)))).outcomes == (Stale(ROOM),)
    assert await ledger.properties(ROOM) == {"room": b"\0one"}


async def test_archives_with_a_property_are_listed_by_domain(ledger: SqlLedger) -> None:
    rooms = [Jid(f"room{number}@{ROOM.domain}") for number in range(5)]
    for number, room in enumerate((*rooms, Jid(f"room@not-{ROOM.domain}"), ALICE)):
        entry = Entry(archive=room, peer=room)
        kept = PropertyChange(archive=room, name="room", value=b"%d" % number)
        await accept(ledger, Append(body=stanza("made"), entries=(entry,), properties=(kept,)))
    first = await ledger.with_property(ROOM.domain, "room", None, 3)
    rest = await ledger.with_property(ROOM.domain, "room", first[-1].archive, 3)
    assert [(each.archive, each.value) for each in first + rest] == [
        (room, b"%d" % number) for number, room in enumerate(rooms)
    ]
    assert await ledger.with_property(ROOM.domain, "roo", None, 3) == ()


async def test_what_is_too_long_for_a_property_or_a_nickname_is_refused_alone(ledger: SqlLedger) -> None:
    refused = [
        configured(PropertyChange(archive=ROOM, name="n" * 65, value=b"x")),
        configured(PropertyChange(archive=ROOM, name="room", value=b"x" * 65_537)),
        membership(MemberChange(room=ROOM, member=BOB, affiliation="member", nick="é" * 128)),
    ]
    longest = configured(PropertyChange(archive=ROOM, name="n" * 64, value=b"x" * 65_536))
    committed = await ledger.commit(LedgerBatch(appends=(*refused, longest)))
    assert [type(outcome) for outcome in committed.outcomes] == [Refused, Refused, Refused, Accepted]
    assert await ledger.properties(ROOM) == {"n" * 64: b"x" * 65_536}
    assert await ledger.members(ROOM) == ()


async def test_a_room_that_is_forgotten_has_no_properties(ledger: SqlLedger) -> None:
    await accept(ledger, configured(PropertyChange(archive=ROOM, name="room", value=b"one")))
    while await ledger.forget_account(ROOM):
        pass
    assert await ledger.properties(ROOM) == {}
    assert await ledger.with_property(ROOM.domain, "room") == ()


# -- pages


async def test_a_page_leaves_out_kinds_and_counts_what_is_left(ledger: SqlLedger) -> None:
    without = (EntryKind.MEMBERSHIP, EntryKind.CONFIGURATION)
    await accept(ledger, membership(joins(ALICE, "owner")), say(ALICE, 1), say(ALICE, 2))
    kept = PropertyChange(archive=ROOM, name="room", value=b"{}")
    entry = Entry(archive=ROOM, peer=ROOM)
    told = Append(
        body=stanza("it changes"), entries=(entry,), kind=EntryKind.CONFIGURATION, properties=(kept,)
    )
    await accept(ledger, told, membership(joins(BOB)), say(BOB, 3))
    assert await texts(ledger, ROOM, without=without) == ["1", "2", "3"]
    assert await texts(ledger, ROOM, without=without, above=2) == ["2", "3"]
    assert await texts(ledger, ROOM, without=without, peer=ROOM, limit=2, newest=True) == ["2", "3"]
    assert await texts(ledger, ROOM, without=without, words=("3",)) == ["3"]
    page = await ledger.page(ROOM, PageQuery(without=without, limit=1, newest=True))
    assert (page.total, page.index, page.is_complete) == (3, 2, False)


async def test_a_row_of_the_inbox_tells_by_which_domain_its_owner_knows_the_room(
    ledger: SqlLedger,
) -> None:
    known = MemberChange(room=ROOM, member=BOB, affiliation="member", joins=True, domain="other.localhost")
    await accept(ledger, membership(joins(ALICE, "owner"), known), say(ALICE, 1))
    row = await row_of(ledger, BOB)
    assert (row.peer, row.source, row.domain) == (ROOM, ROOM, "other.localhost")
    assert row.shown_peer == row.shown_source == Jid.of(ROOM.local, "other.localhost")
    row = await row_of(ledger, ALICE)
    assert (row.domain, row.shown_peer) == ("", ROOM)


async def test_what_passes_through_a_room_is_stale_when_the_room_has_changed_meanwhile(
    ledger: SqlLedger,
) -> None:
    await accept(ledger, membership(joins(ALICE), joins(BOB)))
    seen = (await ledger.head(ROOM)).version
    await accept(ledger, membership(leaves(ALICE, "outcast")))
    stale = whisper("too late", ALICE, BOB)
    stale = msgspec.structs.replace(stale, versions=((ROOM.text, seen),))
    assert (await ledger.commit(LedgerBatch(appends=(stale,)))).outcomes == (Stale(ROOM.text),)
    assert (await ledger.head(BOB)).position == 0
    now = msgspec.structs.replace(stale, versions=((ROOM.text, seen + 1),))
    assert isinstance((await ledger.commit(LedgerBatch(appends=(now,)))).outcomes[0], Accepted)
