"""Pages of one conversation, wherever the list of conversations ends."""

from __future__ import annotations

import random

from sqlalchemy import Connection, text

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    ROOM,
    Clock,
    accept,
    at,
    chat,
    clock,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    positions,
    read,
    unread,
)
from tests.contracts.old_schemas import take_back_to_0003
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.ledger.conversations import UNLISTED
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, Entry, EntryKind, EntryRef, LedgerBatch, ReadMove
from tidings.ports.ledger.reading import PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]

PEERS = (ALICE, CAROL, ROOM)


def to_bob(peer: Jid) -> Append:
    return Append(body=b"<message/>", entries=(Entry(archive=BOB, peer=peer, countable=True),))


async def fill(ledger: SqlLedger, peers: list[Jid]) -> None:
    await accept(ledger, *map(to_bob, peers))


async def counts(ledger: SqlLedger) -> tuple[int, int]:
    """How many entries there are, and how many are listed."""

    def work(connection: Connection) -> tuple[int, int]:
        found = (connection.execute(text(f"SELECT COUNT(*) FROM {table}")) for table in TABLES)
        entries, listed = (int(result.scalar_one()) for result in found)
        return entries, listed

    return await ledger._database.read(work)


TABLES = ("entries", "conversations")


async def check(ledger: SqlLedger, archive: list[Jid], first: int = 1) -> None:
    """Compare pages of every conversation with what stands in the archive."""
    for peer in PEERS:
        wanted = [position for position, each in enumerate(archive, 1) if each == peer and position >= first]
        assert await positions(ledger, BOB, peer=peer, limit=1000) == wanted
        assert await positions(ledger, BOB, peer=peer, limit=7) == wanted[:7]
        assert await positions(ledger, BOB, peer=peer, limit=7, newest=True) == wanted[-7:]
        middle = first + (len(archive) - first) // 2
        border = await at(ledger, BOB, middle)
        before = [position for position in wanted if position < middle]
        after = [position for position in wanted if position > middle]
        page = await ledger.page(BOB, PageQuery(peer=peer, limit=40, newest=True, before=border))
        assert [entry.id.position for entry in page.entries] == before[-40:]
        assert (page.total, page.index) == (len(wanted), len(before[:-40]))
        page = await ledger.page(BOB, PageQuery(peer=peer, limit=40, after=border, groupchat=False))
        assert [entry.id.position for entry in page.entries] == after[:40]
        assert (page.total, page.is_complete) == (len(wanted), len(after) <= 40)


async def test_a_conversation_is_found_at_every_length(ledger: SqlLedger) -> None:
    choice = random.Random(3)
    archive: list[Jid] = []
    while len(archive) < 4 * UNLISTED:
        more = choice.choices(PEERS, (8, 4, 1), k=choice.choice((1, 2, UNLISTED // 3, UNLISTED + 5)))
        await fill(ledger, more)
        archive += more
        entries, listed = await counts(ledger)
        assert entries - UNLISTED < listed <= entries
        await check(ledger, archive)


async def test_archives_that_grow_together_are_not_listed_together(ledger: SqlLedger) -> None:
    owners = [Jid(f"user{number}@example.org") for number in range(32)]
    most = 0
    for _ in range(UNLISTED):
        before = (await counts(ledger))[1]
        entries = tuple(Entry(archive=owner, peer=ALICE) for owner in owners)
        await accept(ledger, Append(body=b"<message/>", entries=entries))
        most = max(most, (await counts(ledger))[1] - before)
    assert 0 < most <= 2 * UNLISTED
    assert (await counts(ledger))[1] > UNLISTED


async def test_what_is_trimmed_leaves_the_list(ledger: SqlLedger) -> None:
    archive = [PEERS[number % 3] for number in range(3 * UNLISTED)]
    await fill(ledger, archive)
    for keep in (UNLISTED + 10, 5):
        while await ledger.trim(BOB, keep=keep):
            pass
        await check(ledger, archive, len(archive) - keep + 1)
    entries, listed = await counts(ledger)
    assert entries == 5
    assert listed <= 5
    while await ledger.forget_account(BOB):
        pass
    assert await counts(ledger) == (0, 0)


async def test_a_conversation_is_erased_wherever_it_is_listed(ledger: SqlLedger) -> None:
    archive = [PEERS[number % 2] for number in range(2 * UNLISTED + 10)]
    await fill(ledger, archive)
    await ledger.hold(BOB, (1, 2 * UNLISTED + 9))
    erased = 0
    while count := await ledger.erase_conversation(BOB, ALICE, limit=30):
        erased += count
    assert erased == UNLISTED + 3
    assert await positions(ledger, BOB, peer=ALICE, limit=500) == [1, 2 * UNLISTED + 9]
    assert await unread(ledger, BOB) == {ALICE: 2, CAROL: UNLISTED + 5}
    page = await ledger.page(BOB, PageQuery(peer=ALICE, limit=1))
    assert page.total == 2
    await ledger.hold(BOB, (1, 2 * UNLISTED + 9), is_held=False)
    await ledger.erase_conversation(BOB, ALICE)
    assert await unread(ledger, BOB) == {CAROL: UNLISTED + 5}


async def test_reading_up_to_another_conversation_finds_the_message_before(ledger: SqlLedger) -> None:
    for alice, carol in ((1, UNLISTED - 2), (UNLISTED, 2), (1, 2 * UNLISTED)):
        await fill(ledger, [ALICE] * alice + [CAROL] * carol)
        head = await ledger.head(BOB)
        await ledger.commit(LedgerBatch(reads=(ReadMove(owner=BOB, peer=ALICE, upto=head.position - 1),)))
        assert (await unread(ledger, BOB))[ALICE] == 0


async def test_markers_are_found_wherever_they_are_listed(ledger: SqlLedger) -> None:
    await accept(
        ledger, chat(ALICE, BOB, "one", name="one"), pointing(BOB, ALICE, EntryKind.DISPLAYED, "one")
    )
    for _ in range(2):
        found = await ledger.markers(BOB, ALICE)
        assert [(entry.kind, entry.id.position) for entry in found] == [(EntryKind.DISPLAYED, 2)]
        await fill(ledger, [CAROL] * (UNLISTED + 1))
    await accept(ledger, chat(BOB, ALICE, "two", name="two"), pointing(ALICE, BOB, EntryKind.RECEIVED, "two"))
    found = await ledger.markers(BOB, ALICE)
    assert [(entry.kind, entry.id.position) for entry in found] == [
        (EntryKind.DISPLAYED, 2),
        (EntryKind.RECEIVED, 2 * UNLISTED + 6),
    ]


async def test_a_place_of_another_conversation_reads_nothing_behind_it(ledger: SqlLedger) -> None:
    await fill(ledger, [CAROL] * UNLISTED + [ALICE] * 3)
    await read(ledger, BOB, ALICE, UNLISTED)
    entry = await at(ledger, BOB, UNLISTED)
    upto = (EntryRef(BOB, entry.epoch, entry.position),)
    await ledger.commit(LedgerBatch(reads=(ReadMove(owner=BOB, peer=ALICE, upto=upto),)))
    assert (await unread(ledger, BOB))[ALICE] == 3


async def test_an_archive_of_an_earlier_version_is_listed_when_it_is_opened(
    fresh_url: str, clock: Clock
) -> None:
    """Revision 0004 makes the list and drops an index; a start that was killed in it goes on."""
    archive = [PEERS[number % 3] for number in range(UNLISTED + 20)]
    database = await open_database(fresh_url)
    await fill(SqlLedger(database, now=clock), archive)

    await database.write(take_back_to_0003)
    await database.close()
    database = await open_database(fresh_url)
    opened = SqlLedger(database, now=clock)
    assert await counts(opened) == (len(archive), len(archive))
    await check(opened, archive)
    await database.close()
