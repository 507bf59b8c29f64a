"""What every ledger promises about sending twice, and about the order of a stream."""

from __future__ import annotations

import asyncio

import msgspec

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    Clock,
    accept,
    chat,
    clock,
    key,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    texts,
    unread,
)
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Conflict,
    EntryKind,
    LedgerBatch,
    Outcome,
    Stale,
    message_key,
)

__all__ = ["Clock", "clock", "ledger", "ledger_url", "ledger_urls"]

STREAM = message_key("stream", "a")
DAY = 86_400_000_000


def once(words: object, content: object = "", name: object = "id", **changes: object) -> Append:
    """A message that is known again by its id and by what was submitted."""
    name_key = key(ALICE, name)
    digest = message_key("content", id=str(content)) if content else b""
    append = chat(ALICE, BOB, words, name=name)
    return msgspec.structs.replace(append, keys=(name_key,), repeat=name_key, content=digest, **changes)


def numbered(number: int, follows: int | None, *, version: int | None = None) -> Append:
    append = chat(ALICE, BOB, number, version=version)
    return msgspec.structs.replace(append, stream=STREAM, number=number, follows=follows)


async def send(ledger: SqlLedger, *appends: Append) -> tuple[Outcome, ...]:
    return (await ledger.commit(LedgerBatch(appends=appends))).outcomes


# -- repeats


async def test_another_content_under_a_used_key_is_another_message(ledger: SqlLedger) -> None:
    one, two, again = await accept(ledger, once(1, "one"), once(2, "two"), once(1, "one"))
    assert [outcome.repeated for outcome in (one, two, again)] == [False, False, True]
    assert again.places == one.places
    three, first, second = await accept(ledger, once(3, "three"), once(1, "one"), once(2, "two"))
    assert not three.repeated
    assert (first.places, second.places) == (one.places, two.places)
    assert await texts(ledger, BOB) == ["1", "2", "3"]
    # For who refers to it, the newest has the key.
    (outcome,) = await accept(ledger, pointing(BOB, ALICE, EntryKind.REACTIONS, "id"))
    assert outcome.targets == (3, 3)


async def test_what_has_no_content_is_known_by_its_key_alone(ledger: SqlLedger) -> None:
    (plain,) = await accept(ledger, once(1))
    one, two = await accept(ledger, once(2, "two"), once(3))
    assert one.repeated
    assert two.repeated
    assert one.places == two.places == plain.places
    assert await unread(ledger, BOB) == {ALICE: 1}


async def test_a_strict_key_is_used_for_one_content(ledger: SqlLedger, clock: Clock) -> None:
    (first,) = await accept(ledger, once(1, "one", is_strict=True))
    conflict, again = await send(
        ledger, once(2, "two", is_strict=True, stream=STREAM, number=1), once(1, "one", is_strict=True)
    )
    assert conflict == Conflict(places=first.places, time=first.time)
    assert isinstance(again, Accepted)
    assert again.repeated
    assert await texts(ledger, BOB) == ["1"]
    assert await ledger.end_stream(STREAM) is None
    clock.now += 91 * DAY
    (late,) = await accept(ledger, once(2, "two", is_strict=True))
    assert not late.repeated


async def test_a_key_may_make_a_repeat_for_a_while_only(ledger: SqlLedger, clock: Clock) -> None:
    (first,) = await accept(ledger, once(1, "same"))
    clock.now += 60
    (again,) = await accept(ledger, once(2, "same", repeat_within=60))
    assert again.places == first.places
    clock.now += 1
    (later,) = await accept(ledger, once(3, "same", repeat_within=60))
    assert not later.repeated
    (newest,) = await accept(ledger, once(4, "same", repeat_within=60))
    assert newest.places == later.places
    assert await texts(ledger, BOB) == ["1", "3"]


# -- the order of a stream


async def test_a_stream_is_stored_in_its_order_across_batches(ledger: SqlLedger) -> None:
    """Several batches of a session may be under way when guard has to be asked again for the first."""
    await ledger.bump_version(BOB)
    first = ledger.commit(LedgerBatch(appends=(numbered(1, 0, version=0),)))
    second = ledger.commit(LedgerBatch(appends=(numbered(2, 1), numbered(4, 2))))
    assert (await first).outcomes == (Stale(BOB),)
    one, two = (await second).outcomes
    assert isinstance(one, Stale)
    assert isinstance(two, Stale)
    assert await texts(ledger, BOB) == []
    outcomes = await accept(ledger, numbered(1, 0, version=1), numbered(2, 1), numbered(4, 2))
    assert not any(outcome.repeated for outcome in outcomes)
    assert await texts(ledger, BOB) == ["1", "2", "4"]


async def test_where_a_stream_stands_is_told_to_who_thought_it_elsewhere(ledger: SqlLedger) -> None:
    await accept(ledger, numbered(1, 0), numbered(3, 1))
    assert await send(ledger, numbered(7, 5)) == (Stale("", 3),)
    assert (await send(ledger, numbered(3, 1)))[0].repeated  # what has passed is a repeat first
    await accept(ledger, numbered(7, 3), numbered(9, None))
    assert await texts(ledger, BOB) == ["1", "3", "7", "9"]


async def test_a_repeat_moves_its_stream_only_in_its_turn(ledger: SqlLedger) -> None:
    """Else what is before it on its stream could not be stored any more."""
    await accept(ledger, once("kept"))
    again = once("kept", stream=STREAM, number=2, follows=1)
    assert await send(ledger, again) == (Stale("", 0),)
    one, two = await accept(ledger, numbered(1, 0), again)
    assert (one.repeated, two.repeated) == (False, True)
    assert await ledger.end_stream(STREAM) == 2


async def test_a_stream_is_stored_in_its_order_by_several_processes(fresh_url: str, clock: Clock) -> None:
    one, other = [SqlLedger(await open_database(fresh_url, lock_seconds=20), now=clock) for _ in range(2)]
    await asyncio.gather(*(send(each, numbered(1, 0)) for each in (one, other)))
    for number in range(2, 12):
        here, there = (one, other) if number % 2 else (other, one)
        late, early = await asyncio.gather(
            send(there, numbered(number + 100, number)), send(here, numbered(number, number - 1))
        )
        assert isinstance(early[0], Accepted)
        if isinstance(late[0], Accepted):  # it came behind the other
            assert not late[0].repeated
            break
        assert isinstance(late[0], Stale)
    found = [int(text) for text in await texts(one, BOB)]
    assert found == sorted(found)
    assert found[:number] == list(range(1, number + 1))
    for each in (one, other):
        await each.close()
