"""What every ledger promises about who sent what: private messages, invitations, who may change a message."""

from __future__ import annotations

import msgspec

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    ROOM,
    Clock,
    accept,
    chat,
    clock,
    key,
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
    IN_ROOM,
    PHONE,
    by,
    invitation,
    joins,
    leaves,
    membership,
    row_of,
    whisper,
)
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Append,
    Direction,
    Entry,
    EntryKind,
    LedgerBatch,
)
from tidings.ports.ledger.feed import Cursor
from tidings.ports.ledger.reading import PageQuery

__all__ = ["Clock", "clock", "ledger", "ledger_url", "ledger_urls"]

# -- private messages


async def test_a_private_message_is_two_bodies_in_one_transaction(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE), joins(BOB)), say(BOB, 1))
    (outcome,) = await accept(ledger, whisper("psst"))
    (other,) = outcome.also
    assert (outcome.places[0].archive, other.places[0].archive) == (ALICE, BOB)
    assert (outcome.feed, outcome.time) == (other.feed, other.time)
    assert await texts(ledger, ALICE) == ["psst"]
    assert await texts(ledger, BOB) == ["psst for you"]
    assert await unread(ledger, BOB) == {ROOM: 0, IN_ROOM[ALICE]: 1}
    assert await unread(ledger, ALICE) == {ROOM: 1, IN_ROOM[BOB]: 0}


async def test_a_plan_is_accepted_refused_or_stale_as_a_whole(ledger: SqlLedger) -> None:
    append = whisper("psst")
    (part,) = append.also
    await ledger.bump_version(BOB)
    (entry,) = part.entries
    guarded = msgspec.structs.replace(part, entries=(msgspec.structs.replace(entry, version=0),))
    long = msgspec.structs.replace(part, body=b"x" * (1 << 21))
    for other, kind in ((guarded, "Stale"), (long, "Refused")):
        batch = LedgerBatch(appends=(msgspec.structs.replace(append, also=(other,)),))
        assert type((await ledger.commit(batch)).outcomes[0]).__name__ == kind
    assert (await ledger.head(ALICE)).position == (await ledger.head(BOB)).position == 0


async def test_a_plan_that_is_sent_again_is_answered_as_a_whole(ledger: SqlLedger) -> None:
    def again(name: str) -> Append:
        append = whisper("psst")
        (part,) = append.also
        part = msgspec.structs.replace(part, repeat=part.keys[0])
        return msgspec.structs.replace(append, body=stanza(name), repeat=append.keys[0], also=(part,))

    first, inside = await accept(ledger, again("1"), again("2"))
    (later,) = await accept(ledger, again("3"))
    for repeated in (inside, later):
        assert repeated.repeated
        assert repeated.places == first.places
        assert repeated.also[0].places == first.also[0].places
    assert await texts(ledger, BOB) == ["psst for you"]


async def test_a_private_message_is_retracted_on_both_sides_by_its_sender_alone(ledger: SqlLedger) -> None:
    await accept(ledger, whisper("psst"))

    def retraction(asker: Jid) -> Append:
        append, kind = whisper("-"), EntryKind.RETRACTION
        (part,) = append.also
        replace = msgspec.structs.replace

        def turned(one: Append, name: bytes) -> Append:
            entries = tuple(replace(entry, countable=False) for entry in one.entries)
            return replace(one, entries=entries, kind=kind, refers_to=(name,), keys=(), sender=asker)

        return replace(turned(append, key(ALICE, "psst")), also=(turned(part, key(ROOM, "psst")),))

    (foreign,) = await accept(ledger, retraction(CAROL))
    assert (foreign.targets, foreign.also[0].targets) == ((), ())
    assert await unread(ledger, BOB) == {IN_ROOM[ALICE]: 1}
    (own,) = await accept(ledger, retraction(ALICE))
    assert (own.targets, own.also[0].targets) == ((1,), (1,))
    assert await unread(ledger, BOB) == {IN_ROOM[ALICE]: 0}


async def test_what_has_the_room_as_peer_leaves_pointers_of_the_room_alone(ledger: SqlLedger) -> None:
    """A position of one's own archive says nothing about the room's."""
    await accept(ledger, membership(joins(ALICE), joins(BOB)), *(chat(CAROL, ALICE, n) for n in range(9)))
    await accept(ledger, say(BOB, 1), say(BOB, 2))
    sent = Entry(archive=ALICE, peer=ROOM, direction=Direction.SENT, countable=True)
    received = Entry(archive=BOB, peer=ROOM, countable=True)
    await accept(ledger, Append(body=stanza("to the room itself"), entries=(sent, received), sender=PHONE))
    assert (await unread(ledger, ALICE))[ROOM] == 2
    assert (await row_of(ledger, ALICE)).source == ROOM
    assert await unread(ledger, BOB) == {ROOM: 1}  # marked, for what came to him alone
    await read(ledger, BOB, ROOM, 0, ROOM)
    assert await unread(ledger, BOB) == {ROOM: 0}
    await accept(ledger, say(ALICE, 3))
    assert await unread(ledger, BOB) == {ROOM: 1}


# -- invitations


async def test_an_invitation_is_unread_until_the_room_is_joined(ledger: SqlLedger) -> None:
    await accept(ledger, say(ALICE, 1), invitation("come in"), say(ALICE, 2))
    row = await row_of(ledger, BOB)
    assert (row.unread, row.source, said(row.last)) == (1, BOB, "come in")
    await accept(ledger, membership(joins(BOB)))
    assert await unread(ledger, BOB) == {ROOM: 0}
    await accept(ledger, say(ALICE, 3))
    row = await row_of(ledger, BOB)
    assert (row.unread, row.source, said(row.last)) == (1, ROOM, "3")


async def test_a_later_join_by_a_pointer_counts_too(ledger: SqlLedger) -> None:
    await accept(ledger, invitation("come in"), say(ALICE, 1))
    await read(ledger, BOB, ROOM, 0, ROOM)
    await accept(ledger, say(ALICE, 2), say(ALICE, 3))
    assert await unread(ledger, BOB) == {ROOM: 2}


async def test_another_invitation_brings_a_room_back_that_was_left(ledger: SqlLedger) -> None:
    await accept(ledger, invitation("one"), membership(joins(BOB)), say(ALICE, 1), membership(leaves(BOB)))
    assert await unread(ledger, BOB) == {}
    await accept(ledger, invitation("two"))
    row = await row_of(ledger, BOB)
    assert (row.unread, row.source, said(row.last)) == (1, BOB, "two")


async def test_trimming_ones_own_archive_leaves_the_pointer_of_a_room(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(BOB)), say(ALICE, 1), say(ALICE, 2))
    await accept(ledger, *(chat(CAROL, BOB, n) for n in range(9)), invitation("again"))
    await ledger.trim(BOB, keep=0)
    assert (await row_of(ledger, BOB)).unread == 2


# -- who may change a message


async def test_a_member_retracts_and_corrects_nothing_of_another(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE), joins(BOB), joins(CAROL)), say(ALICE, "secret"))
    there = await place(ledger, ROOM, 2)
    for kind in (EntryKind.RETRACTION, EntryKind.CORRECTION):
        (outcome,) = await accept(ledger, by(BOB, kind, there))
        assert outcome.targets == ()
    assert (await unread(ledger, CAROL)) == {ROOM: 1}
    (outcome,) = await accept(ledger, by(ALICE, EntryKind.CORRECTION, there))
    assert outcome.targets == (2,)
    (outcome,) = await accept(ledger, by(ALICE, EntryKind.RETRACTION, there))
    assert outcome.targets == (2,)
    assert (await unread(ledger, CAROL)) == {ROOM: 0}


async def test_a_key_of_another_does_not_make_a_message_ones_own(ledger: SqlLedger) -> None:
    named = msgspec.structs.replace(say(ALICE, "secret"), keys=(key(ALICE, 1),), sender=PHONE)
    await accept(ledger, named)
    foreign, own = await accept(
        ledger,
        by(BOB, EntryKind.RETRACTION, key(ALICE, 1)),
        by(ALICE, EntryKind.RETRACTION, key(ALICE, 1)),
    )
    assert (foreign.targets, own.targets) == ((), (1,))


async def test_others_may_react_to_a_message_and_the_room_may_retract_it(ledger: SqlLedger) -> None:
    await accept(ledger, say(ALICE, "rude"))
    there = await place(ledger, ROOM, 1)
    room_itself = msgspec.structs.replace(
        by(BOB, EntryKind.RETRACTION, there), sender=ROOM, entries=(Entry(archive=ROOM, peer=ROOM),)
    )
    reaction, retraction = await accept(ledger, by(BOB, EntryKind.REACTIONS, there), room_itself)
    assert (reaction.targets, retraction.targets) == ((1,), (1,))


async def test_who_really_sent_it_is_read_where_direction_and_peer_do_not_tell(ledger: SqlLedger) -> None:
    await accept(
        ledger, say(ALICE, 1), whisper("psst"), msgspec.structs.replace(chat(ALICE, BOB, 2), sender=PHONE)
    )
    (in_room,) = (await ledger.page(ROOM, PageQuery())).entries
    private, plain = (await ledger.page(BOB, PageQuery())).entries
    assert (in_room.sender, private.sender, plain.sender) == (ALICE, ALICE, None)
    feed = await ledger.feed_after(Cursor(""))
    assert [entry.sender for entry in feed.items] == [ALICE] * 4


async def test_what_failed_points_at_the_message_and_is_not_counted(ledger: SqlLedger) -> None:
    far = Jid("far@away.example")
    sent = Entry(archive=ALICE, peer=far, direction=Direction.SENT, countable=True)
    await accept(ledger, Append(body=stanza("1"), entries=(sent,), keys=(key(ALICE, 1),), sender=PHONE))
    failed = Append(
        body=stanza("remote-server-timeout"),
        entries=(Entry(archive=ALICE, peer=far),),
        kind=EntryKind.FAILED,
        refers_to=(await place(ledger, ALICE, 1),),
        sender=far,
    )
    (outcome,) = await accept(ledger, failed)
    assert outcome.targets == (1,)
    assert await unread(ledger, ALICE) == {far: 0}
    first, second = (await ledger.page(ALICE, PageQuery(folded=True))).entries
    assert [pointer.kind for pointer in first.pointers] == [EntryKind.FAILED]
    assert (second.kind, second.resource) == (EntryKind.FAILED, "")
