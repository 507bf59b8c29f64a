"""What every ledger promises to who writes: positions, repeats, references, pointers, boxes, devices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    KINDS,
    ROOM,
    START,
    Clock,
    accept,
    at,
    chat,
    clock,
    key,
    place,
    pointing,
    positions,
    read,
    say,
    stanza,
    texts,
    unread,
)
from tests.contracts.samples import LONGEST, LOOK_ALIKES
from tests.harness.databases import Server
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger, open_memory_ledger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    BODY_OCTETS,
    Accepted,
    Append,
    CursorMove,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    InboxChange,
    LedgerBatch,
    Outcome,
    ReadMove,
    Refused,
    Stale,
    message_key,
)
from tidings.ports.ledger.reading import InboxQuery, PageQuery

__all__ = ["clock"]

DAY = 86_400_000_000


@pytest.fixture(params=(*KINDS, "at once"))
def url(request: pytest.FixtureRequest, tmp_path):
    match request.param:
        case "sqlite":
            yield f"sqlite:///{tmp_path}/tidings.db"
        case "sqlite in memory":
            yield "sqlite://"
        case "at once":
            yield None
        case kind:
            server: Server = request.getfixturevalue(f"{kind}_server")
            made = server.create_database()
            yield made
            server.drop_database(made)


@pytest.fixture
async def ledger(url: str | None, clock: Clock) -> AsyncIterator[SqlLedger]:
    """A ledger over every database, and the one in memory that answers on its caller's thread."""
    if url is None:
        opened = await open_memory_ledger(now=clock)
    else:
        opened = SqlLedger(await open_database(url), now=clock)
    yield opened
    await opened.close()


async def send(ledger: SqlLedger, *appends: Append) -> tuple[Outcome, ...]:
    return (await ledger.commit(LedgerBatch(appends=appends))).outcomes


def once(sender: Jid, recipient: Jid, name: object, **changes: object) -> Append:
    """A message that is stored once, however often it is sent."""
    name_key = message_key("once", sender, recipient, str(name))
    append = chat(sender, recipient, name)
    return msgspec.structs.replace(append, keys=(name_key,), repeat=name_key, **changes)


async def move(ledger: SqlLedger, owner: Jid, peer: Jid, upto: object, source: Jid | None = None) -> bool:
    batch = LedgerBatch(reads=(ReadMove(owner=owner, peer=peer, upto=upto, source=source),))
    (moved,) = (await ledger.commit(batch)).moved
    return moved


async def change(ledger: SqlLedger, owner: Jid, peer: Jid, **changes: object) -> bool:
    batch = LedgerBatch(changes=(InboxChange(owner=owner, peer=peer, **changes),))
    (changed,) = (await ledger.commit(batch)).changed
    return changed


# -- appending


async def test_an_empty_batch_is_answered(ledger: SqlLedger) -> None:
    answer = await ledger.commit(LedgerBatch())
    assert (answer.outcomes, answer.changed, answer.moved) == ((), (), ())


async def test_each_archive_numbers_its_entries_from_one(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, 1), say(ALICE, 2), chat(BOB, ALICE, 3))
    (last,) = await accept(ledger, say(BOB, 4))
    assert [(place.archive, place.position) for place in last.places] == [(ROOM, 2)]
    for archive in (ALICE, BOB, ROOM):
        assert await positions(ledger, archive) == [1, 2]
        assert (await ledger.head(archive)).position == 2


async def test_a_message_to_oneself_has_two_entries_of_one_archive(ledger: SqlLedger) -> None:
    (outcome,) = await accept(ledger, chat(ALICE, ALICE, 1))
    assert [place.position for place in outcome.places] == [1, 2]
    assert await texts(ledger, ALICE) == ["1", "1"]
    assert await unread(ledger, ALICE) == {ALICE: 1}


async def test_what_is_written_is_read(ledger: SqlLedger) -> None:
    body = bytes(range(256)) * 4
    entry = Entry(archive=ALICE, peer=BOB, resource="Phône ")
    (outcome,) = await accept(ledger, Append(body=body, entries=(entry,), kind=EntryKind.REACTIONS))
    (found,) = (await ledger.page(ALICE, PageQuery())).entries
    assert (found.body, found.peer, found.resource, found.kind) == (body, BOB, "Phône ", EntryKind.REACTIONS)
    assert (found.target, found.countable, found.direction) == (0, False, Direction.RECEIVED)
    assert (found.id.epoch, found.time) == (outcome.places[0].epoch, outcome.time)
    assert found.feed == outcome.feed


async def test_what_another_server_has_accepted_keeps_its_time(ledger: SqlLedger, clock: Clock) -> None:
    """But no archive has a time after now, or one before that of the entry before."""

    def past(name: str, time: int) -> Append:
        return msgspec.structs.replace(chat(ALICE, BOB, name, name=name), time=time)

    accepted = await accept(
        ledger, past("old", START - 2 * DAY), past("older", START - 3 * DAY), past("later", START + DAY)
    )
    assert [each.time for each in accepted] == [START - 2 * DAY, START - 2 * DAY, START]
    page = await ledger.page(BOB, PageQuery(end=START - DAY))
    assert [entry.body for entry in page.entries] == [stanza("old"), stanza("older")]
    clock.now += DAY
    assert [each.time for each in await accept(ledger, past("new", START - DAY), chat(BOB, ALICE))] == [
        START,
        START + DAY,
    ]


async def test_times_never_run_backwards_in_an_archive(ledger: SqlLedger, clock: Clock) -> None:
    (first,) = await accept(ledger, chat(ALICE, BOB, 1))
    clock.now -= 3_600_000_000
    (second,) = await accept(ledger, chat(BOB, CAROL, 2))
    (other,) = await accept(ledger, chat(Jid("dave@example.org"), Jid("erin@example.org"), 3))
    assert first.time == second.time == START
    assert other.time == clock.now
    assert (await ledger.head(CAROL)).time == START


async def test_answers_come_in_the_order_of_positions(ledger: SqlLedger) -> None:
    told: list[int] = []
    futures = []
    for size in (1, 3, 70, 1, 1200, 1, 2):
        batch = LedgerBatch(appends=tuple(chat(ALICE, BOB, n) for n in range(size)))
        future = ledger.commit(batch)
        future.add_done_callback(lambda done: told.append(done.result().outcomes[-1].places[1].position))
        futures.append(future)
    await asyncio.gather(*futures)
    assert told == [1, 4, 74, 75, 1275, 1276, 1278]


async def test_a_new_incarnation_opens_an_epoch_at_the_next_append(ledger: SqlLedger) -> None:
    (old,) = await accept(ledger, chat(ALICE, BOB, 1))
    incarnation = await ledger.renew()
    assert (await ledger.feed())[0] == incarnation
    (new,) = await accept(ledger, chat(ALICE, BOB, 2))
    head = await ledger.head(BOB)
    assert head.epochs == ((old.places[1].epoch, 1), (new.places[1].epoch, 2))
    assert old.places[1].epoch != new.places[1].epoch


# -- sending twice


async def test_a_repeated_send_is_answered_with_the_first_result(ledger: SqlLedger, clock: Clock) -> None:
    first, inside = await accept(ledger, once(ALICE, BOB, 1), once(ALICE, BOB, 1))
    clock.now += 89 * DAY
    (again,) = await accept(ledger, once(ALICE, BOB, 1))
    assert not first.repeated
    for repeated in (inside, again):
        assert repeated.repeated
        assert (repeated.places, repeated.time, repeated.feed) == (first.places, first.time, first.feed)
    assert await unread(ledger, BOB) == {ALICE: 1}
    clock.now += 2 * DAY
    (late,) = await accept(ledger, once(ALICE, BOB, 1))
    assert not late.repeated
    assert await unread(ledger, BOB) == {ALICE: 2}


async def test_the_same_send_from_many_callers_at_once_is_stored_once(ledger: SqlLedger) -> None:
    answers = await asyncio.gather(*(send(ledger, once(ALICE, BOB, 1)) for _ in range(20)))
    assert len({answer[0].places for answer in answers}) == 1
    assert sum(not answer[0].repeated for answer in answers) == 1


async def test_without_a_repeat_key_nothing_is_a_repeat(ledger: SqlLedger) -> None:
    same = chat(ALICE, BOB, 1, name="same")
    assert not any(outcome.repeated for outcome in await accept(ledger, same, same, chat(ALICE, BOB)))
    assert (await ledger.head(BOB)).position == 3


async def test_a_number_that_the_stream_has_passed_is_a_repeat(ledger: SqlLedger) -> None:
    stream, other = message_key("stream", "a"), message_key("stream", "b")

    def numbered(number: int, stream: bytes, **changes: object) -> Append:
        return msgspec.structs.replace(chat(ALICE, BOB, number), stream=stream, number=number, **changes)

    await accept(ledger, numbered(1, stream), numbered(4, stream))
    answers = await accept(ledger, numbered(3, stream), numbered(4, stream), numbered(5, stream))
    assert [(answer.repeated, len(answer.places)) for answer in answers] == [(True, 0), (True, 0), (False, 2)]
    await accept(ledger, numbered(1, other))
    assert (await ledger.head(BOB)).position == 4
    # Sent again on a new stream with its own id: found by that, and the new stream has passed it.
    kept = once(ALICE, BOB, "x")
    (first,) = await accept(ledger, msgspec.structs.replace(kept, stream=stream, number=6))
    (again,) = await accept(ledger, msgspec.structs.replace(kept, stream=other, number=2))
    assert (again.repeated, again.places) == (True, first.places)
    assert await ledger.end_stream(other) == 2


async def test_nothing_is_stored_that_comes_on_a_stream_after_its_end(ledger: SqlLedger) -> None:
    """Its client was told how far it had come, and sends the rest again on another one."""
    stream, unknown = message_key("stream", "a"), message_key("stream", "b")
    one, late, later = (
        msgspec.structs.replace(chat(ALICE, BOB, number), stream=of, number=number)
        for number, of in ((3, stream), (4, stream), (1, unknown))
    )
    await accept(ledger, one)
    assert [await ledger.end_stream(stream) for _ in range(2)] == [3, 3]
    assert [await ledger.end_stream(unknown) for _ in range(2)] == [None, None]
    assert [answer.repeated for answer in await accept(ledger, late, later)] == [True, True]
    assert await texts(ledger, BOB) == ["3"]


def test_keys_of_different_parts_differ() -> None:
    parts = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a\0b", "c"), ("a", "b\0c"), ("a", "b", "C")]
    assert len({message_key(*each) for each in parts}) == len(parts)


# -- awkward addresses and rows


async def test_look_alikes_have_archives_of_their_own(ledger: SqlLedger) -> None:
    await accept(ledger, *(once(jid, BOB, "same id") for jid in LOOK_ALIKES))
    assert (await ledger.head(BOB)).position == len(LOOK_ALIKES)
    for jid in LOOK_ALIKES:
        (entry,) = (await ledger.page(BOB, PageQuery(peer=jid))).entries
        assert entry.peer == jid
        assert (await ledger.head(jid)).position == 1


async def test_the_longest_addresses_and_messages(ledger: SqlLedger) -> None:
    resource = "\N{BUG}" * 255
    entry = Entry(archive=LONGEST, peer=LONGEST.with_resource("r" * 1023), resource=resource, countable=True)
    append = Append(body=b"x" * BODY_OCTETS, entries=(entry,), keys=(b"\0" * 16, b"\xff" * 16))
    await accept(ledger, append)
    (found,) = (await ledger.page(LONGEST, PageQuery(peer=entry.peer))).entries
    assert (found.peer, found.resource, found.body) == (entry.peer, resource, append.body)


@pytest.mark.parametrize("poison", ["number", "resource"])
async def test_a_poison_row_is_refused_alone(ledger: SqlLedger, poison: str) -> None:
    bad = chat(ALICE, BOB, "bad")
    if poison == "number":
        bad = msgspec.structs.replace(bad, stream=b"s" * 16, number=1 << 70)
    else:
        bad = chat(ALICE, BOB, "bad", resource="\udc80")
    answers = await asyncio.gather(
        *(send(ledger, chat(ALICE, BOB, n)) for n in range(10)),
        send(ledger, chat(ALICE, BOB, 10), bad, chat(ALICE, BOB, 11)),
        *(send(ledger, chat(ALICE, BOB, n)) for n in range(12, 20)),
    )
    outcomes = [outcome for answer in answers for outcome in answer]
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [n == 11 for n in range(21)]
    assert await texts(ledger, BOB) == [str(n) for n in range(20)]
    assert await unread(ledger, BOB) == {ALICE: 20}


async def test_what_is_too_long_or_nowhere_is_refused(ledger: SqlLedger) -> None:
    long = msgspec.structs.replace(chat(ALICE, BOB), body=b"x" * (BODY_OCTETS + 1))
    bad, nowhere, good = await send(ledger, long, Append(body=b"x", entries=()), chat(ALICE, BOB, 2))
    assert isinstance(bad, Refused)
    assert str(BODY_OCTETS) in bad.reason
    assert isinstance(nowhere, Refused)
    assert isinstance(good, Accepted)


async def test_what_guard_saw_is_checked_under_the_lock(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, 1, version=0))
    assert await ledger.bump_version(BOB) == 1
    stale, current = await send(ledger, chat(ALICE, BOB, 2, version=0), chat(ALICE, BOB, 3, version=1))
    assert stale == Stale(BOB)
    assert isinstance(current, Accepted)
    assert (await ledger.head(BOB)).version == 1
    assert await texts(ledger, BOB) == ["1", "3"]


async def test_nothing_overtakes_a_stale_message_on_its_stream(ledger: SqlLedger) -> None:
    def numbered(number: int, version: int) -> Append:
        return msgspec.structs.replace(
            chat(ALICE, BOB, number, version=version), stream=b"s" * 16, number=number
        )

    await accept(ledger, numbered(1, 0))
    await ledger.bump_version(BOB)
    assert await send(ledger, numbered(2, 0), numbered(3, 1), chat(CAROL, BOB, "other")) != ()
    await accept(ledger, numbered(2, 1), numbered(3, 1))
    assert await texts(ledger, BOB) == ["1", "other", "2", "3"]
    assert await ledger.end_stream(b"s" * 16) == 3


# -- references


async def test_a_message_is_found_by_its_names(ledger: SqlLedger) -> None:
    await accept(ledger, chat(CAROL, BOB, 0), chat(ALICE, BOB, 1, name="a"), chat(ALICE, BOB, 2, name="a"))
    inside, later = (pointing(BOB, ALICE, EntryKind.REACTIONS, "a") for _ in range(2))
    (outcome,) = await accept(ledger, inside)
    assert outcome.targets == (3, 2)  # the newest of that name, in Bob's archive and in Alice's
    new = chat(ALICE, BOB, 3, name="a")
    *_, outcome = await accept(ledger, new, later)
    assert outcome.targets == (5, 4)
    unknown = pointing(BOB, ALICE, EntryKind.REACTIONS, "unknown")
    (outcome,) = await accept(ledger, unknown)
    assert outcome.targets == ()
    assert [entry.target for entry in (await ledger.page(BOB, PageQuery())).entries] == [0, 0, 0, 3, 0, 5, 0]


async def test_a_message_is_found_by_its_place_in_any_archive(ledger: SqlLedger) -> None:
    await accept(ledger, chat(CAROL, BOB, 0), chat(ALICE, BOB, 1))
    there = await place(ledger, BOB, 2)
    wrong = (
        EntryRef(BOB, "other", 2),
        EntryRef(BOB, there.epoch, 9),
        EntryRef(Jid("nobody@x"), there.epoch, 1),
        key(BOB, "no"),
    )

    def reaction(*targets: object) -> Append:
        return msgspec.structs.replace(pointing(BOB, ALICE, EntryKind.REACTIONS, ""), refers_to=targets)

    right, none = await accept(ledger, reaction(*wrong, there), reaction(*wrong))
    assert (right.targets, none.targets) == ((2, 1), ())


async def test_what_was_trimmed_is_no_target(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, 1, name="a"), chat(ALICE, BOB, 2))
    await ledger.trim(BOB, keep=1)
    (outcome,) = await accept(ledger, pointing(BOB, ALICE, EntryKind.REACTIONS, "a"))
    assert outcome.targets == (0, 1)


async def test_a_retracted_message_is_not_unread(ledger: SqlLedger) -> None:
    def retraction(name: int) -> Append:
        return pointing(ALICE, BOB, EntryKind.RETRACTION, name)

    one, two, three = (chat(ALICE, BOB, n, name=n) for n in (1, 2, 3))
    await accept(ledger, one, two, retraction(2), three)
    assert await unread(ledger, BOB) == {ALICE: 2}
    await accept(ledger, retraction(1))
    await accept(ledger, retraction(1), retraction(3), retraction(3))
    assert await unread(ledger, BOB) == {ALICE: 0}
    assert await unread(ledger, ALICE) == {BOB: 0}
    await accept(ledger, chat(ALICE, BOB, 4))
    await read(ledger, BOB, ALICE, 1)
    assert await unread(ledger, BOB) == {ALICE: 1}


# -- pointers


async def test_unread_after_partial_reads(ledger: SqlLedger) -> None:
    for number in range(1, 7):
        await accept(ledger, chat(ALICE, BOB, number, name=number), chat(CAROL, BOB, number))
    assert await move(ledger, BOB, ALICE, 5)  # Alice's third of six
    assert await unread(ledger, BOB) == {ALICE: 3, CAROL: 6}
    assert not await move(ledger, BOB, ALICE, 1)  # a pointer never moves back
    assert not await move(ledger, BOB, ALICE, 99)  # nor to what is not there
    assert await move(ledger, BOB, CAROL, 11)  # a position of the other conversation: up to there
    assert await move(ledger, BOB, ALICE, (key(ALICE, "no"), key(ALICE, 4)))
    assert not await move(ledger, BOB, ALICE, (key(ALICE, "unknown"),))
    assert await unread(ledger, BOB) == {ALICE: 2, CAROL: 1}
    assert not await move(ledger, BOB, Jid("nobody@example.org"), 3)
    assert await move(ledger, BOB, ALICE, 0)  # all there is
    assert not await move(ledger, BOB, ALICE, 0)
    assert await unread(ledger, BOB) == {ALICE: 0, CAROL: 1}
    inbox = await ledger.inbox(BOB, InboxQuery(limit=1))
    assert (inbox.unread, inbox.unread_conversations, len(inbox.rows)) == (1, 1, 1)
    assert await unread(ledger, ALICE) == {BOB: 0}


async def test_a_marker_reads_what_it_refers_to(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, n, name=n) for n in range(1, 5)))

    def displayed(name: int) -> Append:
        marker = pointing(BOB, ALICE, EntryKind.DISPLAYED, name)
        first, second = marker.entries
        return msgspec.structs.replace(marker, entries=(msgspec.structs.replace(first, reads=True), second))

    await accept(ledger, displayed(3), displayed(2))
    assert await unread(ledger, BOB) == {ALICE: 1}
    await accept(ledger, chat(ALICE, BOB, 5, name=5), displayed(5))
    assert await unread(ledger, BOB) == {ALICE: 0}


async def test_a_marker_that_refers_to_another_conversation_reads_nothing(ledger: SqlLedger) -> None:
    other = chat(CAROL, BOB, 2, name="other")
    await accept(ledger, chat(ALICE, BOB, 1), other)
    marker = pointing(BOB, ALICE, EntryKind.DISPLAYED, 1)
    first, second = marker.entries
    entries = (msgspec.structs.replace(first, reads=True), second)
    await accept(ledger, msgspec.structs.replace(marker, entries=entries, refers_to=other.keys))
    assert await unread(ledger, BOB) == {ALICE: 1, CAROL: 1}


async def test_sending_reads_what_is_before(ledger: SqlLedger) -> None:
    await accept(ledger, chat(ALICE, BOB, 1), chat(ALICE, BOB, 2), chat(BOB, ALICE, 3), chat(ALICE, BOB, 4))
    assert await unread(ledger, BOB) == {ALICE: 1}
    assert await unread(ledger, ALICE) == {BOB: 0}


async def test_what_does_not_count_is_not_unread_and_makes_no_conversation(ledger: SqlLedger) -> None:
    marker = pointing(ALICE, BOB, EntryKind.DISPLAYED, "unknown")
    offline_only = chat(ALICE, BOB, "offline only", offline_only=True)
    await accept(ledger, marker, msgspec.structs.replace(offline_only, entries=offline_only.entries[1:]))
    assert await unread(ledger, BOB) == {}
    await accept(ledger, chat(ALICE, BOB, 1), marker, offline_only)
    (row,) = (await ledger.inbox(BOB, InboxQuery())).rows
    assert (row.unread, row.position) == (1, 3)


async def test_a_room_has_one_entry_and_a_pointer_for_each_member(ledger: SqlLedger) -> None:
    await accept(ledger, say(ALICE, 1), say(ALICE, 2))
    assert await move(ledger, BOB, ROOM, 0, ROOM)  # joins
    assert await unread(ledger, BOB) == {ROOM: 0}
    await accept(ledger, say(ALICE, 3), say(ALICE, 4), say(ALICE, 5))
    assert await unread(ledger, BOB) == {ROOM: 3}
    assert await move(ledger, BOB, ROOM, 4, ROOM)
    assert await unread(ledger, BOB) == {ROOM: 1}
    assert await unread(ledger, ALICE) == {ROOM: 0}
    await accept(ledger, say(BOB, 6))
    assert (await unread(ledger, BOB), await unread(ledger, ALICE)) == ({ROOM: 0}, {ROOM: 1})
    assert (await ledger.head(BOB)).position == 0


async def test_joining_an_empty_room(ledger: SqlLedger) -> None:
    await move(ledger, BOB, ROOM, 0, ROOM)
    assert await unread(ledger, BOB) == {ROOM: 0}
    await accept(ledger, say(ALICE, 1))
    assert await unread(ledger, BOB) == {ROOM: 1}


# -- boxes


async def test_a_conversation_is_changed_where_it_is_there(ledger: SqlLedger) -> None:
    assert not await change(ledger, BOB, ALICE, muted_until=5)
    await accept(ledger, chat(ALICE, BOB, 1))
    assert await change(ledger, BOB, ALICE, muted_until=5, pinned=2, box="bin")
    row = await ledger.conversation(BOB, ALICE)
    assert row is not None
    assert (row.muted_until, row.pinned, row.box, row.unread) == (5, 2, "bin", 1)
    assert await change(ledger, BOB, ALICE, muted_until=0, pinned=0, box="inbox", unread=False)
    row = await ledger.conversation(BOB, ALICE)
    assert row is not None
    assert (row.muted_until, row.pinned, row.box, row.unread) == (0, 0, "inbox", 0)
    assert await change(ledger, BOB, ALICE, unread=True)
    assert await unread(ledger, BOB) == {ALICE: 1}
    assert await move(ledger, BOB, ALICE, 0)
    assert await unread(ledger, BOB) == {ALICE: 0}


@pytest.mark.parametrize("box", ["archive", "bin", "Täschchen"])
async def test_a_message_brings_a_conversation_back_from_the_archive_alone(
    ledger: SqlLedger, box: str
) -> None:
    await accept(ledger, chat(ALICE, BOB, 1))
    await change(ledger, BOB, ALICE, box=box)
    marker = pointing(ALICE, BOB, EntryKind.DISPLAYED, 1)
    outcomes = await accept(ledger, marker, chat(ALICE, BOB, 2), chat(ALICE, BOB, 3))
    returned = [outcome.returned for outcome in outcomes]
    assert returned == [(), (BOB,) if box == "archive" else (), ()]
    row = await ledger.conversation(BOB, ALICE)
    assert row is not None
    assert row.box == ("inbox" if box == "archive" else box)


# -- devices


async def test_devices_move_forward_and_not_beyond_the_head(ledger: SqlLedger) -> None:
    async def seen(device: str, position: int, *, pulls: bool = False) -> None:
        cursor = CursorMove(archive=BOB, device=device, position=position, pulls=pulls)
        await ledger.commit(LedgerBatch(cursors=(cursor,)))

    await accept(ledger, *(chat(ALICE, BOB, number) for number in range(5)))
    for device, position in (("phone", 3), ("Phone", 1), ("phone", 2), ("tablet", 99), ("", 4)):
        await seen(device, position, pulls=position == 3)
    devices = await ledger.devices(BOB)
    assert {name: device.position for name, device in devices.items()} == {
        "phone": 3,
        "Phone": 1,
        "tablet": 5,
        "": 4,
    }
    assert [name for name, device in devices.items() if device.pulls] == ["phone"]


async def test_a_twenty_first_device_displaces_the_one_unseen_for_longest(
    ledger: SqlLedger, clock: Clock
) -> None:
    for number in [*range(20), 0, 20]:
        clock.now += 1
        await ledger.commit(LedgerBatch(cursors=(CursorMove(archive=BOB, device=str(number), position=0),)))
    assert set(await ledger.devices(BOB)) == {str(number) for number in range(21)} - {"1"}


async def test_many_things_in_one_batch(ledger: SqlLedger) -> None:
    batch = LedgerBatch(
        appends=tuple(chat(ALICE, BOB, n, name=n) for n in range(1, 4)),
        reads=(
            ReadMove(owner=BOB, peer=ALICE, upto=2),
            ReadMove(owner=BOB, peer=ALICE, upto=(key(ALICE, 3),)),
            ReadMove(owner=BOB, peer=CAROL, upto=0),
        ),
        changes=(InboxChange(owner=BOB, peer=ALICE, pinned=1), InboxChange(owner=BOB, peer=CAROL, pinned=1)),
        cursors=(CursorMove(archive=BOB, device="phone", position=2),),
    )
    answer = await ledger.commit(batch)
    assert (answer.moved, answer.changed) == ((True, True, False), (True, False))
    assert [outcome.places[1].position for outcome in answer.outcomes] == [1, 2, 3]
    row = await ledger.conversation(BOB, ALICE)
    assert row is not None
    assert (row.unread, row.pinned, row.read_position) == (0, 1, 3)
    assert (await ledger.devices(BOB))["phone"].position == 2
    assert (await at(ledger, BOB, 3)).position == 3
