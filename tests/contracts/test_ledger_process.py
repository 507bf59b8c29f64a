"""The writer in a process of its own: what is asked and answered survives the way, and what may go wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.ledger_stories import ALICE, BOB, CAROL
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.ledger.frames import (
    Answer,
    Answers,
    Counts,
    Cutter,
    WriterSetup,
    decode_answers,
    decode_batches,
    encode,
)
from tidings.adapters.sql.ledger.remote import RemoteWriter
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    BODY_OCTETS,
    Accepted,
    Append,
    Committed,
    Conflict,
    CursorMove,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    Full,
    InboxChange,
    LedgerBatch,
    MemberChange,
    Place,
    ReadMove,
    Refused,
    Stale,
    message_key,
)
from tidings.ports.ledger.reading import PageQuery


def received(archive: Jid, peer: Jid, **more: Any) -> Entry:
    return Entry(archive=archive, peer=peer, countable=True, **more)


def message(number: object, body: bytes | None = None) -> Append:
    key = message_key("origin", ALICE, BOB, str(number))
    text = f"<message><body>{number}</body></message>".encode()
    return Append(
        body=text if body is None else body,
        entries=(
            Entry(archive=ALICE, peer=BOB, direction=Direction.SENT, countable=True),
            received(BOB, ALICE),
        ),
        keys=(key,),
        repeat=key,
    )


def opened(url: str, *, patience: float = 10.0, grace: float = 5.0) -> RemoteWriter:
    return RemoteWriter(WriterSetup(url, 20.0, 90, patience, 2 << 20), "the database", grace=grace)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    url = f"sqlite:///{tmp_path}/tidings.db"
    database = await open_database(url)
    remote = opened(url)
    await remote.start()
    ledger = SqlLedger(database, remote=remote)
    yield ledger
    await ledger.close()


def test_batches_survive_the_way() -> None:
    batch = LedgerBatch(
        appends=(
            message(1),
            Append(
                body=b"\x00\xff",
                entries=(
                    received(
                        BOB,
                        ALICE,
                        version=3,
                        resource="ü",
                        offline_only=True,
                        reads=True,
                        reader=CAROL,
                        most_octets=4,
                    ),
                ),
                kind=EntryKind.RETRACTION,
                refers_to=(b"0" * 16, EntryRef(ALICE, "e", 7)),
                stream=b"s" * 16,
                number=5,
                follows=4,
                sender="alice@example.org/phone",
                content=b"c" * 16,
                is_strict=True,
                mentions=(BOB,),
                mentions_all=True,
                members=(MemberChange(room=CAROL, member=BOB, affiliation="member", joins=True),),
                reads=(ReadMove(owner=BOB, peer=CAROL, upto=0, source=CAROL),),
                raises=(CAROL,),
                also=(message(2),),
            ),
        ),
        reads=(ReadMove(owner=ALICE, peer=BOB, upto=7), ReadMove(owner=ALICE, peer=BOB, upto=(b"k" * 16,))),
        changes=(InboxChange(owner=ALICE, peer=BOB, box="bin", unread=True),),
        cursors=(CursorMove(archive=ALICE, device="d", position=2, pulls=True),),
    )
    frames = Cutter().feed(encode([(4, batch), (5, LedgerBatch())]))
    assert [decode_batches(frame) for frame in frames] == [[(4, batch), (5, LedgerBatch())]]


def test_answers_survive_the_way_in_any_pieces() -> None:
    accepted = Accepted(places=(Place(ALICE, "e", 1),), time=5, feed=6, returned=(ALICE,), targets=(3,))
    plan = Accepted(places=(), time=0, feed=6, also=(accepted, accepted))
    conflict = Conflict(places=accepted.places, time=5)
    outcomes = (accepted, Refused("too long"), Stale(BOB), Stale("", 7), plan, conflict, Full(BOB, 9, 7))
    committed = Committed(outcomes, (True,), (False,))
    counts = Counts(1, 2, 3, 0.5, 0.7, 4, 5, 6, "trouble", 1.5)
    answers = Answers([Answer(1, committed), Answer(2, None, "gone", is_bug=True)], counts)
    raw = encode(answers) + encode(answers)
    for size in (1, 7, len(raw)):
        cutter = Cutter()
        frames = [frame for at in range(0, len(raw), size) for frame in cutter.feed(raw[at : at + size])]
        assert [decode_answers(frame) for frame in frames] == [answers, answers]


async def test_it_commits_refuses_and_tells_what_is_stale(ledger: SqlLedger) -> None:
    stale = Append(body=b"<message/>", entries=(received(BOB, ALICE, version=99),))
    batch = LedgerBatch(appends=(message(1), message(2, b"x" * (BODY_OCTETS + 1)), stale))
    first, refused, old = (await ledger.commit(batch)).outcomes
    assert isinstance(first, Accepted)
    assert isinstance(refused, Refused)
    assert old == Stale(BOB)
    assert [entry.id.position for entry in (await ledger.page(BOB, PageQuery())).entries] == [1]
    assert ledger.state.items == 3


async def test_a_marker_that_nobody_keeps_moves_a_pointer(ledger: SqlLedger) -> None:
    [first] = (await ledger.commit(LedgerBatch(appends=(message(1),)))).outcomes
    assert isinstance(first, Accepted)
    theirs = next(each for each in first.places if each.archive == BOB)
    names = (EntryRef(theirs.archive, theirs.epoch, theirs.position),)
    marker = Append(body=b"-", entries=(), sender=BOB, reads=(ReadMove(owner=BOB, peer=ALICE, upto=names),))
    [accepted] = (await ledger.commit(LedgerBatch(appends=(marker,)))).outcomes
    assert isinstance(accepted, Accepted)
    assert accepted.places == ()
    row = await ledger.conversation(BOB, ALICE)
    assert row is not None
    assert (row.unread, row.read_position) == (0, theirs.position)


async def test_callers_are_answered_in_the_order_of_their_positions(ledger: SqlLedger) -> None:
    order: list[int] = []

    def note(future: asyncio.Future[Committed]) -> None:
        (accepted,) = future.result().outcomes
        assert isinstance(accepted, Accepted)
        order.append(accepted.places[1].position)

    futures = []
    for number in range(200):
        futures.append(ledger.commit(LedgerBatch(appends=(message(number),))))
        futures[-1].add_done_callback(note)
        if number % 7 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*futures)
    assert order == list(range(1, 201))


async def test_what_the_server_itself_writes_is_seen(ledger: SqlLedger) -> None:
    await ledger.commit(LedgerBatch(appends=(message(1),)))
    assert await ledger.bump_version(BOB) == 1
    stale = Append(body=b"<message/>", entries=(received(BOB, ALICE, version=0),))
    assert (await ledger.commit(LedgerBatch(appends=(stale,)))).outcomes == (Stale(BOB),)
    await ledger.erase(BOB, (1,))
    (again,) = (await ledger.commit(LedgerBatch(appends=(message(2),)))).outcomes
    assert isinstance(again, Accepted)
    assert again.places[1].position == 2


async def test_a_process_that_dies_is_replaced_and_nothing_is_stored_twice(ledger: SqlLedger) -> None:
    await ledger.commit(LedgerBatch(appends=(message(0),)))
    remote = ledger._writer
    assert isinstance(remote, RemoteWriter)
    for turn in range(3):
        batches = [LedgerBatch(appends=(message(f"{turn}-{number}"),)) for number in range(20)]
        futures = [ledger.commit(batch) for batch in batches]
        assert remote.pid is not None
        os.kill(remote.pid, signal.SIGKILL)
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(answer, (Committed, BackendError)) for answer in answers)
        for batch in batches:
            await until_committed(ledger, batch)
    page = await ledger.page(BOB, PageQuery(limit=100))
    assert [entry.id.position for entry in page.entries] == list(range(1, 62))
    assert ledger.state.trouble == ""


async def until_committed(ledger: SqlLedger, batch: LedgerBatch) -> None:
    """Send it again until it is accepted, as a client does."""
    async with asyncio.timeout(30):
        while True:
            try:
                await ledger.commit(batch)
            except BackendError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_process_that_is_stuck_is_given_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tidings.db"
    database = await open_database(url)
    remote = opened(url, patience=0.2, grace=0.2)
    await remote.start()
    ledger = SqlLedger(database, remote=remote)
    await until_committed(ledger, LedgerBatch(appends=(message(0),)))
    assert remote.pid is not None
    os.kill(remote.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BackendError, match="does not answer"):
            await ledger.commit(LedgerBatch(appends=(message(1),)))
        await ledger.page(BOB, PageQuery())  # reading goes on
    finally:
        os.kill(remote.pid, signal.SIGCONT)
    await until_committed(ledger, LedgerBatch(appends=(message(1),)))
    assert len((await ledger.page(BOB, PageQuery())).entries) == 2
    await ledger.close()


async def test_too_much_at_once_is_refused(ledger: SqlLedger) -> None:
    large = [LedgerBatch(appends=(message(number, b"x" * 700_000),)) for number in range(5)]
    answers = await asyncio.gather(*map(ledger.commit, large), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Committed] * 2 + [BackendError] * 3
    await ledger.commit(large[-1])


def test_a_server_that_is_killed_takes_its_process_with_it(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from tidings.adapters.sql import open_stores\n"
        "async def main():\n"
        f"    stores = await open_stores('sqlite:///{tmp_path}/tidings.db', in_process=True)\n"
        "    print(stores.ledger._writer.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline, "the writer's process goes on without its server"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_who_writes_under_a_name_waits_for_the_one_before(postgresql_url: str) -> None:
    """A killed server's last transaction may still be committed; its successor begins after that."""
    first = await open_database(postgresql_url, writes_as="node 1")
    other = await open_database(postgresql_url, writes_as="node 2")
    waiting = asyncio.ensure_future(open_database(postgresql_url, writes_as="node 1"))
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    await first.close()
    second = await waiting
    await second.close()
    await other.close()


async def test_the_same_on_mariadb(mariadb_url: str) -> None:
    first = await open_database(mariadb_url, writes_as="node 1")
    waiting = asyncio.ensure_future(open_database(mariadb_url, writes_as="node 1"))
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    await first.close()
    await (await waiting).close()
