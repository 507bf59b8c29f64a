"""What every ledger promises about who has read what in a room, and who has reacted to it."""

from __future__ import annotations

import random

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
    change,
    clock,
    ledger,
    ledger_url,
    ledger_urls,
    place,
    read,
    say,
)
from tests.contracts.room_stories import by, joins, leaves, membership
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Entry,
    EntryKind,
    LedgerBatch,
    ReadMove,
    Refused,
    message_key,
)
from tidings.ports.ledger.reading import EntryId, NoSuchEntry, ReactionsPage, Reading

__all__ = ["Clock", "clock", "ledger", "ledger_url", "ledger_urls"]


async def counts(ledger: SqlLedger, *positions: int) -> list[tuple[int, int]]:
    ids = [await at(ledger, ROOM, position) for position in positions]
    return [(each.seen, each.of) for each in await ledger.seen(ROOM, ids)]


async def readers(ledger: SqlLedger, position: int, **which: object) -> set[Jid]:
    [seen] = await ledger.seen(ROOM, [await at(ledger, ROOM, position)])
    return {each.member for each in await ledger.readings(ROOM, seen, **which)}


async def displays(ledger: SqlLedger, member: Jid, position: int) -> None:
    """Let a member display a message to himself, with a marker that the room keeps."""
    entry = Entry(archive=ROOM, peer=ROOM, reader=member, reads=True, groupchat=True)
    target = await place(ledger, ROOM, position)
    await accept(
        ledger,
        Append(body=b"-", entries=(entry,), kind=EntryKind.DISPLAYED, refers_to=(target,), sender=member),
    )


async def test_a_message_is_seen_by_those_whose_pointer_is_not_before_it(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB), joins(CAROL)))
    await accept(ledger, say(ALICE, "one"), say(ALICE, "two"))
    assert await counts(ledger, 2, 3) == [(0, 2), (0, 2)]
    await displays(ledger, BOB, 2)
    assert await counts(ledger, 2, 3) == [(1, 2), (0, 2)]
    await read(ledger, CAROL, ROOM, 3)
    assert await counts(ledger, 3, 2) == [(1, 2), (2, 2)]
    assert await readers(ledger, 3) == {CAROL}
    assert await readers(ledger, 3, has_read=False) == {BOB}
    await change(ledger, BOB, ROOM, unread=False)
    assert await counts(ledger, 3) == [(2, 2)]
    # What one says oneself is read, and so is what was said before it.
    await accept(ledger, say(ALICE, "three"), say(BOB, "four"))
    [third, fourth] = (await ledger.head(ROOM)).position - 1, (await ledger.head(ROOM)).position
    assert await counts(ledger, third, fourth) == [(1, 2), (0, 2)]


async def test_who_came_later_or_has_left_is_not_counted(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, "one"))
    await accept(ledger, membership(joins(CAROL)), say(ALICE, "two"))
    assert await counts(ledger, 2, 4) == [(0, 1), (0, 2)]
    await read(ledger, BOB, ROOM, 0)
    await read(ledger, CAROL, ROOM, 0)
    assert await counts(ledger, 2, 4) == [(1, 1), (2, 2)]
    await accept(ledger, membership(leaves(BOB)))
    assert await counts(ledger, 2, 4) == [(0, 0), (1, 1)]
    await accept(ledger, membership(joins(BOB)))
    assert await counts(ledger, 2, 4) == [(0, 0), (1, 1)]
    # Who has sent it and is gone is counted no less.
    await accept(ledger, membership(leaves(ALICE)))
    assert await counts(ledger, 4) == [(1, 1)]


async def test_when_somebody_read_is_known(ledger: SqlLedger, clock: Clock) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, "one"), say(ALICE, "two"))
    clock.now = START + SECOND
    await displays(ledger, BOB, 2)
    clock.now = START + 2 * SECOND
    await change(ledger, BOB, ROOM, pinned=1)
    await displays(ledger, BOB, 2)  # moves nothing
    assert Reading(BOB, 2, START + SECOND) in await ledger.readings(ROOM)
    clock.now = START + 3 * SECOND
    await accept(ledger, say(BOB, "three"))
    assert Reading(BOB, 6, START + 3 * SECOND) in await ledger.readings(ROOM)
    first, second = await ledger.readings(ROOM)
    assert {first.member, second.member} == {ALICE, BOB}
    assert await ledger.readings(ROOM, limit=1) == (first,)
    assert await ledger.readings(ROOM, after=first.member) == (second,)


async def test_a_marker_that_nobody_keeps_moves_the_pointer_alone(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, "one"))
    before = await ledger.head(ROOM)
    move = ReadMove(owner=BOB, peer=ROOM, upto=(await place(ledger, ROOM, 2),))
    [accepted] = await accept(
        ledger, Append(body=b"-", entries=(), kind=EntryKind.DISPLAYED, sender=BOB, reads=(move,))
    )
    assert accepted.places == ()
    assert await ledger.head(ROOM) == before
    assert await counts(ledger, 2) == [(1, 1)]
    [refused] = (await ledger.commit(LedgerBatch(appends=(Append(body=b"-", entries=()),)))).outcomes
    assert isinstance(refused, Refused)


async def test_a_marker_that_nobody_keeps_has_its_place_on_its_stream(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, "one"), say(ALICE, "two"))
    stream = message_key("stream", "a")

    async def marked(position: int, number: int) -> Accepted:
        move = ReadMove(owner=BOB, peer=ROOM, upto=(await place(ledger, ROOM, position),))
        append = Append(
            body=b"-",
            entries=(),
            kind=EntryKind.DISPLAYED,
            sender=BOB,
            reads=(move,),
            stream=stream,
            number=number,
            follows=number - 1,
        )
        [accepted] = await accept(ledger, append)
        return accepted

    assert not (await marked(2, 1)).repeated
    assert not (await marked(3, 2)).repeated
    assert (await marked(3, 2)).repeated
    assert await counts(ledger, 3) == [(1, 1)]
    assert await ledger.end_stream(stream) == 2


async def test_a_marker_of_who_is_no_member_any_more_moves_nothing(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, "one"))
    await accept(ledger, membership(leaves(BOB)))
    move = ReadMove(owner=BOB, peer=ROOM, upto=(await place(ledger, ROOM, 2),))
    await accept(ledger, Append(body=b"-", entries=(), kind=EntryKind.DISPLAYED, sender=BOB, reads=(move,)))
    assert await counts(ledger, 2) == [(0, 0)]


async def test_what_is_no_message_is_seen_by_nobody(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, "one"))
    one = await at(ledger, ROOM, 2)
    for wrong in (await at(ledger, ROOM, 1), EntryId(one.epoch, 3), EntryId("ELSE", 2)):
        with pytest.raises(NoSuchEntry):
            await ledger.seen(ROOM, [one, wrong])
    assert await ledger.seen(ROOM, []) == ()
    assert await ledger.seen(Jid("nobody@rooms.example.org"), []) == ()


# -- reactions


async def test_each_sender_has_one_set_of_reactions(ledger: SqlLedger) -> None:
    await accept(ledger, membership(joins(ALICE, "owner"), joins(BOB)), say(ALICE, "one"), say(ALICE, "two"))
    one, two = await place(ledger, ROOM, 2), await place(ledger, ROOM, 3)
    await accept(ledger, by(BOB, EntryKind.REACTIONS, one), by(ALICE, EntryKind.REACTIONS, one))
    await accept(ledger, by(BOB, EntryKind.REACTIONS, one), by(BOB, EntryKind.DISPLAYED, one))
    await accept(ledger, by(BOB, EntryKind.REACTIONS, two))
    ids = [EntryId(each.epoch, each.position) for each in (one, two)]
    found = (await ledger.reactions(ROOM, ids)).entries
    assert [(each.target, each.sender, each.id.position) for each in found] == [
        (2, ALICE, 5),
        (2, BOB, 6),
        (3, BOB, 8),
    ]
    assert (await ledger.reactions(ROOM, ids[1:])).entries == found[2:]
    first = await ledger.reactions(ROOM, ids, octets=1)
    assert first == ReactionsPage(found[:1], is_complete=False)
    assert await ledger.reactions(ROOM, ids, after=5) == ReactionsPage(found[1:], is_complete=True)
    assert await ledger.reacted_to(ROOM, 1, 8, 10) == tuple(ids)
    assert await ledger.reacted_to(ROOM, 3, 8, 10) == (ids[1],)
    assert await ledger.reacted_to(ROOM, 1, 8, 1) == (ids[0],)
    # What is taken back is not there, and what was before it is.
    await accept(ledger, by(BOB, EntryKind.RETRACTION, await place(ledger, ROOM, 6)))
    await ledger.erase(ROOM, (8,))
    found = (await ledger.reactions(ROOM, ids)).entries
    assert [(each.target, each.sender, each.id.position) for each in found] == [(2, BOB, 4), (2, ALICE, 5)]
    with pytest.raises(NoSuchEntry):
        await ledger.reactions(ROOM, [EntryId(one.epoch, 99)])


# -- against a model


@pytest.mark.parametrize("seed", range(3))
async def test_random_members_and_reads_are_counted_as_a_model_does(ledger: SqlLedger, seed: int) -> None:
    rng = random.Random(seed)
    people = [Jid(f"user{number}@example.org") for number in range(12)]
    joined: dict[Jid, int] = {}
    pointer: dict[Jid, int] = {}
    author: dict[int, Jid] = {}
    newest: dict[tuple[int, Jid], int] = {}
    position = 0
    await accept(ledger, membership(joins(ALICE, "owner"), by=ALICE))
    position += 1
    for _ in range(120):
        who = rng.choice(people)
        what = rng.choice(["join", "leave", "say", "say", "read", "mark", "react", "all"])
        if who not in joined:
            what = "join"
        elif what == "join":
            what = "say"
        if what == "join":
            await accept(ledger, membership(joins(who)))
            position += 1
            joined[who] = pointer[who] = position
        elif what == "leave":
            await accept(ledger, membership(leaves(who)))
            position += 1
            del joined[who], pointer[who]
        elif what == "say":
            await accept(ledger, say(who, "hello"))
            position += 1
            author[position] = who
            pointer[who] = position
        elif author:
            target = rng.choice(list(author))
            if what == "read":
                await read(ledger, who, ROOM, target)
                pointer[who] = max(pointer[who], target)
            elif what == "all":
                await read(ledger, who, ROOM, 0)
                pointer[who] = max(pointer[who], *author)
            elif what == "mark":
                await displays(ledger, who, target)
                position += 1
                pointer[who] = max(pointer[who], target)
            else:
                await accept(ledger, by(who, EntryKind.REACTIONS, await place(ledger, ROOM, target)))
                position += 1
                newest.pop((target, who), None)
                newest[target, who] = position
    asked = sorted(author)
    audience = {
        target: [each for each in joined if joined[each] < target and each != author[target]]
        for target in asked
    }
    expected = []
    for target in asked:  # Alice, who has read nothing, joined before all
        seen = [each for each in audience[target] if pointer[each] >= target]
        expected.append((len(seen), len(audience[target]) + 1))
        assert await readers(ledger, target) == set(seen)
        rest = set(audience[target]) - set(seen)
        assert await readers(ledger, target, has_read=False) == rest | {ALICE}
    assert await counts(ledger, *asked) == expected
    found = await ledger.reactions(ROOM, [await at(ledger, ROOM, target) for target in asked])
    assert {(each.target, each.sender): each.id.position for each in found.entries} == newest
