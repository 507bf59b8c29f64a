"""What an archive has in octets is known exactly, and what finds no room is stored nowhere."""

from __future__ import annotations

import asyncio

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
    chat,
    clock,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    positions,
    say,
    stanza,
    texts,
)
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Entry,
    EntryKind,
    Full,
    LedgerBatch,
    MemberChange,
    Outcome,
    Stale,
    message_key,
)
from tidings.ports.ledger.reading import PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]

STREAM = message_key("stream", "a")


def size(*words: object) -> int:
    """The octets of these messages together."""
    return sum(len(stanza(each)) for each in words)


async def octets(ledger: SqlLedger, *archives: Jid) -> tuple[int, ...]:
    return tuple([(await ledger.head(archive)).octets for archive in archives])


async def outcomes(ledger: SqlLedger, *appends: Append) -> tuple[Outcome, ...]:
    return (await ledger.commit(LedgerBatch(appends=appends))).outcomes


def bounded(append: Append, *allowed: int) -> Append:
    """The same, each entry with what its archive may have."""
    pairs = zip(append.entries, allowed, strict=True)
    entries = tuple(msgspec.structs.replace(entry, most_octets=most) for entry, most in pairs)
    return msgspec.structs.replace(append, entries=entries)


# -- the sum


async def test_what_two_archives_share_counts_in_both(ledger: SqlLedger) -> None:
    assert await octets(ledger, ALICE, BOB) == (0, 0)
    await accept(ledger, chat(ALICE, BOB, "one ä"), chat(CAROL, BOB, "two"))
    await accept(ledger, chat(ALICE, ALICE, "note"))
    assert await octets(ledger, ALICE, BOB, CAROL) == (
        size("one ä", "note", "note"),
        size("one ä", "two"),
        size("two"),
    )


async def test_corrections_and_retractions_add_to_it(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "one", name=1))
    await accept(ledger, pointing(ALICE, BOB, EntryKind.CORRECTION, 1, "won"))
    await accept(ledger, pointing(ALICE, BOB, EntryKind.RETRACTION, 1, "no"))
    assert await octets(ledger, ALICE, BOB) == (size("one", "won", "no"),) * 2


async def test_what_is_erased_leaves_it(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, words, name=words) for words in ("one", "two", "three")))
    await accept(ledger, pointing(ALICE, BOB, EntryKind.CORRECTION, "two", "second"))
    assert await ledger.erase(BOB, (2,)) == 2  # with its correction
    assert await octets(ledger, ALICE, BOB) == (size("one", "two", "three", "second"), size("one", "three"))
    assert await ledger.erase(BOB, (2, 4)) == 0
    assert await octets(ledger, BOB) == (size("one", "three"),)
    head = await ledger.head(ALICE)
    entry = (await ledger.page(ALICE, PageQuery())).entries[1]
    assert head.has(entry.id)
    assert await ledger.erase_everywhere(entry.id, ALICE) == 2
    assert await octets(ledger, ALICE, BOB) == (size("one", "three"),) * 2
    assert await ledger.erase_conversation(ALICE, BOB) == 2
    assert await octets(ledger, ALICE, BOB) == (0, size("one", "three"))


async def test_what_is_trimmed_leaves_it_and_what_is_held_stays_in_it(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, words) for words in ("one", "two", "three", "four")))
    await ledger.hold(BOB, (2,))
    await ledger.erase(BOB, (1,))
    assert await ledger.trim(BOB, keep=1) == 1  # the tombstone
    assert await octets(ledger, BOB) == (size("two", "three", "four"),)
    assert await ledger.trim(BOB, keep=1) == 1
    assert await octets(ledger, BOB) == (size("two", "four"),)
    await ledger.hold(BOB, (2,), is_held=False)
    assert await ledger.trim(BOB, keep=1) == 2
    assert await octets(ledger, ALICE, BOB) == (size("one", "two", "three", "four"), size("four"))


async def test_what_was_kept_for_devices_alone_leaves_it(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "away", offline_only=True, countable=False), chat(ALICE, BOB, "1"))
    assert await octets(ledger, BOB) == (size("away", "1"),)
    assert await ledger.forget_offline_only(START + SECOND) == 1
    assert await octets(ledger, ALICE, BOB) == (size("away", "1"), size("1"))


async def test_an_account_that_is_forgotten_has_nothing_and_begins_anew(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, words) for words in ("one", "two", "three")))
    while await ledger.forget_account(BOB, limit=2):
        pass
    assert await octets(ledger, ALICE, BOB) == (size("one", "two", "three"), 0)
    await accept(ledger, chat(ALICE, BOB, "four"))
    assert await octets(ledger, BOB) == (size("four"),)


async def test_a_room_that_is_destroyed_has_nothing(ledger: SqlLedger) -> None:
    joins = MemberChange(room=ROOM, member=ALICE, affiliation="member", joins=True)
    entry = Entry(archive=ROOM, peer=ROOM, reader=ALICE)
    joined = Append(
        body=stanza("joins"), entries=(entry,), kind=EntryKind.MEMBERSHIP, members=(joins,), sender=ALICE
    )
    await accept(ledger, joined, say(ALICE, "one"))
    assert await octets(ledger, ROOM) == (size("joins", "one"),)
    while await ledger.forget_account(ROOM):
        pass
    assert await octets(ledger, ROOM, ALICE) == (0, 0)


async def test_another_epoch_changes_nothing_of_it(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "one"))
    await ledger.renew()
    await accept(ledger, chat(ALICE, BOB, "two"))
    assert len((await ledger.head(BOB)).epochs) == 2
    assert await octets(ledger, BOB) == (size("one", "two"),)


# -- the bound


async def test_what_fits_exactly_is_accepted_and_an_octet_more_is_not(ledger: SqlLedger) -> None:
    await accept(ledger, bounded(chat(ALICE, BOB, "one"), size("one"), 0))
    await accept(ledger, bounded(chat(ALICE, BOB, "two"), size("one", "two"), 0))
    needed, allowed = size("one", "two", "three"), size("one", "two", "three") - 1
    answer = await outcomes(ledger, bounded(chat(ALICE, BOB, "three"), allowed, 0), chat(ALICE, BOB, "four"))
    assert answer[0] == Full(ALICE, needed, allowed)
    assert isinstance(answer[1], Accepted)
    assert await texts(ledger, ALICE) == await texts(ledger, BOB) == ["one", "two", "four"]


async def test_where_one_archive_is_full_the_other_gets_nothing(ledger: SqlLedger) -> None:
    await accept(ledger, chat(CAROL, BOB, "old"))
    [answer] = await outcomes(ledger, bounded(chat(ALICE, BOB, "new"), 1_000, size("old")))
    assert answer == Full(BOB, size("old", "new"), size("old"))
    assert await positions(ledger, ALICE) == []
    assert await octets(ledger, ALICE, BOB) == (0, size("old"))


async def test_messages_of_one_transaction_are_added_up(ledger: SqlLedger) -> None:
    sent = [bounded(chat(ALICE, BOB, number), 0, size(1, 2, 3)) for number in range(1, 6)]
    answers = await outcomes(ledger, *sent)
    assert [type(answer) for answer in answers] == [Accepted] * 3 + [Full] * 2
    assert await octets(ledger, ALICE, BOB) == (size(1, 2, 3),) * 2


async def test_a_plan_of_several_messages_fits_as_a_whole_or_not_at_all(ledger: SqlLedger) -> None:
    plan = msgspec.structs.replace(
        bounded(chat(ALICE, BOB, "one"), 0, size("one")),
        also=(bounded(chat(CAROL, BOB, "other"), 0, 100_000),),
    )
    await accept(ledger, plan)
    assert await octets(ledger, BOB) == (size("one", "other"),)
    allowed = size("one", "other", "one")
    plan = msgspec.structs.replace(
        bounded(chat(ALICE, BOB, "one"), 0, allowed), also=(bounded(chat(CAROL, BOB, "other"), 0, allowed),)
    )
    [answer] = await outcomes(ledger, plan)
    assert answer == Full(BOB, allowed + size("other"), allowed)
    assert await octets(ledger, ALICE, BOB, CAROL) == (size("one"), size("one", "other"), size("other"))


async def test_a_note_to_oneself_that_has_two_entries_needs_room_for_both(ledger: SqlLedger) -> None:
    note = chat(ALICE, ALICE, "note")
    [answer] = await outcomes(ledger, bounded(note, 2 * size("note") - 1, 2 * size("note") - 1))
    assert answer == Full(ALICE, 2 * size("note"), 2 * size("note") - 1)
    await accept(ledger, bounded(note, 2 * size("note"), 2 * size("note")))


async def test_what_has_no_room_moves_no_stream_and_holds_up_nobody(ledger: SqlLedger) -> None:
    numbered = [
        msgspec.structs.replace(append, stream=STREAM, number=number)
        for number, append in enumerate(
            (chat(ALICE, BOB, "one"), bounded(chat(ALICE, BOB, "long" * 99), 0, 99), chat(ALICE, BOB, "two")),
            1,
        )
    ]
    answers = await outcomes(ledger, *numbered)
    assert [type(answer) for answer in answers] == [Accepted, Full, Accepted]
    [last] = await outcomes(ledger, msgspec.structs.replace(numbered[1], number=4))
    assert isinstance(last, Full)
    assert await ledger.end_stream(STREAM) == 3


async def test_what_came_before_is_answered_in_a_full_archive_and_what_is_stale_is_told_first(
    ledger: SqlLedger,
) -> None:
    name = message_key("origin", ALICE, "once")
    once = msgspec.structs.replace(chat(ALICE, BOB, "once"), keys=(name,), repeat=name)
    [first] = await accept(ledger, once)
    [again] = await outcomes(ledger, bounded(once, 1, 1))
    assert again == msgspec.structs.replace(first, repeated=True)
    stale = bounded(chat(ALICE, BOB, "new", version=99), 1, 1)
    assert await outcomes(ledger, stale) == (Stale(BOB),)


async def test_there_is_room_again_when_something_went(ledger: SqlLedger) -> None:
    fourth = bounded(chat(ALICE, BOB, "four"), 0, size("one", "two", "three") + 1)
    await accept(ledger, *(chat(ALICE, BOB, words) for words in ("one", "two", "three")))
    for make_room in (ledger.erase(BOB, (2,)), ledger.trim(BOB, octets=size("three"))):
        assert isinstance((await outcomes(ledger, fourth))[0], Full)
        await make_room
        await accept(ledger, fourth)


async def test_several_processes_keep_the_bound_together(fresh_url: str, clock: Clock) -> None:
    ledgers = [SqlLedger(await open_database(fresh_url, lock_seconds=20), now=clock) for _ in range(2)]
    allowed = size(*["x"] * 25)
    sent = [bounded(chat(sender, BOB, "x"), 0, allowed) for sender in (ALICE, CAROL) for _ in range(20)]
    commits = [
        ledgers[number % 2].commit(LedgerBatch(appends=(append,))) for number, append in enumerate(sent)
    ]
    kinds = [type(answer) for each in await asyncio.gather(*commits) for answer in each.outcomes]
    assert (kinds.count(Accepted), kinds.count(Full)) == (25, 15)
    assert await octets(ledgers[0], BOB) == (allowed,)
    for each in ledgers:
        await each.close()


# -- trimming by octets


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_the_newest_octets_are_kept(ledger: SqlLedger, limit: int) -> None:
    await accept(ledger, *(chat(ALICE, BOB, number) for number in range(8)))
    done = 0
    while count := await ledger.trim(BOB, octets=size(5, 6, 7) + 1, limit=limit):
        assert count <= limit
        done += count
    assert done == 5
    head = await ledger.head(BOB)
    assert (head.first, head.position, head.octets) == (6, 8, size(5, 6, 7))
    assert await texts(ledger, BOB) == ["5", "6", "7"]
    assert len(await texts(ledger, ALICE)) == 8


async def test_what_is_held_makes_nothing_newer_go(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, number) for number in range(8)))
    await ledger.hold(BOB, (1, 3))
    while await ledger.trim(BOB, octets=size(6, 7), limit=2):
        pass
    assert await texts(ledger, BOB) == ["0", "2", "6", "7"]
    await ledger.hold_archive(BOB)
    assert await ledger.trim(BOB, octets=0) == 0


async def test_a_bound_on_octets_goes_with_the_others(ledger: SqlLedger, clock: Clock) -> None:
    for number in range(8):
        clock.now = START + number * SECOND
        await accept(ledger, chat(ALICE, BOB, number))
    assert await ledger.trim(BOB, octets=size(*range(8))) == 0
    assert await ledger.trim(BOB, keep=6, octets=size(*range(7))) == 2
    assert await ledger.trim(BOB, keep=6, octets=size(*range(5))) == 1
    assert await ledger.trim(BOB, octets=0, before=START + 4 * SECOND, unread_from=1) == 0
    assert await ledger.trim(BOB, octets=0) == 5
    assert await octets(ledger, BOB) == (0,)
