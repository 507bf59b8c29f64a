"""The outbox: committed with what archives get, read by domain, gone with what is sent or erased."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
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
    stanza,
    texts,
)
from tidings.adapters.sql.ledger import SqlLedger, open_memory_ledger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, Direction, Entry, Event, LedgerBatch, OutboxTarget, Refused
from tidings.ports.ledger.feed import Cursor, FeedEntry, FeedEvent, FeedGap
from tidings.ports.ledger.outbox import OutboxId, OutboxRow
from tidings.ports.ledger.reading import PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]

DORA = Jid("dora@far.example")


def out(words: object, *domains: str, **more: Any) -> Append:
    """A message of Alice's to other servers, which her archive keeps."""
    entry = Entry(archive=ALICE, peer=DORA, direction=Direction.SENT, countable=True)
    outbox = tuple(OutboxTarget(domain) for domain in domains or ("far.example",))
    return msgspec.structs.replace(Append(body=stanza(words), entries=(entry,), outbox=outbox), **more)


def words(rows: tuple[OutboxRow, ...]) -> list[str]:
    return [row.body.decode().partition("<body>")[2].partition("</body>")[0] for row in rows]


async def waiting(ledger: SqlLedger, domain: str = "far.example") -> list[str]:
    return words(await ledger.outbox.rows(domain))


async def test_what_is_for_another_server_waits_in_its_order(ledger: SqlLedger, clock: Clock) -> None:
    await accept(ledger, out(1), chat(ALICE, BOB, "local"), out(2, "far.example", "other.example"))
    clock.now += SECOND
    await accept(ledger, out(3))
    assert sorted(await ledger.outbox.domains()) == ["far.example", "other.example"]
    rows = await ledger.outbox.rows("far.example")
    assert words(rows) == ["1", "2", "3"]
    assert [row.time for row in rows] == [START, START, START + SECOND]
    assert [row.domain for row in rows] == ["far.example"] * 3
    assert [(place.archive, place.position) for place in rows[1].places] == [(ALICE, 3)]
    assert words(await ledger.outbox.rows("far.example", rows[0].id, 1)) == ["2"]
    assert await ledger.outbox.rows("far.example", rows[2].id) == ()
    assert await waiting(ledger, "other.example") == ["2"]
    assert await waiting(ledger, "nowhere.example") == []
    assert await texts(ledger, ALICE) == ["1", "local", "2", "3"]


async def test_one_message_may_have_many_recipients_in_a_domain(ledger: SqlLedger) -> None:
    outbox = tuple(OutboxTarget("far.example", f"{name}@far.example/ü") for name in ("dora", "erin"))
    await accept(ledger, out("hello", outbox=outbox))
    first, second = await ledger.outbox.rows("far.example")
    assert (first.recipient, second.recipient) == ("dora@far.example/ü", "erin@far.example/ü")
    assert await ledger.outbox.done("far.example", (first.id,)) == 1
    assert await ledger.outbox.rows("far.example") == (second,)


async def test_long_messages_are_read_a_few_at_a_time(ledger: SqlLedger) -> None:
    await accept(ledger, *(out("x" * 900_000) for _ in range(6)))
    rows = await ledger.outbox.rows("far.example")
    assert len(rows) == 4
    assert len(await ledger.outbox.rows("far.example", rows[-1].id)) == 2


async def test_what_was_sent_leaves_the_outbox_and_stays_in_the_archive(ledger: SqlLedger) -> None:
    await accept(ledger, out(1), out(2), out(3))
    one, _, three = await ledger.outbox.rows("far.example")
    assert await ledger.outbox.done("far.example", (one.id, three.id, OutboxId(9, 9, 9))) == 2
    assert await ledger.outbox.done("far.example", (one.id,)) == 0  # nobody heard the answer
    assert await ledger.outbox.done("other.example", (one.id,)) == 0
    assert await waiting(ledger) == ["2"]
    assert await texts(ledger, ALICE) == ["1", "2", "3"]


async def test_a_message_sent_twice_is_in_the_outbox_once(ledger: SqlLedger) -> None:
    message = out("once", keys=(key(ALICE, 1),), repeat=key(ALICE, 1))
    (first,) = await accept(ledger, message)
    (again,) = await accept(ledger, message)
    assert (again.repeated, again.places, await waiting(ledger)) == (True, first.places, ["once"])


async def test_a_message_that_no_archive_keeps_is_sent_and_found_when_sent_again(
    ledger: SqlLedger, clock: Clock
) -> None:
    message = out("unkept", entries=(), keys=(key(ALICE, 1),), repeat=key(ALICE, 1))
    told = msgspec.structs.replace(message, events=(Event("sent", "alice"),))
    (first,) = await accept(ledger, told)
    assert (first.places, first.time, first.repeated) == ((), START, False)
    (row,) = await ledger.outbox.rows("far.example")
    assert (words((row,)), row.places) == (["unkept"], ())
    for _ in range(2):
        (again,) = await accept(ledger, message)
        assert (again.repeated, again.feed) == (True, first.feed)
        await ledger.outbox.done("far.example", (row.id,))
        assert await waiting(ledger) == []
    clock.now += SECOND
    await accept(ledger, chat(ALICE, BOB, "later"))
    items = (await ledger.feed_after(Cursor(""))).items
    assert [type(item) for item in items] == [FeedEvent, FeedEntry]  # and nobody sees what is kept nowhere
    while await ledger.forget_stale(START + SECOND):
        pass
    assert not (await accept(ledger, message))[0].repeated


async def test_a_message_for_nobody_is_refused(ledger: SqlLedger) -> None:
    (outcome,) = (await ledger.commit(LedgerBatch(appends=(out("x", entries=(), outbox=()),)))).outcomes
    assert isinstance(outcome, Refused)


async def test_erasing_takes_a_message_out_of_the_outbox(ledger: SqlLedger) -> None:
    await accept(ledger, out("secret"), out("other"))
    await ledger.erase(ALICE, (1,))
    assert await waiting(ledger) == ["other"]
    await ledger.erase_everywhere(await at(ledger, ALICE, 2), ALICE)
    assert await ledger.outbox.domains() == ()


async def test_trimming_waits_for_what_is_not_sent_yet(ledger: SqlLedger) -> None:
    await accept(ledger, out(1), out(2))
    assert await ledger.trim(ALICE, keep=0) == 2
    assert (await ledger.page(ALICE, PageQuery())).entries == ()
    rows = await ledger.outbox.rows("far.example")
    assert words(rows) == ["1", "2"]
    await ledger.outbox.done("far.example", tuple(row.id for row in rows))
    (gap,) = (await ledger.feed_after(Cursor(""))).items
    assert isinstance(gap, FeedGap)
    assert gap.count == 2


async def test_what_waits_for_too_long_is_found(ledger: SqlLedger, clock: Clock) -> None:
    for number in range(4):
        clock.now = START + number * SECOND
        await accept(ledger, out(number, "far.example" if number % 2 else "other.example"))
    found = await ledger.outbox.expired(START + 3 * SECOND)
    assert [(row.domain, row.time - START) for row in found] == [
        ("other.example", 0),
        ("far.example", SECOND),
        ("other.example", 2 * SECOND),
    ]
    assert len(await ledger.outbox.expired(START + 3 * SECOND, 2)) == 2
    assert await ledger.outbox.expired(START) == ()


async def test_one_empties_the_outbox_at_a_time(ledger: SqlLedger, clock: Clock) -> None:
    assert await ledger.outbox.take_lease("one", 30)
    assert await ledger.outbox.take_lease("one", 30)
    assert not await ledger.outbox.take_lease("two", 30)
    clock.now += 31 * SECOND
    assert await ledger.outbox.take_lease("two", 30)
    assert not await ledger.outbox.take_lease("one", 30)
    await ledger.outbox.release("two")
    assert await ledger.outbox.take_lease("one", 30)
    assert await ledger.followers.followers() == ()


async def test_the_writer_tells_that_something_waits(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "local"))
    assert ledger.state.sent == 0
    await accept(ledger, out(1, "far.example", "other.example"))
    assert ledger.state.sent == 2


async def test_a_local_message_costs_no_statement_of_the_outbox_or_of_events() -> None:
    ledger = await open_memory_ledger()
    connection = ledger._database._writer.raw_connection()
    statements: list[str] = []
    connection.driver_connection.set_trace_callback(statements.append)
    connection.close()

    def touched() -> set[str]:
        written = [each.split() for each in statements]
        statements.clear()
        return {words[words.index("INTO") + 1] for words in written if "INTO" in words}

    await accept(ledger, out(1, events=(Event("sent", "alice"),)), chat(ALICE, BOB, 1))
    assert touched() >= {"messages", "entries", "outbox", "feed_events"}
    await accept(ledger, chat(ALICE, BOB, 2))
    assert touched() == {"messages", "entries", "archives", "inbox"}
    await ledger.close()
