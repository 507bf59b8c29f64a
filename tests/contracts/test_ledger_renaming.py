"""The contract of renaming an archive; every database passes it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    ROOM,
    Clock,
    accept,
    chat,
    clock,
    ledger,
    ledger_url,
    ledger_urls,
    read,
    say,
    seen,
    stanza,
    texts,
    unread,
)
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Entry,
    EntryKind,
    LedgerBatch,
    MemberChange,
    Stale,
    message_key,
)
from tidings.ports.ledger.reading import ArchiveInUse, InboxQuery, PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]

SMITH = Jid("alice.smith@example.org")


async def join(ledger: SqlLedger, member: Jid, affiliation: str = "member") -> None:
    change = MemberChange(room=ROOM, member=member, affiliation=affiliation, joins=True)
    entry = Entry(archive=ROOM, peer=ROOM, groupchat=True)
    await ledger.commit(
        LedgerBatch(appends=(Append(body=b"<message/>", entries=(entry,), members=(change,)),))
    )


async def test_everything_of_the_archive_has_the_new_address(ledger: SqlLedger) -> None:
    await accept(ledger, chat(BOB, ALICE, "one"), chat(ALICE, BOB, "two"), chat(CAROL, ALICE, "three"))
    await read(ledger, ALICE, BOB, 1)
    await seen(ledger, ALICE, "phone", 2)
    await join(ledger, ALICE)
    before = (
        await ledger.page(ALICE, PageQuery()),
        await ledger.inbox(ALICE, InboxQuery()),
        await ledger.devices(ALICE),
    )
    head = await ledger.head(ALICE)
    assert await ledger.rename(ALICE, SMITH) == (ROOM,)
    page, inbox, devices = before
    assert (await ledger.page(SMITH, PageQuery())).entries == page.entries
    after = await ledger.inbox(SMITH, InboxQuery())
    assert [(row.peer, row.unread, row.last) for row in after.rows] == [
        (row.peer, row.unread, row.last) for row in inbox.rows
    ]
    assert await ledger.devices(SMITH) == devices
    now = await ledger.head(SMITH)
    assert (now.first, now.position, now.epochs) == (head.first, head.position, head.epochs)
    assert [member.member for member in await ledger.members(ROOM)] == [SMITH]
    assert [member.room for member in await ledger.rooms_of(SMITH)] == [ROOM]
    # Nothing is left under the former address.
    assert (await ledger.page(ALICE, PageQuery())).entries == ()
    assert (await ledger.inbox(ALICE, InboxQuery())).rows == ()
    assert await ledger.rooms_of(ALICE) == ()
    assert await ledger.devices(ALICE) == {}


async def test_conversations_of_others_go_on_under_the_new_address(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, "one"), chat(ALICE, BOB, "two"))
    await read(ledger, BOB, ALICE, 1)
    await ledger.rename(ALICE, SMITH)
    assert await unread(ledger, BOB) == {SMITH: 1}
    await accept(ledger, chat(SMITH, BOB, "three"), chat(BOB, SMITH, "four"))
    assert await texts(ledger, SMITH) == await texts(ledger, BOB) == ["one", "two", "three", "four"]
    [row] = (await ledger.inbox(BOB, InboxQuery())).rows
    assert row.peer == SMITH
    page = await ledger.page(BOB, PageQuery(peer=SMITH))
    assert [entry.peer for entry in page.entries] == [SMITH] * 4
    assert (await ledger.page(BOB, PageQuery(peer=ALICE))).entries == ()


def written(sender: str, to: str) -> bytes:
    return f'<message from="{sender}/phone" to="{to}" type="chat"><body>{sender}</body></message>'.encode()


async def test_messages_are_shown_with_the_addresses_of_now(ledger: SqlLedger) -> None:
    there = replace(chat(ALICE, BOB), body=written(ALICE, BOB))
    back = replace(chat(BOB, ALICE), body=written(BOB, ALICE))
    # A user of another server whose address begins like that of an account here.
    other = Jid("alice@example.organic")
    similar = replace(chat(BOB, other), body=written(BOB, other))
    in_room = replace(say(ALICE, "one"), body=written(ROOM, ALICE))
    await accept(ledger, there, back, similar, in_room)
    before = {owner: await bodies(ledger, owner) for owner in (BOB, other, ROOM)}
    await ledger.rename(ALICE, SMITH)
    now = [each.body.replace(b'"alice@', b'"alice.smith@') for each in (there, back)]
    assert await bodies(ledger, SMITH) == now
    assert await bodies(ledger, BOB) == [*now, written(BOB, other)]
    assert {owner: await bodies(ledger, owner) for owner in (other, ROOM)} == {
        owner: before[owner] for owner in (other, ROOM)
    }


async def test_earlier_messages_are_found_by_the_names_that_they_have_now(ledger: SqlLedger) -> None:
    """Who takes one back, or sends it once more, names it by the new address."""

    def keys(body: bytes, sender: Jid, recipient: Jid) -> tuple[bytes, ...]:
        return (message_key("origin", sender, recipient, body.decode()),)

    def named(sender: Jid, recipient: Jid, words: str) -> Append:
        [key] = keys(stanza(words), sender, recipient)
        return replace(chat(sender, recipient, words), keys=(key,), repeat=key)

    def retracting(sender: Jid, recipient: Jid, words: str) -> Append:
        targets = keys(stanza(words), sender, recipient)
        return replace(chat(sender, recipient), kind=EntryKind.RETRACTION, refers_to=targets)

    await accept(ledger, named(ALICE, BOB, "one"), named(BOB, ALICE, "two"), named(CAROL, BOB, "three"))
    await ledger.rename(ALICE, SMITH, keys)
    outcomes = (
        await ledger.commit(
            LedgerBatch(
                appends=(
                    retracting(SMITH, BOB, "one"),
                    retracting(BOB, SMITH, "two"),
                    retracting(CAROL, BOB, "three"),
                    named(BOB, SMITH, "two"),
                )
            )
        )
    ).outcomes
    assert [outcome.targets for outcome in outcomes] == [(1, 1), (2, 2), (1, 3), ()]
    assert outcomes[3].repeated
    assert [place.archive for place in outcomes[3].places] == [BOB, SMITH]
    # The further names go with the messages.
    for owner in (SMITH, BOB, CAROL):
        await ledger.trim(owner, keep=0)
    assert await ledger._database.read(count_keys) == 0


def count_keys(connection: Connection) -> int:
    return int(connection.execute(text("SELECT COUNT(*) FROM message_keys")).scalar_one())


async def bodies(ledger: SqlLedger, owner: Jid) -> list[bytes | None]:
    return [entry.body for entry in (await ledger.page(owner, PageQuery())).entries]


async def test_what_guard_saw_of_either_address_is_stale(ledger: SqlLedger) -> None:
    await accept(ledger, chat(BOB, ALICE, "one"))
    version, empty = (await ledger.head(ALICE)).version, (await ledger.head(SMITH)).version
    await ledger.rename(ALICE, SMITH)
    late = (
        chat(BOB, ALICE, "late", version=version),
        chat(BOB, SMITH, "early", version=empty),
    )
    assert (await ledger.commit(LedgerBatch(appends=late))).outcomes == (Stale(ALICE), Stale(SMITH))
    assert await texts(ledger, SMITH) == ["one"]
    assert await texts(ledger, ALICE) == []
    now = (await ledger.head(SMITH)).version
    await accept(ledger, chat(BOB, SMITH, "two", version=now))
    assert await texts(ledger, SMITH) == ["one", "two"]


async def test_a_room_that_was_planned_with_the_former_member_is_planned_anew(ledger: SqlLedger) -> None:
    await join(ledger, ALICE)
    await accept(ledger, say(ALICE, "one"))
    version = (await ledger.head(ROOM)).version
    await ledger.rename(ALICE, SMITH)
    assert (await ledger.head(ROOM)).version > version
    [entry] = (await ledger.page(ROOM, PageQuery(limit=1, newest=True))).entries
    assert entry.sender == SMITH


async def test_whoever_has_the_former_address_next_begins_with_nothing(ledger: SqlLedger) -> None:
    await accept(ledger, chat(BOB, ALICE, "for the former"))
    [former] = (await ledger.page(ALICE, PageQuery())).entries
    await ledger.rename(ALICE, SMITH)
    await accept(ledger, chat(BOB, ALICE, "for the next"))
    [entry] = (await ledger.page(ALICE, PageQuery())).entries
    assert (entry.id.position, entry.id.epoch != former.id.epoch) == (1, True)
    assert not (await ledger.head(ALICE)).has(former.id)
    assert await texts(ledger, SMITH) == ["for the former"]


async def test_an_address_whose_archive_has_entries_is_not_taken(ledger: SqlLedger) -> None:
    await accept(ledger, chat(BOB, ALICE, "one"), chat(BOB, SMITH, "another's"))
    with pytest.raises(ArchiveInUse):
        await ledger.rename(ALICE, SMITH)
    assert await texts(ledger, ALICE) == ["one"]
    assert await texts(ledger, SMITH) == ["another's"]


async def test_an_address_that_was_written_to_in_vain_is_taken(ledger: SqlLedger) -> None:
    sent = Entry(archive=BOB, peer=SMITH)
    await ledger.commit(LedgerBatch(appends=(Append(body=b"<message/>", entries=(sent,)),)))
    await accept(ledger, chat(BOB, ALICE, "one"))
    await ledger.rename(ALICE, SMITH)
    assert await texts(ledger, SMITH) == ["one"]
    await accept(ledger, chat(BOB, SMITH, "two"))
    assert await texts(ledger, SMITH) == ["one", "two"]


async def test_an_account_can_be_renamed_and_get_its_name_back(ledger: SqlLedger) -> None:
    await accept(ledger, chat(BOB, ALICE, "one"))
    await ledger.rename(ALICE, SMITH)
    await accept(ledger, chat(BOB, SMITH, "two"))
    await ledger.rename(SMITH, ALICE)
    await accept(ledger, chat(BOB, ALICE, "three"))
    assert await texts(ledger, ALICE) == ["one", "two", "three"]
    assert await texts(ledger, SMITH) == []


async def test_an_account_of_which_nothing_is_kept_is_renamed(ledger: SqlLedger) -> None:
    assert await ledger.rename(ALICE, SMITH) == ()
    await accept(ledger, chat(BOB, SMITH, "one"))
    assert await texts(ledger, SMITH) == ["one"]


async def test_another_process_learns_that_numbers_have_changed(fresh_url: str, clock: Clock) -> None:
    """It has both addresses in memory, and nobody tells it but the database."""
    one = SqlLedger(await open_database(fresh_url, lock_seconds=20), now=clock)
    other = SqlLedger(await open_database(fresh_url, lock_seconds=20), now=clock)
    await accept(other, chat(BOB, ALICE, "one"), chat(ALICE, BOB, "two"))
    sent = Entry(archive=BOB, peer=SMITH)
    await other.commit(LedgerBatch(appends=(Append(body=b"<message/>", entries=(sent,)),)))
    await one.rename(ALICE, SMITH)
    [outcome] = (await other.commit(LedgerBatch(appends=(chat(BOB, SMITH, "three"),)))).outcomes
    assert isinstance(outcome, Accepted)
    assert await texts(one, SMITH) == ["one", "two", "three"]
    assert await texts(one, ALICE) == []
    await one.close()
    await other.close()
