"""What an earlier version kept is there after the upgrade, and goes on."""

from __future__ import annotations

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    Clock,
    accept,
    change,
    chat,
    clock,
    pointing,
    read,
    seen,
    texts,
    unread,
)
from tests.contracts.old_schemas import take_back_to_0005
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
