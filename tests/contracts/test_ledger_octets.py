"""What is read of archives and inboxes ends early by octets, and goes on where it ended."""

from __future__ import annotations

import msgspec
import pytest

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    SECOND,
    START,
    Clock,
    accept,
    chat,
    clock,
    key,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    said,
    stanza,
)
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, EntryKind
from tidings.ports.ledger.reading import ArchivePage, InboxQuery, InboxRow, PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]

DORA = Jid("dora@example.org")
LARGE = "needle " + "x" * 10_000
OCTETS = 2 * len(stanza(LARGE)) + 1
"""Room for two large messages."""


@pytest.fixture
async def filled(ledger: SqlLedger, clock: Clock) -> SqlLedger:
    """Bob's archive: seven large messages, one each second, each from a sender of its own; two small ones."""
    for number in range(1, 8):
        clock.now = START + number * SECOND
        await accept(ledger, chat(Jid(f"sender{number}@example.org"), BOB, LARGE))
    await accept(ledger, chat(ALICE, BOB, "needle one"), chat(ALICE, BOB, "needle two"))
    return ledger


def positions_of(page: ArchivePage) -> list[int]:
    return [entry.id.position for entry in page.entries]


async def test_a_page_ends_before_its_bodies_are_too_large(filled: SqlLedger) -> None:
    page = await filled.page(BOB, PageQuery(octets=OCTETS))
    assert (positions_of(page), page.is_complete, page.total, page.index) == ([1, 2], False, 9, 0)
    page = await filled.page(BOB, PageQuery(octets=OCTETS, after=page.entries[-1].id))
    assert (positions_of(page), page.is_complete, page.index) == ([3, 4], False, 2)
    page = await filled.page(BOB, PageQuery(octets=OCTETS, above=6))
    assert (positions_of(page), page.is_complete) == ([7, 8, 9], True)


async def test_a_page_from_the_new_end_loses_what_is_oldest(filled: SqlLedger) -> None:
    page = await filled.page(BOB, PageQuery(octets=OCTETS, newest=True))
    assert (positions_of(page), page.is_complete, page.total, page.index) == ([7, 8, 9], False, 9, 6)
    page = await filled.page(BOB, PageQuery(octets=OCTETS, newest=True, before=page.entries[0].id))
    assert (positions_of(page), page.is_complete, page.index) == ([5, 6], False, 4)
    page = await filled.page(BOB, PageQuery(octets=OCTETS, newest=True, flipped=True, above=4))
    assert (positions_of(page), page.is_complete) == ([9, 8, 7], False)


async def test_an_entry_that_is_larger_than_a_page_is_a_page_of_its_own(filled: SqlLedger) -> None:
    page = await filled.page(BOB, PageQuery(octets=1))
    assert (positions_of(page), page.is_complete) == ([1], False)
    page = await filled.page(BOB, PageQuery(octets=1, newest=True))
    assert (positions_of(page), page.is_complete) == ([9], False)


@pytest.mark.parametrize("newest", [False, True])
async def test_a_page_of_what_was_found_ends_early_too(filled: SqlLedger, newest: bool) -> None:
    page = await filled.page(BOB, PageQuery(octets=OCTETS, words=("needle",), newest=newest))
    assert (positions_of(page), page.is_complete) == ([7, 8, 9] if newest else [1, 2], False)


def corrections(sender: Jid, *texts: int) -> list[Append]:
    """Large corrections of the message `1` of somebody; each has a name of its own."""
    made = [pointing(sender, BOB, EntryKind.CORRECTION, 1, f"{text} {LARGE}") for text in texts]
    return [
        msgspec.structs.replace(append, keys=(key(sender, f"c{text}"),))
        for append, text in zip(made, texts, strict=True)
    ]


async def test_what_is_folded_into_a_page_needs_room_there(ledger: SqlLedger) -> None:
    for sender in (ALICE, CAROL, DORA):
        await accept(ledger, chat(sender, BOB, "one", name=1))
    for sender in (ALICE, CAROL, DORA):
        await accept(ledger, *corrections(sender, 1))
    room = OCTETS + 500
    page = await ledger.page(BOB, PageQuery(octets=room, folded=True))
    assert (positions_of(page), page.is_complete) == ([1, 2], False)
    page = await ledger.page(BOB, PageQuery(octets=room, folded=True, after=page.entries[-1].id))
    assert (positions_of(page), page.is_complete) == ([3, 4], False)
    page = await ledger.page(BOB, PageQuery(octets=room))
    assert (positions_of(page), page.is_complete) == ([1, 2, 3, 4, 5], False)


async def test_of_what_refers_to_one_message_the_newest_is_folded_in(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "one", name=1), chat(ALICE, BOB, "two"))
    await accept(ledger, *corrections(ALICE, *range(9)))
    page = await ledger.page(BOB, PageQuery(octets=OCTETS + 500, folded=True))
    assert (positions_of(page), page.is_complete) == ([1], False)
    assert [(said(each) or "")[0] for each in page.entries[0].pointers] == ["7", "8"]


async def test_of_all_that_corrects_a_last_message_the_newest_alone_is_read(ledger: SqlLedger) -> None:
    """Else a stranger who corrects himself again and again has all of it read for each look at an inbox."""
    for sender in (ALICE, CAROL, DORA):
        await accept(ledger, chat(sender, BOB, "one", name=1))
        await accept(ledger, *corrections(sender, *range(4)))
        await accept(ledger, pointing(sender, BOB, EntryKind.RETRACTION, "c3"))
    rows = (await ledger.inbox(BOB, InboxQuery(octets=0))).rows
    found: list[InboxRow] = []
    steps: list[int] = []
    while rest := rows[len(found) :]:
        read = await ledger.last_messages(rest, OCTETS + 500)
        steps.append(len(read))
        found += read
    assert steps == [2, 1]
    lasts = [row.last for row in found if row.last is not None]
    assert [[(said(each) or "")[0] for each in last.pointers] for last in lasts] == [["2"]] * 3
    assert tuple(found) == (await ledger.inbox(BOB, InboxQuery())).rows


async def test_a_page_without_a_bound_is_as_large_as_it_gets(filled: SqlLedger) -> None:
    page = await filled.page(BOB, PageQuery())
    assert (positions_of(page), page.is_complete) == ([*range(1, 10)], True)


async def test_sync_ends_early_and_goes_on(filled: SqlLedger) -> None:
    found: list[int] = []
    since, pages = 0, 0
    while True:
        changes = await filled.changes(BOB, since, 50, OCTETS)
        assert len(changes.entries) in {2, 3}
        found += [entry.id.position for entry in changes.entries]
        since, pages = changes.feed, pages + 1
        if changes.is_complete:
            break
    assert (found, pages) == ([*range(1, 10)], 4)


async def test_sync_never_cuts_a_transaction_however_large_it_is(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, LARGE) for _ in range(5)))
    await accept(ledger, chat(ALICE, BOB, "next"))
    changes = await ledger.changes(BOB, 0, 50, OCTETS)
    assert (len(changes.entries), changes.is_complete) == (5, False)
    changes = await ledger.changes(BOB, changes.feed, 50, OCTETS)
    assert ([entry.id.position for entry in changes.entries], changes.is_complete) == ([6], True)


async def test_last_messages_are_given_from_the_first_row_on(filled: SqlLedger) -> None:
    inbox = await filled.inbox(BOB, InboxQuery(octets=0))
    assert len(inbox.rows) == 8
    assert all(row.last is None for row in inbox.rows)
    complete: list[InboxRow] = []
    steps: list[int] = []
    while rest := inbox.rows[len(complete) :]:
        found = await filled.last_messages(rest, OCTETS)
        steps.append(len(found))
        complete += found
    assert steps == [2, 2, 2, 2]  # the first row's is small, and leaves no room for two large ones
    assert tuple(complete) == (await filled.inbox(BOB, InboxQuery())).rows


async def test_sync_gives_last_messages_of_other_archives_only(filled: SqlLedger) -> None:
    changes = await filled.changes(BOB, 0)
    assert len(changes.rows) == 8
    assert all(row.last is None for row in changes.rows)
