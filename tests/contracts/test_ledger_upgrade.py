"""What an earlier version kept is there after the upgrade, and goes on."""

from __future__ import annotations

from sqlalchemy import Connection, text

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
    pointing,
    read,
    say,
    seen,
    stanza,
    texts,
    unread,
)
from tests.contracts.old_schemas import take_back_to_0005, take_back_to_0009
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.feed import Cursor
from tidings.ports.ledger.reading import InboxQuery, PageQuery

__all__ = ["clock"]


async def test_nothing_is_lost_by_the_upgrade_to_0006(fresh_url: str, clock: Clock) -> None:
    ledger = SqlLedger(await open_database(fresh_url), now=clock)
    twice = chat(ALICE, BOB, "twice", name="twice")
    await accept(
        ledger,
        chat(ALICE, BOB, "one", name=1),
        chat(ALICE, BOB, "two", name=2),
        chat(BOB, ALICE, "three", name=3),
        chat(CAROL, BOB, "away", offline_only=True, countable=False),
        chat(CAROL, BOB, "four", name=4),
        pointing(ALICE, BOB, EntryKind.RETRACTION, 2),
        pointing(BOB, ALICE, EntryKind.REACTIONS, 1),
        twice,
    )
    await read(ledger, BOB, ALICE, 1)
    await change(ledger, BOB, CAROL, pinned=3, muted_until=7)
    await seen(ledger, BOB, "phone", 2)
    await ledger.hold(BOB, (1,))
    await ledger.erase(BOB, (3,))

    async def everything() -> list[object]:
        query = PageQuery(tombstones=True, offline_only=True, folded=True, limit=100)
        found: list[object] = []
        for owner in (ALICE, BOB, CAROL):
            found += [
                await ledger.page(owner, query),
                await ledger.inbox(owner, InboxQuery(all_boxes=True)),
                await ledger.devices(owner),
                await ledger.changes(owner, 0),
            ]
        return [*found, await ledger.feed_after(Cursor(""))]

    before = await everything()
    await ledger._database.write(take_back_to_0005)
    await ledger.close()
    ledger = SqlLedger(await open_database(fresh_url), now=clock)
    assert await everything() == before
    # Keys, places and counts go on.
    await accept(ledger, pointing(ALICE, BOB, EntryKind.RETRACTION, "twice"), chat(ALICE, BOB, "five"))
    assert await unread(ledger, BOB) == {ALICE: 1, CAROL: 1}
    assert await ledger.erase(BOB, (1,)) == 0  # held
    assert (await texts(ledger, BOB))[-1] == "five"
    await ledger.close()


async def test_the_octets_of_what_there_is_are_summed_up_by_the_upgrade_to_0010(
    fresh_url: str, clock: Clock
) -> None:
    ledger = SqlLedger(await open_database(fresh_url), now=clock)
    await accept(
        ledger,
        chat(ALICE, BOB, "gone"),
        chat(ALICE, BOB, "ä and one more octet"),
        chat(CAROL, BOB, "a tombstone for Bob alone"),
        chat(CAROL, BOB, "away", offline_only=True, countable=False),
        chat(BOB, BOB, "twice in one archive"),
        say(CAROL, "to all"),
    )
    await ledger.trim(ALICE, keep=1)
    await ledger.erase(BOB, (3,))
    await ledger.trim(CAROL, keep=0)
    owners = (ALICE, BOB, CAROL, ROOM)
    before = [(await ledger.head(owner)).octets for owner in owners]
    alone, away, twice = (
        len(stanza(words)) for words in ("ä and one more octet", "away", "twice in one archive")
    )
    assert before == [alone, len(stanza("gone")) + alone + away + 2 * twice, 0, len(stanza("to all"))]
    await ledger._database.write(take_back_to_0009)
    await ledger.close()
    ledger = SqlLedger(await open_database(fresh_url), now=clock)
    assert [(await ledger.head(owner)).octets for owner in owners] == before
    await accept(ledger, chat(ALICE, BOB, "five"))
    assert (await ledger.head(ALICE)).octets == alone + len(stanza("five"))
    await ledger.close()


async def test_an_upgrade_to_0010_that_was_killed_halfway_is_taken_up_again(
    fresh_url: str, clock: Clock
) -> None:
    ledger = SqlLedger(await open_database(fresh_url), now=clock)
    await accept(ledger, chat(ALICE, BOB, "one"))

    def go_back(connection: Connection) -> None:
        connection.execute(text("UPDATE archives SET octets = 0"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))

    await ledger._database.write(go_back)
    await ledger.close()
    ledger = SqlLedger(await open_database(fresh_url), now=clock)
    assert (await ledger.head(BOB)).octets == len(stanza("one"))
    await ledger.close()
